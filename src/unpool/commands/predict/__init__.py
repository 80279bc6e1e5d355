"""The command ``predict``: a model and pictures in, masks out."""
