"""The settings of a run: one schema for the command line, the recipes and the model's card."""
