"""Between HTTP and the service: requests are read, answers written, faults played, listeners told."""
