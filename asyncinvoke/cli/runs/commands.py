"""The group `runs` with all its commands: importing this adds them."""

from asyncinvoke.cli.runs import control, export, merge, redrive, report, show
from asyncinvoke.cli.runs.group import runs

__all__ = ["control", "export", "merge", "redrive", "report", "runs", "show"]
