"""What `asyncinvoke invoke` says about a payload that is not JSON."""

from pathlib import Path

import pytest

from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.payload import read_payload


def test_a_payload_that_is_a_spreadsheet_is_not_to_be_saved_as_csv(tmp_path: Path) -> None:
    path = tmp_path / "in.xlsx"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(CommandError, match=r"is a spreadsheet, not JSON in UTF-8$"):
        read_payload(f"@{path}")
