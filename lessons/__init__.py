"""The programs of the lessons: what computes their numbers and pictures, and the plain networks that they build."""
