"""Write pictures and masks, in one piece or by bands of rows. A file is put in its place when it is complete."""
