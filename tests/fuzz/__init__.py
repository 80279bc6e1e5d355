"""Sound files with a few faults, read by every reader: none may end in anything but a typed error."""
