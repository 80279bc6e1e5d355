"""Studies of structures: a plan with variants, its stages, its results, and the verdict on each variant."""
