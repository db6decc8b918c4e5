"""The group `runs` with all its commands: importing this adds them."""

from asyncinvoke.cli.runs import export, show, steer
from asyncinvoke.cli.runs.group import runs

__all__ = ["export", "runs", "show", "steer"]
