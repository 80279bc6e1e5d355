"""The diagnosis of a training: symptoms and their causes."""
