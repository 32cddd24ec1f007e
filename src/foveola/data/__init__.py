"""Material: data sets, their split, their pixels on the disk, their batches."""
