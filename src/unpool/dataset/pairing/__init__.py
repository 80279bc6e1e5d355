"""Which picture belongs to which mask, in any folder layout that the field uses."""
