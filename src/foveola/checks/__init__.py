"""What may be wrong with a data set: duplicates, leaks, shortcuts, label errors."""
