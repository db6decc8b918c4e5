"""Outputs: read back by other tools, atomic, and refused before any work is done."""

import base64
import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any
from unittest.mock import MagicMock

import anyio
import fsspec
import fsspec.implementations.memory
import pyarrow.parquet as pq
import pytest
import zstandard

from asyncinvoke import Invoker, Journal
from asyncinvoke._outputs import files, locks, parquet, parts
from asyncinvoke._outputs.files import Kind, OutputError, kind_of
from asyncinvoke.cli.app import run
from asyncinvoke.cli.map.outcomes import as_line
from asyncinvoke.cli.map.whole_output import write_lines
from asyncinvoke.cli.runs import exporting
from asyncinvoke.cli.runs.exporting import MANIFEST, NAMES
from asyncinvoke.testing import FakeLambda
from tests.doubles.forked import forked

KINDS = {
    "out.jsonl": Kind(),
    "out.jsonl.gz": Kind(compression="gz"),
    "OUT.JSONL.ZST": Kind(compression="zst"),
    "out.parquet": Kind(format="parquet"),
    "s3://b/out.jsonl": Kind(is_remote=True),
    "s3://b/out.parquet": Kind(format="parquet", is_remote=True),
    "-": Kind(),
}


def test_a_part_that_is_removed_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = locks.lock
    removed: list[Path] = []

    def late(file: IO[Any]) -> bool:
        if not removed:  # another process took it for an abandoned one
            (part,) = tmp_path.iterdir()
            part.unlink()
            removed.append(part)
        return lock(file)

    monkeypatch.setattr(locks, "lock", late)
    part, file = parts.new_part(tmp_path / "out.jsonl")
    with file:
        file.write(b"1")
    assert [part] == list(tmp_path.iterdir())
    assert part not in removed
    assert part.read_bytes() == b"1"


