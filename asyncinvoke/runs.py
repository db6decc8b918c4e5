"""Reading recorded runs, and settling items that may have run."""

from asyncinvoke._journal.measuring import Latencies, Measures, Step, measured
from asyncinvoke._journal.merging import Merged, merge
from asyncinvoke._journal.opening import is_begun, is_journal
from asyncinvoke._journal.reading import RecordedRun, open_run
from asyncinvoke._journal.settling import settle
from asyncinvoke._journal.values import (
    RecordedCause,
    RecordedItem,
    RecordedSession,
    RecordedTake,
    RunSummary,
    Sample,
)

__all__ = [
    "Latencies",
    "Measures",
    "Merged",
    "RecordedCause",
    "RecordedItem",
    "RecordedRun",
    "RecordedSession",
    "RecordedTake",
    "RunSummary",
    "Sample",
    "Step",
    "is_begun",
    "is_journal",
    "measured",
    "merge",
    "open_run",
    "settle",
]
