"""Samples of pictures and labels, and how they become the batches that a network trains on."""
