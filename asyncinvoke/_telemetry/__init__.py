"""What is told of calls: hooks and their events, attributes and lines of the log, the trace header."""
