"""Admission: what may run now, and what is throttled, for which reason."""
