"""Benchmarks; each runs against an endpoint in a separate process, and compares within one run."""
