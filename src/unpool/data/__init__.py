"""Samples (pictures with labels), and the batches of varied crops that a network trains on."""
