"""The command ``test``: a model and a folder in, scores and a report out."""
