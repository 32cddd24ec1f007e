"""HTML pages for a run (the report), for `foveola check` and for a comparison: each is a single file without scripts."""
