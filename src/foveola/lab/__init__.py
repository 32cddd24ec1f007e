"""The lab: recipes, runs, and one run of a recipe from prepared pictures to a measured network."""
