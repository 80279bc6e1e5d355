"""Machine code: loops over numbers for which torch has no operation, which numba compiles on the person's machine."""
