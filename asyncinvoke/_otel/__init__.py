"""OpenTelemetry: spans and metrics made from events, on its API alone."""
