"""When the code of a handler was changed last: its file, and the files that it imports from its folder.

Imports are read from the source, each file once until it changes; what is imported in other ways is
not seen, nor what lies outside of the folder.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from asyncinvoke.local.functions.configuration import Source


class Imports:
    """The files of one handler.

    Args:
        source: Where the handler is.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._imported: dict[Path, tuple[int, tuple[Path, ...]]] = {}

    def stamp(self) -> int:
        """Return a number that changes with any of the files; 0 if there are none."""
        if self._source.file is None:
            return 0
        seen: dict[Path, int] = {}
        waiting = [self._source.file]
        while waiting:
            file = waiting.pop()
            if file in seen:
                continue
            try:
                seen[file] = changed = file.stat().st_mtime_ns
            except OSError:
                continue
            known = self._imported.get(file)
            if known is None or known[0] != changed:
                known = changed, tuple(self._imports_of(file))
                self._imported[file] = known
            waiting += known[1]
        return hash(tuple(sorted(seen.items()))) if seen else 0

    def _imports_of(self, file: Path) -> Iterator[Path]:
        try:
            tree = ast.parse(file.read_bytes())
        except (OSError, SyntaxError, ValueError, RecursionError):
            return
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from self._files(self._source.directory, alias.name.split("."))
            elif isinstance(node, ast.ImportFrom):
                base = self._source.directory
                if node.level:
                    base = file.parents[min(node.level, len(file.parents)) - 1]
                parts = node.module.split(".") if node.module else []
                yield from self._files(base, parts)
                for alias in node.names:
                    yield from self._files(base, [*parts, alias.name])

    def _files(self, base: Path, parts: list[str]) -> Iterator[Path]:
        """Yield the files that a dotted name may mean: its packages, and itself."""
        for part in parts:
            yield base / part / "__init__.py"
            yield base / f"{part}.py"
            base = base / part
