"""What is kept: the Store interface, and its implementations."""
