"""Runs the benchmarks behind the pages on one commit, and writes `results/` and the pages.

`python -m benchmarks` runs every benchmark that `--list` names, one after the other; `python -m benchmarks NAME...`
runs only these. If one fails, the others still run. Each result ends with its day, commit and duration. Afterwards
the tables of the pages are written from the results, and results older than their code are listed.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import shown, stale
from benchmarks.collection import BY_NAME, COLLECTED, RESULTS, Collected, took
from benchmarks.stamp import Stamp


def main() -> int:
    """Run the benchmarks; return the exit status."""
    known = {each.name: each for each in (*COLLECTED, *BY_NAME)}
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="these results alone")
    parser.add_argument("--list", action="store_true", help="name all, with how long each took")
    options = parser.parse_args()
    for name in options.names:
        if name not in known:
            parser.error(f"no result is called {name!r}: there are {', '.join(known)}")
    if options.list:
        print(listed())
        return 0
    chosen = [known[name] for name in options.names] or list(COLLECTED)
    _say(f"{len(chosen)} result{'s' * (len(chosen) > 1)}; {expected(chosen)}")
    stamp = Stamp.now(stale.ROOT)
    if stamp.changed:
        _say("code is changed and not committed: the results will say so")
    failed = measure_all(chosen, RESULTS, stamp)
    if shown.write():
        _say("the tables of the pages are made from the results: look at `git diff`")
    print(stale.report())
    for name, why in failed.items():
        _say(f"{name} failed: {why}")
    return 1 if failed else 0


def measure_all(chosen: Sequence[Collected], folder: Path, stamp: Stamp) -> dict[str, str]:
    """Write results into a directory; return the names of those that failed, with reasons."""
    failed = {}
    folder.mkdir(exist_ok=True)
    began = time.monotonic()
    for number, each in enumerate(chosen, 1):
        _say(f"{number}/{len(chosen)} {each.name}: {each.command}")
        start = time.monotonic()
        try:
            text = each.measure(folder)
        except Exception as error:  # noqa: BLE001  # one that fails must not cost what the others take
            failed[each.name] = f"{type(error).__name__}: {error}"
            _say(f"  failed: {failed[each.name]}")
            continue
        seconds = round(time.monotonic() - start)
        line = replace(stamp, seconds=seconds).line()
        (folder / f"{each.name}.md").write_text(f"{text}\n\n{line}\n", encoding="utf-8")
        print(f"{text.partition('`' + each.command + '`')[2].strip()}\n", flush=True)
        _say(f"  {seconds:,} s")
    _say(f"all of it: {round(time.monotonic() - began):,} s")
    return failed


def listed() -> str:
    """Return a line for each result: its duration, its command, and the pages that show it."""
    lines = []
    for each in (*COLLECTED, *BY_NAME):
        seconds = took(each.name)
        duration = "" if seconds is None else f"{seconds:,} s"
        pages = ", ".join(page for page, names in stale.SHOWN.items() if each.name in names)
        only = " (only if named)" if each in BY_NAME else ""
        lines.append(f"{each.name:<16}{duration:>8}  {each.command}{only}  {pages}".rstrip())
    return "\n".join(lines)


def expected(chosen: list[Collected]) -> str:
    """Return the duration of the last measurement as text, if it is known."""
    times = [took(each.name) for each in chosen]
    known = [each for each in times if each is not None]
    if not known:
        return "how long that takes was not recorded yet (all of them: half an hour on two cores)"
    unknown = len(times) - len(known)
    rest = f", and {unknown} more of which that is not known" if unknown else ""
    return f"last time {sum(known):,} s{rest}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
