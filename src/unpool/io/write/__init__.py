"""Write pictures and masks, at once or by bands of rows. A file is put in its place when it is complete."""
