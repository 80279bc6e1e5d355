"""What is in a person's folder of pictures and masks, what it means, and what is wrong with it."""
