"""Training: the loop, its steps and validations, its rehearsal, and its diagnosis."""
