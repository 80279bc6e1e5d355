"""Convolutions: several ways to compute each, measured once on each machine, and the fastest is taken."""
