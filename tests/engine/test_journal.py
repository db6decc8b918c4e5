"""The options of a journal are checked when they are given."""

import re
from pathlib import Path
from typing import Any

import pytest

from asyncinvoke import InvalidRequestError, Journal, Redrive
from asyncinvoke._engine.journal import read_journal


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"path": ""}, "journal '' must be a path"),
        ({"path": 3}, "journal 3 must be a path"),
        ({"path": b"run"}, "journal (of type bytes) must be a path"),
        ({"results": "no"}, "results 'no' must be True or False"),
        ({"replay": 1}, "replay 1 must be True or False"),
        ({"redrive": "failed"}, "redrive 'failed' must be a Redrive or a function of an outcome"),
        ({"changed": "never"}, "changed 'never' must be a Changed"),
        ({"notes": ["a"]}, "notes (of type list) must be a mapping"),
        ({"notes": {1: "a"}}, "a note's name must be a string, not int"),
        ({"notes": {"a": {1}}}, "note 'a' is nothing that JSON can hold"),
        ({"notes": {"a": float}}, "note 'a' is nothing that JSON can hold"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_journal_that_makes_no_sense_is_refused_by_name(
    options: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidRequestError, match=f"^{re.escape(says)}$"):
        Journal(**{"path": "orders.run", **options})


def test_a_path_is_a_journal() -> None:
    assert read_journal("orders.run") == Journal("orders.run")
    assert read_journal(Path("orders.run")) == Journal(Path("orders.run"))
    journal = Journal("orders.run", redrive=Redrive.NOT_RUN | Redrive.FAILED, changed="again")  # type: ignore[arg-type]
    assert read_journal(journal) is journal
