"""Diagnosing a setup: the facts a bug report needs, what they mean, and what to do about them."""
