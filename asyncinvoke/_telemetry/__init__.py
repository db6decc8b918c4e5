"""Reporting on calls: hooks and their events, attributes and log lines, the trace header."""
