"""HTTP on a socket: where the endpoint may listen, and the server that does."""
