"""Functions as they are registered: configuration, versions and aliases."""
