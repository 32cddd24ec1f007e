"""Figures for notebooks and files, drawn with Matplotlib."""
