"""From a picture to class ids, by tiles; evaluation and prediction share this one path."""
