"""Pure decisions. Nothing here does I/O, reads a clock or rolls dice: time and chance are arguments."""
