"""The appearance of pictures: their values and colours, and how new pictures differ from those of a training."""
