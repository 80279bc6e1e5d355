"""What the values in the masks mean: from all masks to one class table."""