def test_a_signal_just_after_a_part_was_created_leaves_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: IO[Any]) -> bool:
        assert len(list(tmp_path.iterdir())) == 1
        raise KeyboardInterrupt

    monkeypatch.setattr(locks, "lock", interrupted)
    with pytest.raises(KeyboardInterrupt):
        parts.new_part(tmp_path / "out.jsonl")
    assert not list(tmp_path.iterdir())


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """Allow this process, and what is forked meanwhile, no more files than are open."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull, "rb") as file:
        lowest_free = file.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def standard_input_closed() -> Iterator[None]:
    """Close descriptor 0, so that the next file that is opened gets it."""
    kept = os.dup(0)
    os.close(0)
    try:
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the child only waits
@pytest.mark.parametrize("limited", [contextlib.nullcontext, no_more_files, standard_input_closed])
def test_a_fork_of_the_process_keeps_no_part_locked_and_writes_nothing_to_it(
    limited: Callable[[], contextlib.AbstractContextManager[None]], tmp_path: Path
) -> None:
    part, file = parts.new_part(tmp_path / "out.jsonl")
    file.write(b"once")
    waiting, waker = os.pipe()
    is_forked, tell = os.pipe()
    with limited():
        pid = os.fork()
    if not pid:
        try:
            file.flush()
            os.write(tell, b"!")
            os.close(waker)
            os.read(waiting, 1)
        finally:
            os._exit(0)
    os.close(tell)
    try:
        assert os.read(is_forked, 1) == b"!"
        parts.remove_abandoned(tmp_path / "out.jsonl")
        file.close()
        assert part.read_bytes() == b"once"  # it was locked by this process
        parts.remove_abandoned(tmp_path / "out.jsonl")
        assert not part.exists()
    finally:
        for descriptor in (waker, waiting, is_forked):
            os.close(descriptor)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("target", KINDS)
def test_the_format_is_detected_by_the_suffix(target: str) -> None:
    assert kind_of(target) == KINDS[target]
    assert KINDS[target].is_whole == (target not in ("out.jsonl", "-"))


def test_parquet_compresses_itself_whatever_its_name_ends_in() -> None:
    assert kind_of("out.gz", "parquet") == Kind(format="parquet")
    assert kind_of("out.parquet.gz", "parquet") == Kind(format="parquet")
    assert kind_of("out.parquet", "jsonl") == Kind()


def handler(event: Any, context: object) -> Any:
    if event["n"] % 7 == 3:
        raise ValueError("no")
    return {"text": ', "payload": "ä\n', "n": event["n"], "long": 2**70}


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("journal") / "orders.run"

    async def work() -> None:
        items = [{"n": n} for n in range(40)]
        async with (
            Invoker(transport=FakeLambda({"f": handler})) as invoker,
            invoker.map(
                "f", items, journal=Journal(path), key=lambda item: f"k{item['n']}"
            ) as all_,
        ):
            async for _ in all_:
                pass

    anyio.run(work)
    return path


@pytest.fixture
def lines(journal: Path, tmp_path: Path) -> list[dict[str, Any]]:
    target = tmp_path / "plain.jsonl"
    assert run(["runs", "export", str(journal), str(target)]) == 0
    return [json.loads(line) for line in target.read_bytes().splitlines()]


@pytest.mark.parametrize("name", ["out.jsonl.gz", "out.jsonl.zst"])
def test_a_compressed_export_has_the_same_lines(
    name: str, journal: Path, tmp_path: Path, lines: list[dict[str, Any]]
) -> None:
    target = tmp_path / name
    assert run(["runs", "export", str(journal), str(target)]) == 0
    packed = target.read_bytes()
    text = gzip.decompress(packed) if name.endswith("gz") else _unpacked(packed)
    assert [json.loads(line) for line in text.splitlines()] == lines
    assert {path.name for path in tmp_path.iterdir()} == {name, "plain.jsonl"}


def _unpacked(packed: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(packed)


def test_parquet_has_a_row_for_each_outcome_and_every_digit(
    journal: Path, tmp_path: Path, lines: list[dict[str, Any]]
) -> None:
    target = tmp_path / "out.data"
    assert run(["runs", "export", str(journal), str(target), "--format", "parquet"]) == 0
    rows = pq.read_table(target).to_pylist()
    assert len(rows) == len(lines) == 40
    assert tuple(rows[0]) == parquet.COLUMNS
    for row, line in zip(rows, lines, strict=True):
        assert json.loads(row.pop("payload")) == line.pop("payload")
        assert {name: value for name, value in row.items() if value is not None} == {
            **{name: value for name, value in line.items() if value is not None},
            "take": 1,
        }


def test_what_is_not_json_is_base64_and_row_groups_are_as_long_as_is_held(tmp_path: Path) -> None:
    odd = {"index": 1, "ok": True, "payload_base64": base64.b64encode(b"\xff").decode()}
    some = [json.dumps(odd).encode() + b"\n"] * (parquet.ROWS + 1)
    with files.written(str(tmp_path / "x"), {}, None) as file:
        assert parquet.write(some, file) == parquet.ROWS + 1
    found = pq.ParquetFile(tmp_path / "x")
    assert found.num_row_groups == 2
    assert found.read_row_group(1).to_pylist()[0]["payload_base64"] == "/w=="
    found.close()


def test_a_row_group_of_large_payloads_is_written_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f'{{"index": {n}, "ok": true, "payload": 1}}\n'.encode() for n in range(7)]
    monkeypatch.setattr(parquet, "BYTES", 3 * len(lines[0]))
    with files.written(str(tmp_path / "x"), {}, None) as file:
        assert parquet.write(lines, file) == 7
    found = pq.ParquetFile(tmp_path / "x")
    groups = [found.read_row_group(n)["index"].to_pylist() for n in range(found.num_row_groups)]
    assert groups == [[0, 1, 2], [3, 4, 5], [6]]
    found.close()


def test_what_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "out.gz"
    target.write_bytes(b"before")

    def write() -> None:
        with files.written(str(target), {}, "gz") as file:
            file.write(b"x" * 10_000_000)
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]


def test_an_output_gets_its_name_once_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.jsonl"
    steps: list[tuple[str, int]] = []
    sync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        steps.append(("sync", os.fstat(descriptor).st_size))
        sync(descriptor)

    def replaced(part: str, path: str) -> None:
        steps.append(("replace", os.stat(part).st_size))
        replace(part, path)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    with files.written(str(target), {}, None) as file:
        file.write(b"whole")
    assert steps == [("sync", 5), ("replace", 5)]


def test_an_export_to_a_link_replaces_its_target_and_not_the_link(
    journal: Path, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "out.jsonl", tmp_path / "out.jsonl"
    link.symlink_to(target)
    words = ["runs", "export", str(journal), str(link)]
    assert run(words) == 0
    assert run([*words, "--force"]) == 0
    assert link.is_symlink()
    assert target.read_bytes()


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (["out.parquet"], "out.parquet"),
        (["out.jsonl"], "out.jsonl"),
        (["parts", "--split"], "parts"),
    ],
)
def test_a_full_disk_is_one_line_and_leaves_nothing_half(
    journal: Path, tmp_path: Path, words: list[str], target: str
) -> None:
    # A limit on the file size simulates a full disk, in a separate process.
    program = (
        "import os, resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))\n"
        "from asyncinvoke.cli import main\n"
        "from asyncinvoke.cli.runs import export, exporting\n"
        "exporting._Part.described = lambda part: {'name': 'x' * 30_000}\n"
        'line = \'{"index": 1, "ok": true, "key": "%s"}\'\n'
        "many = [(line % os.urandom(20).hex()).encode() for _ in range(20_000)]\n"
        "export.outcome_lines = lambda run: many\n"
        "try: main()\n"
        # Otherwise coverage could not write its data either.
        "finally: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "runs", "export", str(journal), *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"asyncinvoke: error: cannot write {target}: File too large\n"
    assert list(tmp_path.rglob("*.*")) == []


SPLIT = """
import os, signal, sys
from asyncinvoke.cli import main
from asyncinvoke.cli.runs import exporting
at, number = sys.argv.pop(), int(sys.argv.pop())
whole = getattr(exporting, at)
def die(*_, **__):
    os.kill(os.getpid(), number)
    return whole(*_, **__)
