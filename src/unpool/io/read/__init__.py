"""Reading pictures and masks, whole or by windows; every decoder is bounded."""
