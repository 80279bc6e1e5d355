"""Outlines that annotation tools keep in files of their own, and the masks that are drawn of them."""
