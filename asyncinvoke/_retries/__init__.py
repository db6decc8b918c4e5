"""What a failure means, whether it is tried again, and the error that a caller sees."""
