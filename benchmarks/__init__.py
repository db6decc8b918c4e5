"""Measurements, each against an endpoint in a process of its own; figures are ratios of one run."""
