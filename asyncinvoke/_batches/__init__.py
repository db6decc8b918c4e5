"""Several items in one invocation: completing a batch, its payload, and the result of each item."""
