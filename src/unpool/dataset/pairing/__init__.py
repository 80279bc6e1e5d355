"""Which picture belongs to which mask."""
