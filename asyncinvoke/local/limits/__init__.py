"""Admission: concurrency and rate limits, and the throttle reasons."""
