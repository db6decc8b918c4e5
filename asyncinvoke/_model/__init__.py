"""What comes back, and the words for failure. Imports nothing above itself."""
