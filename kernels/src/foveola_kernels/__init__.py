"""foveola-kernels: compiled convolutions, batch norm and max pooling that make foveola's training faster on Linux.

`foveola` calls `accelerated` around each forward pass of the training loop. The results are torch's within 1e-3, with the
same bits for any number of threads.
"""

from foveola_kernels.accelerate import accelerated, backend_id, problem

__all__ = ["accelerated", "backend_id", "problem"]
