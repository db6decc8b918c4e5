"""Several items in one invocation: when a batch is complete, its payload, and the result of each item."""
