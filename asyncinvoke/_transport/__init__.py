"""Exactly one attempt on the wire; the only folder that knows aiobotocore and botocore."""
