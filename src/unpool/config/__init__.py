"""The settings of a run: one schema for the command line, recipes and the model file."""
