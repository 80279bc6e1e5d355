"""The command ensemble: several trained models as one model."""
