"""The management operations with which SDK code sets up functions."""
