"""Compressed inputs, made by other tools: cut, joined, damaged and mislabelled."""

import gzip
import shutil
import subprocess
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke._inputs.compression import AT_ONCE, SLICE, Frames, Gzip, Zstd
from asyncinvoke.inputs import InputError

from .cutting import pieces_of

KINDS: dict[str, tuple[type[Gzip] | type[Zstd], Callable[[bytes], bytes]]] = {
    "gzip": (Gzip, gzip.compress),
    "zstd": (Zstd, zstandard.compress),
}


def unpacked(frames: Frames, pieces: list[bytes]) -> bytes:
    out = b"".join(out for piece in pieces for out in frames.feed(piece))
    frames.finish()
    return out


@pytest.mark.parametrize("kind", KINDS)
@given(texts=st.lists(st.binary(max_size=50), min_size=1, max_size=3), data=st.data())
def test_streams_one_after_the_other_are_one_text_wherever_they_are_cut(
    kind: str, texts: list[bytes], data: st.DataObject
) -> None:
    of_kind, compress = KINDS[kind]
    packed = b"".join(map(compress, texts))
    assert unpacked(of_kind("in"), pieces_of(data, packed)) == b"".join(texts)
    end = data.draw(st.integers(1, len(compress(texts[-1])) - 1))
    with pytest.raises(InputError, match=r"in is truncated: its .* data have no end"):
        unpacked(of_kind("in"), [packed[:-end]])


@pytest.mark.parametrize("kind", KINDS)
def test_the_cost_of_many_short_streams_in_one_block_is_linear(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_kind, compress = KINDS[kind]
    given = 0
    decompress = of_kind._decompress

    def counted(self: Any, block: bytes) -> tuple[bytes, bytes]:
        nonlocal given
        given += len(block)
        return decompress(self, block)

    monkeypatch.setattr(of_kind, "_decompress", counted)
    packed = compress(b"{}\n") * 4_000
    assert unpacked(of_kind("in"), [packed]) == b"{}\n" * 4_000
    # If the rest of the block were copied each time, it would be about 2,000 times as many bytes.
    assert given < 4_000 * SLICE


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_command_has_packed_is_read(kind: str) -> None:
    if shutil.which(kind) is None:
        pytest.skip(f"there is no command {kind} on this machine")
    text = b"some text\n" * 100_000
    packed = subprocess.run([kind, "-c"], input=text, capture_output=True, check=True).stdout
    pieces = [packed[at : at + 1000] for at in range(0, len(packed), 1000)]
    assert unpacked(KINDS[kind][0]("in"), pieces) == text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "data", [b"a,b\n1,2\n", b"\0" * 20, b"x"], ids=["text", "zeros", "one letter"]
)
def test_what_is_not_compressed_is_named(kind: str, data: bytes) -> None:
    with pytest.raises(InputError, match=f"in is not compressed with {kind}"):
        unpacked(KINDS[kind][0]("in"), [data])
    with pytest.raises(InputError, match=f"in is empty, and not compressed with {kind}"):
        unpacked(KINDS[kind][0]("in"), [])


def test_zeros_after_the_end_are_no_stream() -> None:
    assert unpacked(Gzip("in"), [gzip.compress(b"x") + bytes(512), bytes(512)]) == b"x"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("garbage", [b"garbage", b"\n", b"\0\0{", b"\x1e\x8b", b"\x28\xb5\x2f\xfc"])
def test_other_bytes_after_the_end_are_reported_wherever_it_is_cut(
    kind: str, garbage: bytes
) -> None:
    of_kind, compress = KINDS[kind]
    packed = compress(b"x")
    for pieces in ([packed + garbage], [packed, garbage], [packed + garbage[:1], garbage[1:]]):
        with pytest.raises(InputError, match="in is damaged: "):
            unpacked(of_kind("in"), pieces)


@pytest.mark.parametrize("number", [0, 7, 15])
def test_frames_of_zstd_that_hold_no_data_are_skipped(number: int) -> None:
    skipped = bytes([0x50 + number]) + b"\x2a\x4d\x18\4\0\0\0data"
    packed = skipped + zstandard.compress(b"x") + skipped + zstandard.compress(b"y") + skipped
    assert unpacked(Zstd("in"), [packed]) == b"xy"
    assert unpacked(Zstd("in"), [packed[at : at + 1] for at in range(len(packed))]) == b"xy"


def test_a_frame_that_needs_too_much_memory_is_not_reported_as_damaged() -> None:
    a_raw_byte = b"\x09\0\0x"
    for exponent, window in ((17, 2**27), (18, 2**28)):
        frame = b"\x28\xb5\x2f\xfd\0" + bytes([exponent << 3]) + a_raw_byte
        if window == 2**27:
            assert unpacked(Zstd("in"), [frame]) == b"x"
            continue
        with pytest.raises(InputError, match="in has a zstd window of more than 128 MiB: zstd -dc"):
            unpacked(Zstd("in"), [frame])


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_named(kind: str) -> None:
    of_kind, compress = KINDS[kind]
    packed = bytearray(compress(bytes(range(256)) * 100) * 2)
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(InputError, match="in is damaged"):
        unpacked(of_kind("in"), [bytes(packed)])


def test_a_small_damaged_file_is_not_reported_as_uncompressed() -> None:
    packed = bytearray(gzip.compress(b"some text\n"))
    packed[-6] ^= 0xFF
    with pytest.raises(InputError, match="in is damaged: incorrect data check"):
        unpacked(Gzip("in"), [bytes(packed)])


def test_highly_compressed_data_is_read_piece_by_piece() -> None:
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packed.compress(bytes(64 * AT_ONCE)) + packed.flush()
    sizes = [len(piece) for piece in Gzip("in").feed(bomb)]
    assert sum(sizes) == 64 * AT_ONCE
    assert max(sizes) <= AT_ONCE
