"""Checks of a folder; each is a function that returns findings."""
