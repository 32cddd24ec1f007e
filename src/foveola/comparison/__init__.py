"""Runs that differ in one thing, compared over the same seeds."""
