"""The command ``train``: a folder in, a run folder with a model out."""
