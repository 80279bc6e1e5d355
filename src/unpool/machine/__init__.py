"""The machine: a device with its number type, and the memory of this process."""
