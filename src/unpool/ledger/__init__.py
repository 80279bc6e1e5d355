"""The record of every training and test, in its folder; found, chosen and shown."""
