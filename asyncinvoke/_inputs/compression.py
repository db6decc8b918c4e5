"""Decompression block by block, in bounded pieces: gzip (standard library) and zstd (`zstandard`)."""

import zlib
from collections.abc import Iterator
from typing import Any, Protocol

from asyncinvoke._inputs.formats import InputError, missing

AT_ONCE = 1_048_576
"""Most bytes that come out of gzip at once, whatever is packed into them."""

_SLICE = 4_096
"""How many bytes zstd is given at once: what comes out has no limit but that of the format."""


_SKIPPABLE = tuple(bytes([number]) + b"\x2a\x4d\x18" for number in range(0x50, 0x60))
_BEGINNINGS = {"gzip": (b"\x1f\x8b",), "zstd": (b"\x28\xb5\x2f\xfd", *_SKIPPABLE)}
"""What a stream may begin with, one after another: zstd also has frames that hold no data."""

_WINDOW = 2**27
"""The largest window of zstd that is accepted, in bytes; that of the `zstd` command."""


class Decompressor(Protocol):
    """What turns blocks into longer ones."""

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Take some bytes; give what they hold, in pieces."""

    def finish(self) -> None:
        """Check that nothing is missing.

        Raises:
            InputError: Something is.
        """


class Frames:
    """Any number of compressed streams, one after the other, as `cat a.gz b.gz` makes them.

    Args:
        name: What the input is called.
        kind: What it is called that it is: gzip or zstd.

    Raises:
        InputError: By `feed` and `finish`: it is none, is damaged, or breaks off.
    """

    def __init__(self, name: str, kind: str) -> None:
        self._name = name
        self._kind = kind
        self._inner: Any = None
        self._any = False

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Take some bytes; give what they hold, in pieces."""
        while block:
            if self._inner is None:
                if self._any:
                    # Tapes and some tools fill the end up.
                    block = block.lstrip(b"\0")
                    if not block:
                        return
                self._check_beginning(block)
                self._inner = self._begin()
            piece, block = self._some(block)
            if piece:
                yield piece

    def _check_beginning(self, block: bytes) -> None:
        if any(block[: len(each)] == each[: len(block)] for each in _BEGINNINGS[self._kind]):
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
        """Check that nothing is missing."""
        if self._inner is not None:
            raise InputError(f"{self._name} breaks off: its {self._kind} data have no end")
        if not self._any:
            raise InputError(f"{self._name} is empty, and not compressed with {self._kind}")

    def _begin(self) -> Any:
        raise NotImplementedError

    def _decompress(self, block: bytes) -> tuple[bytes, bytes]:
        """Return what came out, and what of the block was not looked at."""
        raise NotImplementedError


class Gzip(Frames):
    """Gzip, of one member or more."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "gzip")

    def _begin(self) -> Any:
        return zlib.decompressobj(zlib.MAX_WBITS | 16)

    def _decompress(self, block: bytes) -> tuple[bytes, bytes]:
        piece = self._inner.decompress(block, AT_ONCE)
        return piece, self._inner.unconsumed_tail


class Zstd(Frames):
    """Zstandard, of one frame or more.

    Raises:
        ConfigurationError: `zstandard` is not installed.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, "zstd")
        try:
            import zstandard
        except ImportError:
            raise missing("zstd", "zstandard", "inputs") from None
        self._library = zstandard

    def _begin(self) -> Any:
        return self._library.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()

    def _decompress(self, block: bytes) -> tuple[bytes, bytes]:
        return self._inner.decompress(block[:_SLICE]), block[_SLICE:]


def _short(error: Exception) -> str:
    # They say what is wrong with the format, and nothing of what is in it.
    return str(error).removeprefix("Error -3 while decompressing data: ")
