"""The two files of a training: the model file, and the checkpoint to continue from."""
