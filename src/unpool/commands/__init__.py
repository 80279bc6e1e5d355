"""One module or folder for each command, with its name."""
