"""The command ``train``: from a folder of pictures and masks to a run folder with a model."""
