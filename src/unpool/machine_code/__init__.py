"""Machine code: loops for which torch has no operation, compiled by numba on the person's machine."""
