"""The machinery between a request and its outcome: permits, attempts, fan-out."""
