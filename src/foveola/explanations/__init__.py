"""Explanations of a network: feature maps, kernels, heat maps, embeddings, the arithmetic of one output value."""
