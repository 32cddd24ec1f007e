"""Data sets: reading folders, tables and arrays, splitting, prepared pixels on the disk, and batches."""
