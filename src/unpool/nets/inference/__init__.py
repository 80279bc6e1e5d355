"""Networks in prediction: batch-norm folding, and large pictures some rows at a time."""
