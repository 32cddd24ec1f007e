"""A run: a recipe and a seed become a folder with a trained and measured network."""
