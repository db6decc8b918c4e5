"""OpenTelemetry: spans and metrics created from events; depends only on its API."""
