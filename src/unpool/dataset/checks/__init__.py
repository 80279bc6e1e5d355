"""What is wrong or noteworthy in a folder; each check is a function that returns findings."""
