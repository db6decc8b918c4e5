"""HTTP: access control, and the server on a socket."""
