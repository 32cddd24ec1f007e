"""A recipe: all settings of a run except its seed."""
