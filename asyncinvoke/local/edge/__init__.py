"""Between HTTP and the service: requests, responses, faults, listeners."""
