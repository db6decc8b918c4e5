"""Between HTTP and the service: reads requests, writes answers, plays faults, notifies listeners."""
