"""The command line: text to command and back; the only place that prints."""
