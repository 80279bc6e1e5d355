"""A network read layer by layer: sizes, parameters, memory, and the paper's names."""
