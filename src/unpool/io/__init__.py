"""Bytes to arrays and back: pictures, masks and small text files."""
