"""Runs handlers: in this process, or in worker processes with AWS's runtime."""