setattr(exporting, at, die)
sys.exit(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_split_export_that_was_killed_is_begun_again(
    journal: Path, tmp_path: Path, number: signal.Signals
) -> None:
    program, parts = tmp_path / "split.py", tmp_path / "parts"
    program.write_text(SPLIT, encoding="utf-8")
    words = ("runs", "export", str(journal), str(parts), "--split")
    killed = forked(str(program), *words, str(int(number)), "as_line", cwd=tmp_path)
    assert killed.status == {signal.SIGKILL: -number}.get(number, 128 + number)
    left = sorted(path.name for path in parts.iterdir())
    assert len(left) == (len(NAMES) + 1 if number == signal.SIGKILL else 0)
    assert not {MANIFEST, *NAMES.values()}.intersection(left)
    # Files that it did not write are not removed, whatever they are called.
    mine = parts / NAMES["failed"]
    mine.write_text("mine")
    assert run(list(words)) == 2
    assert [path.name for path in parts.iterdir()] == [mine.name]
    assert mine.read_text("utf-8") == "mine"
    mine.unlink()
    assert run(list(words)) == 0
    assert {path.name for path in parts.iterdir()} == {MANIFEST, *NAMES.values()}
    assert run(list(words)) == 2
    assert {path.name for path in parts.iterdir()} == {MANIFEST, *NAMES.values()}


def test_of_two_split_exports_to_one_folder_the_first_is_left_alone(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["runs", "export", str(journal), str(tmp_path / "parts"), "--split"]
    statuses: list[int] = []

    def meanwhile(outcome: Any) -> bytes:
        if not statuses:
            statuses.append(run(words))
        return as_line(outcome)

    monkeypatch.setattr(exporting, "as_line", meanwhile)
    assert (run(words), statuses) == (0, [2])
    assert {path.name for path in (tmp_path / "parts").iterdir()} == {MANIFEST, *NAMES.values()}


def test_a_url_is_written_by_fsspec(journal: Path, lines: list[dict[str, Any]]) -> None:
    assert run(["runs", "export", str(journal), "memory://outputs/out.jsonl.gz"]) == 0
    with fsspec.open("memory://outputs/out.jsonl.gz", "rb") as file:
        text = gzip.decompress(file.read())
    assert [json.loads(line) for line in text.splitlines()] == lines


WRONG = {
    "no folder": (["none/out.gz"], "cannot write none/out.gz: its folder does not exist"),
    "there already": (["there.gz"], "output there.gz exists: --force replaces it"),
    "a folder": (["folder.gz", "--force"], "cannot write folder.gz: it is a folder"),
    "a pipe with a name": (
        ["pipe.gz", "--force"],
        "cannot write pipe.gz: it is not a regular file",
    ),
    "Parquet to a pipe": (["-", "--format", "parquet"], "--format parquet needs a FILE"),
    "there already, as a URL": (["file://{here}/there.gz"], "there.gz exists: --force replaces"),
    "the journal, as a URL": (["local://{journal}"], "is the journal"),
    "a URL that is only read": (["http://127.0.0.1:1/o.gz"], "such a URL can only be read"),
    "an unknown URL": (["nix://x/out.gz"], "fsspec knows no nix://"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_an_output_that_cannot_be_written_is_an_error_of_one_line(
    arguments: list[str],
    message: str,
    journal: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.gz").touch()
    (tmp_path / "folder.gz").mkdir()
    os.mkfifo(tmp_path / "pipe.gz")
    arguments = [each.format(here=tmp_path, journal=journal) for each in arguments]
    assert run(["runs", "export", str(journal), *arguments]) == 2
    error = capfd.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert (tmp_path / "pipe.gz").is_fifo()


def test_without_the_library_nothing_is_begun(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['pyarrow'] = None; sys.modules['zstandard'] = None\n"
        "from asyncinvoke._outputs import files, parquet\n"
        "for work in (parquet.library, lambda: files.check('x', {}, 'zst')):\n"
        "    try: work()\n"
        "    except Exception as error: print(f'{type(error).__name__}: {error}')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ},
    )
    lacks = "needs {}, which is not installed: pip install 'asyncinvoke[{}]'"
    assert done.stdout.splitlines() == [
        "ConfigurationError: Parquet " + lacks.format("pyarrow", "parquet"),
        "ConfigurationError: zstd " + lacks.format("zstandard", "inputs"),
    ]


def test_an_error_of_a_target_shows_nothing_secret() -> None:
    with pytest.raises(OutputError) as caught, files.written("file:///proc/x/y?hunter2", {}, None):
        pass
    assert "hunter2" not in str(caught.value)


class _Awkward(fsspec.implementations.memory.MemoryFileSystem):  # type: ignore[misc]  # it has no types
    """A file system whose files raise custom errors when they are opened, written or closed."""

    protocol = "awkward"
    cachable = False

    def _open(self, path: str, mode: str = "rb", **_options: Any) -> Any:
        if path.endswith("opened"):
            raise LookupError("sekret")
        file = MagicMock(closed=False)  # it has a path attribute, as files of fsspec do
        file.__enter__.return_value = file
        file.__exit__.side_effect = LookupError("sekret") if path.endswith("closed") else None
        file.write.side_effect = LookupError("sekret") if path.endswith("written") else None
        return file


@pytest.mark.parametrize("when", ["opened", "written", "closed"])
@pytest.mark.parametrize("kind", [Kind(), Kind(format="parquet"), Kind(compression="gz")], ids=str)
def test_every_error_of_a_file_system_becomes_an_output_error(when: str, kind: Kind) -> None:
    fsspec.register_implementation("awkward", _Awkward, clobber=True)
    with pytest.raises(OutputError, match=r"^cannot write awkward://x/.*: LookupError$"):
        write_lines([b'{"index": 0, "ok": true}\n'], f"awkward://x/{when}", kind)


def test_an_error_of_the_writer_is_not_attributed_to_the_file_system() -> None:
    with pytest.raises(LookupError), files.written("memory://outputs/none", {}, None):
        raise LookupError


def test_keys_that_are_not_valid_unicode_are_written_to_parquet(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    line = {"index": 0, "ok": True, "key": "\ud800", "payload": "\udfff"}
    assert write_lines([json.dumps(line).encode() + b"\n"], str(path), Kind(format="parquet")) == 1
    (row,) = pq.read_table(path).to_pylist()
    assert (row["key"], row["payload"]) == ("\\ud800", '"\\udfff"')


def test_an_output_that_is_a_url_of_the_input_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("{}\n")
    arguments = ["--endpoint-url", "http://127.0.0.1:1", "--region", "us-east-1", "--force"]
    assert run(["map", "f", str(path), *arguments, "--output", f"file://{path}"]) == 2
    assert "is the input" in capfd.readouterr().err
    assert path.read_text("utf-8") == "{}\n"
