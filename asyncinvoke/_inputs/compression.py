"""Decompression block by block, in bounded pieces: gzip (standard library) and zstd (`zstandard`)."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol

from asyncinvoke._inputs.formats import InputError, missing

AT_ONCE = 1_048_576
"""The maximum number of bytes that gzip returns at once, whatever the compression ratio."""

SLICE = 4_096
"""The number of bytes that are decompressed at once. The size of what zstd makes of them is limited
by the format only; and what follows the end of a stream within them is copied."""


_SKIPPABLE = tuple(bytes([number]) + b"\x2a\x4d\x18" for number in range(0x50, 0x60))
_BEGINNINGS = {"gzip": (b"\x1f\x8b",), "zstd": (b"\x28\xb5\x2f\xfd", *_SKIPPABLE)}
"""The magic numbers of each format. Zstd also has skippable frames, which contain no data."""

_WINDOW = 2**27
"""The largest window of a zstd frame, in bytes; the same as the default of the `zstd` command."""


class Decompressor(Protocol):
    """Decompresses a sequence of blocks."""

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Decompress a block; yield the data in pieces."""

    def finish(self) -> None:
        """Check that the data are complete.

        Raises:
            InputError: They are not.
        """


class Frames(ABC):
    """Decompresses one or more concatenated streams, as written by `cat a.gz b.gz`.

    Args:
        name: The name of the input in messages.
        kind: The name of the format: gzip or zstd.
        may_be_plain: Whether data that are not compressed are returned as they are.

    Raises:
        InputError: By `feed` and `finish`: the input is not compressed, damaged, or incomplete.
    """

    def __init__(self, name: str, kind: str, *, may_be_plain: bool = False) -> None:
        self._name = name
        self._kind = kind
        self._is_plain = None if may_be_plain else False  # decided by the first block
        self._inner: Any = None
        self._any = False

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Decompress a block; yield the data in pieces."""
        if self._is_plain is None:
            self._is_plain = not self._is_beginning(block)
        if self._is_plain:
            yield block
            return
        for start in range(0, len(block), SLICE):
            yield from self._unpacked(block[start : start + SLICE])

    def _unpacked(self, rest: bytes) -> Iterator[bytes]:
        while rest:
            if self._inner is None:
                if self._any:
                    # Tapes and some tools pad the end with zeros.
                    rest = rest.lstrip(b"\0")
                    if not rest:
                        return
                self._check_beginning(rest)
                self._inner = self._begin()
            piece, rest = self._some(rest)
            if piece:
                yield piece

    def _is_beginning(self, block: bytes) -> bool:
        return any(block[: len(each)] == each[: len(block)] for each in _BEGINNINGS[self._kind])

    def _check_beginning(self, block: bytes) -> None:
        if self._is_beginning(block):
            return
        if self._any:
            raise InputError(
                f"{self._name} is damaged: something else follows the end of its {self._kind} data"
            )
        raise InputError(f"{self._name} is not compressed with {self._kind}")

    def _some(self, block: bytes) -> tuple[bytes, bytes]:
        try:
            piece, rest = self._decompress(block)
        except Exception as error:  # noqa: BLE001  # each library has its own
            if "too much memory" in str(error):
                raise InputError(
                    f"{self._name} has a zstd window of more than {_WINDOW >> 20} MiB: "
                    "zstd -dc --long=31 unpacks it"
                ) from None
            raise InputError(f"{self._name} is damaged: {_short(error)}") from None
        self._any = True
        if self._inner.eof:
            rest = self._inner.unused_data + rest
            self._inner = None
        return piece, rest

    def finish(self) -> None:
        """Check that the data are complete."""
        if self._inner is not None:
            raise InputError(f"{self._name} is truncated: its {self._kind} data have no end")
        if not self._any and self._is_plain is False:
            raise InputError(f"{self._name} is empty, and not compressed with {self._kind}")

    @abstractmethod
    def _begin(self) -> Any:
        """Return the library's decompressor of one frame."""

    @abstractmethod
    def _decompress(self, block: bytes) -> tuple[bytes, bytes]:
        """Return the decompressed data, and the part of the block that was not consumed."""


class Gzip(Frames):
    """Decompresses gzip with one or more members."""

    def __init__(self, name: str, *, may_be_plain: bool = False) -> None:
        super().__init__(name, "gzip", may_be_plain=may_be_plain)

    def _begin(self) -> Any:
        return zlib.decompressobj(zlib.MAX_WBITS | 16)

    def _decompress(self, block: bytes) -> tuple[bytes, bytes]:
        piece = self._inner.decompress(block, AT_ONCE)
        return piece, self._inner.unconsumed_tail


class Zstd(Frames):
    """Decompresses Zstandard with one or more frames.

    Raises:
        ConfigurationError: `zstandard` is not installed.
    """

    def __init__(self, name: str, *, may_be_plain: bool = False) -> None:
        super().__init__(name, "zstd", may_be_plain=may_be_plain)
        try:
            import zstandard
        except ImportError:
            raise missing("zstd", "zstandard", "inputs") from None
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)

    def _begin(self) -> Any:
        return self._decompressor.decompressobj()

    def _decompress(self, block: bytes) -> tuple[bytes, bytes]:
        return self._inner.decompress(block), b""


def _short(error: Exception) -> str:
    # The messages of both libraries describe the format, and quote no data.
    return str(error).removeprefix("Error -3 while decompressing data: ")
