"""What comes back, and the vocabulary of failure."""
