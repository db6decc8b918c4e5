"""The group `runs` with all its commands: importing this adds them."""

from asyncinvoke.cli.runs import again, export, merge, report, show, steer
from asyncinvoke.cli.runs.group import runs

__all__ = ["again", "export", "merge", "report", "runs", "show", "steer"]
