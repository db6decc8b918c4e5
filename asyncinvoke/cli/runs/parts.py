"""The parts of a run on several processes: found beside its journal, and which of them run."""

import glob
import re
from pathlib import Path

from asyncinvoke import JournalError
from asyncinvoke._report.standing import has_run_since_merge, is_part_of
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.runs import RunSummary, is_begun, is_journal, open_run

_PART = re.compile(r"\.([0-9]{1,6})of([0-9]{1,6})")


def running_parts(path: str) -> list[str]:
    """Return the journals of the parts of a run, if at least one of them is running.

    Return none if the run itself is running, as in a redrive, or has no parts.
    """
    found = found_parts(Path(path)) if path else []
    running = [is_running(f"{path}.{number}of{of}") for number, of in found]
    if True not in running or is_running(path):
        return []
    parts = zip(found, running, strict=True)
    return [
        f"{path}.{number}of{of}" for (number, of), is_running in parts if is_running is not None
    ]


def unmerged(path: str) -> list[str]:
    """Return the journals of the parts of a run that were killed before they were merged into it."""
    begun = [each for each in all_parts(path) if is_begun(each)]
    return begun if begun and (not is_begun(path) or _are_ahead(begun, path)) else []


def whole_of(path: str) -> str | None:
    """Return the journal that a part has been merged into; `None` if there is none beside it.

    A user may give any journal such a name, also beside an input or a folder.
    """
    whole, dot, numbers = path.rpartition(".")
    if _PART.fullmatch(dot + numbers) is None or not is_journal(whole) or not is_begun(whole):
        return None
    merged, part = _read_summary(whole), _read_summary(path)
    # Of a damaged journal it is unknown what was merged into it.
    is_whole = merged is None or part is None or is_part_of(merged, part)
    return whole if is_whole else None


def check_whole(path: str) -> None:
    """Check that a journal holds the whole run: continued without the rest, it would run items again.

    Raises:
        CommandError: A part is running, and the message names its process; or the parts are not
            merged yet; or it is itself a part, and has been merged.
    """
    if (whole := whole_of(path)) is not None:
        raise CommandError(f"{path}: it was merged into {whole}: use that run in its place")
    for part in running_parts(path):
        with open_run(part) as run:
            summary = run.summary()
        if summary.running:
            raise CommandError(
                f"{path}: its part {part} is running in {summary.holder or 'another process'}: "
                "wait until all --processes have ended"
            )
    parts = all_parts(path)
    if parts and not is_begun(path):
        raise CommandError(
            f"{path}: its --processes {len(parts)} were killed: continue it with the same number, "
            f"or merge {path}.*of{len(parts)} into it"
        )
    if unmerged(path):
        raise CommandError(
            f"{path}: its --processes {len(parts)} have continued since they were merged into it, and "
            f"were killed: continue it with the same number, or merge {path}.*of{len(parts)} into it "
            "with --force"
        )


def check_merged(path: str) -> None:
    """Check that a run has what its parts did: an export or a report of it would be out of date.

    Raises:
        CommandError: As `check_whole`.
    """
    if unmerged(path):
        check_whole(path)


def _are_ahead(parts: list[str], path: str) -> bool:
    merged = _read_summary(path)
    summaries = (each for each in map(_read_summary, parts) if each is not None)
    return merged is not None and has_run_since_merge(merged, summaries)


def controlled_journals(path: str) -> list[str]:
    """Return the journals that a control request applies to: the parts of a run, or the run.

    Parts are returned even if they are not running, because the same command continues them.
    """
    if not running_parts(path) and is_running(path):
        return [path]
    return all_parts(path) or [path]


def all_parts(path: str) -> list[str]:
    """Return the journals of all parts of a run, including those that do not exist yet."""
    found = found_parts(Path(path)) if path else []
    of = max((of for _, of in found), default=0)
    return [f"{path}.{number}of{of}" for number in range(1, of + 1)]


def even_shares(number: int, among: int) -> list[int]:
    """Return a number divided into shares that are as even as possible."""
    each, more = divmod(number, among)
    return [each + (place < more) for place in range(among)]


def found_parts(journal: Path) -> list[tuple[int, int]]:
    """Return the numbers of the part journals in the directory of a run's journal."""
    found = []
    for path in journal.parent.glob(f"{glob.escape(journal.name)}.*of*"):
        match = _PART.fullmatch(path.name.removeprefix(journal.name))
        if match is not None:
            found.append((int(match[1]), int(match[2])))
    return sorted(found)


def is_running(path: str) -> bool | None:
    """Return whether a process is running a journal; `None` if it cannot be opened yet."""
    summary = _read_summary(path)
    return None if summary is None else summary.running


def _read_summary(path: str) -> RunSummary | None:
    try:
        with open_run(path) as run:
            return run.summary()
    except JournalError:
        return None
