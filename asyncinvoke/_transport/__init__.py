"""Exactly one attempt on the wire; the only room of the core that knows aiobotocore and botocore."""
