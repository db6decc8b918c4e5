"""Injected faults: which request meets one, and what then happens on the wire."""
