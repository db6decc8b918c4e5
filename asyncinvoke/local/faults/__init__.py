"""Injected faults: the requests that they apply to, and their effect on the wire."""
