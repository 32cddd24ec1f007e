"""Device, number of threads and memory of a computation."""
