"""Networks in prediction: batch-norm folding, and large pictures by rows."""
