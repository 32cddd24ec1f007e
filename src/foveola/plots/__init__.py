"""Figures for print, notebooks and the command line: values in, a Matplotlib figure out; one style in `style`."""
