"""Writing pictures and masks, whole or by bands of rows; a file takes its place when it is complete."""
