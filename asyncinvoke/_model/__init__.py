"""What comes back, and the words for failure."""
