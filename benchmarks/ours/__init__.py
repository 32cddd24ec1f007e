"""Programs that measure what foveola's command line can't be asked for alone; each is run as a process of its own."""
