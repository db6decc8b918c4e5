"""Requests: validated, and with the names that AWS uses."""
