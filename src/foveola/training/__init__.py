"""From batches to a trained network: the training loop, optimizers, the linear probe on kept features."""
