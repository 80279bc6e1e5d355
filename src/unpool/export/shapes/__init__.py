"""Masks as shapes in the formats of other programs: polygons along the edges of pixels, and runs of pixels."""
