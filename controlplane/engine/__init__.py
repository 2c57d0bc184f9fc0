"""Turns commands into commits, one turn at a time."""
