"""The records of trainings and tests: written into their folders, found again, selected and shown as text."""
