"""Finding limits, and granting permits."""
