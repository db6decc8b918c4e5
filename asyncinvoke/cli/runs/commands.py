"""The group `runs` with all its commands: importing this adds them."""

from asyncinvoke.cli.runs import again, export, merge, show, steer
from asyncinvoke.cli.runs.group import runs

__all__ = ["again", "export", "merge", "runs", "show", "steer"]
