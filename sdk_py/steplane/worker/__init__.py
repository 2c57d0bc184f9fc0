"""What takes runs from the server and executes them."""
