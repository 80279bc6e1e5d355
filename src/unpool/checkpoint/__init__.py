"""The two files of a training: the model, and the checkpoint to go on from."""
