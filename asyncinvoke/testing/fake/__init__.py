"""Lambda without sockets: a transport that runs handlers and plays injected faults."""
