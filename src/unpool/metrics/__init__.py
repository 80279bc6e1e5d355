"""Scores of predictions against the ground truth, their intervals, and further measures."""
