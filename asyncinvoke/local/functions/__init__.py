"""Registered functions: configuration, versions and aliases."""
