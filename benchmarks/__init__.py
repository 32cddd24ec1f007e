"""Benchmarks: foveola against its peers on one machine, each peer in an environment of its own. See README.md here."""
