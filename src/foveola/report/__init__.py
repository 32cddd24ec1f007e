"""The report: one page that opens from the disk, needs nothing, and says what the run is worth."""
