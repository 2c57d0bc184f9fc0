"""Time submits commands."""
