"""`asyncinvoke local`: handlers served to any AWS SDK, on this machine."""
