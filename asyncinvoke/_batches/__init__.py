"""Several items in one invocation: when a batch closes, its payload, and what its answer says of each."""
