"""The machine: the device, its number type, and the memory of this process."""
