"""The queue of Events, and where they end."""
