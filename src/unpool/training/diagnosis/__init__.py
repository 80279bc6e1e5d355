"""What goes wrong in a training, and why: symptoms and their causes."""
