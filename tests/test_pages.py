"""The developer pages: their tables match the code, and their links and paths exist."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from asyncinvoke._limits import concurrency, limit, rate
from tests.test_architecture import FLOORS

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PAGES.append(ROOT / "benchmarks" / "README.md")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))
BLOCKS = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings, as Markdown viewers create them."""
    headings = re.findall(r"^#+ (.+)$", BLOCKS.sub("", page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_to_a_page_and_to_a_heading_of_it(page: Path) -> None:
    text = BLOCKS.sub("", page.read_text("utf-8"))
    for link, anchor in re.findall(r"\]\((?![a-z]+:)([^)#\s]*)#?([^)\s]*)\)", text):
        target = page.parent / link if link else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text("utf-8")), f"{link}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_has_a_heading_twice(page: Path) -> None:
    headings = re.findall(r"^## (.+)$", BLOCKS.sub("", page.read_text("utf-8")), re.MULTILINE)
    assert sorted(headings) == sorted(set(headings))


def test_the_index_links_to_every_page() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    linked = {(ROOT / "docs" / link).resolve() for link in re.findall(r"\]\(([^)#]+)", index)}
    missing = set(PAGES) - linked - {ROOT / "docs" / "index.md"}
    assert not missing, json.dumps(sorted(map(str, missing)))


def test_tables_that_are_made_from_the_code_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "render.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_floors_of_the_page_are_those_that_are_held() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \| .+ \|$", ARCHITECTURE, re.MULTILINE)
    told = {int(floor): tuple(re.findall(r"`(\w+)`", rooms)) for floor, rooms in rows}
    assert {number: set(rooms) for number, rooms in told.items()} == {
        number: set(rooms) for number, rooms in enumerate(FLOORS, 1)
    }
    assert list(told) == sorted(told, reverse=True)


@pytest.mark.parametrize("text", [ARCHITECTURE, CONTRIBUTING], ids=["architecture", "contributing"])
def test_every_file_that_a_page_names_is_there(text: str) -> None:
    # In a table of files the room is in the row above, so only names with a folder are checked.
    named = set(re.findall(r"(?<![\w/.])((?:[\w.-]+/)+(?:[\w-]+\.(?:py|md|txt)\b|(?=\W)))", text))
    places = [ROOT, ROOT / "asyncinvoke", ROOT / "docs"]
    missing = {name for name in named if not any((place / name).exists() for place in places)}
    assert not missing


@pytest.mark.parametrize("text", [ARCHITECTURE, CONTRIBUTING], ids=["architecture", "contributing"])
def test_drawings_and_commands_fit_into_a_hundred_columns(text: str) -> None:
    blocks = BLOCKS.findall(text)
    assert blocks
    assert max(len(line) for block in blocks for line in block.splitlines()) <= 100


def targets_in(page: str) -> set[str]:
    """Return the targets of every `make` that a page shows, at the start of a line or in quotes."""
    shown = re.findall(r"^make ((?:[a-z-]+ ?)+)", "\n".join(BLOCKS.findall(page)), re.MULTILINE)
    shown += re.findall(r"`make ([a-z-]+)", page)
    return {target for targets in shown for target in targets.split()}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_target_that_a_page_names_is_in_the_makefile(page: Path) -> None:
    assert targets_in(page.read_text("utf-8")) <= TARGETS


def test_make_help_lists_every_target_with_what_it_does() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = dict(re.findall(r"^make ([\w-]+) +(.+)$", done.stdout, re.MULTILINE))
    phony = re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert set(listed) == set(" ".join(phony).split()) == TARGETS
    assert all(listed.values())


def test_the_page_for_contributors_names_every_target() -> None:
    assert targets_in(CONTRIBUTING) >= TARGETS - {"clean"}


SAID_OF_LIMITS = [
    f"admitted after {concurrency.START_ROUND:g} s ({concurrency.LONGEST_ROUND:g} s once there was",
    f"fewer than {concurrency.START_ROUND * concurrency.START_SPEED:g}, after `n` /",
    f"after `n` / {concurrency.START_SPEED:g} s",
    f"{limit.INITIAL} attempts are sent at once",
    f"the others follow at {concurrency.START_SPEED:g} a second",
    f"From {limit.INITIAL}, the limit rises at least as fast as if it doubled each round",
    f"An `initial` below {limit.INITIAL} is for a small ceiling",
    f"at least {concurrency.START_SPEED:g} attempts a second",
    f"a few every {concurrency.START_TICK * 1000:g} ms",
    f"the ramp went too far | {concurrency.FIRST_CUT * 100:g} %, {concurrency.RAMP_CUT * 100:g} % |",
    f"within {concurrency.DRIFT * 100:g} % and half an attempt",
    "alone | {:g} %, {:g} %, then {:g} % |".format(*(cut * 100 for cut in concurrency.ALONE_CUTS)),
    f"was the same {concurrency.ROOM_AFTER} times",
    f"a newcomer is kept out | {concurrency.ROOM_CUT * 100:g} % |",
    f"for the next {concurrency.REMEMBERED} throttles at least",
    f"{concurrency.SHARED_CUT * 100:g} % of a ceiling of {concurrency.MODEST:g};",
    f"{concurrency.LEAST_SHARED_CUT * 100:g} % at least",
    f"it fell, by far | {concurrency.FALLEN_CUT * 100:g} % |",
    f"{concurrency.SHARED_PROBE:g} a round up to a ceiling of {concurrency.MODEST:g}",
    f"the scope pauses: {rate.FIRST:g} s, doubling up to {rate.LONGEST:g} s",
    f"returns to that within {rate.RECOVERY:g} s of use",
    f"beyond it by {rate.PROBE * 100:g} % a second, growing by a factor of e each second",
]


@pytest.mark.parametrize("message", SAID_OF_LIMITS)
def test_the_page_on_limits_has_the_numbers_of_the_code(message: str) -> None:
    assert message in " ".join((ROOT / "docs" / "limits.md").read_text("utf-8").split())


def test_numbers_written_in_words_on_the_page_on_limits_match_the_code() -> None:
    # "half an attempt", "nine tenths", "a factor of e each second"
    assert (concurrency.LEAST_DRIFT, 1 - rate.CUT, rate.PROBE_GROWTH) == (0.5, 0.9, 1.0)
