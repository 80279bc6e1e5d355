"""Studies of structures: a plan with variants, its stages, its folder of results, and the verdict on each variant."""
