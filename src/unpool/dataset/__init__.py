"""The survey of a folder of pictures and masks: its pairs, its classes, its split and its errors."""
