"""Decisions: pure and synchronous; no clock, no sleep, no input or output."""
