"""The queue of Events, and their destinations."""
