"""The meaning of mask values: from the values of all masks to one class table."""
