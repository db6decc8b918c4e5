"""A program that runs AWS's runtime in a sandbox: with its own `/tmp` and read-only code.

It is run as `confined.py HANDLER TMP CODE [LAYER...]` and imports nothing from this package. The
arguments are the handler, the directory to mount as `/tmp`, and the directories of its code and layers,
which become read-only. It needs no privileges: in its own user and mount namespaces it may mount what
only it can see. Whatever the runtime needs from the real `/tmp`, such as a virtual environment there,
remains available.
"""

import ctypes
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000
_READ_ONLY, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 1, 32, 4096, 16384, 1 << 18
# Flags that a remount must keep: a user namespace may not clear them.
_KEPT = {
    os.ST_NOSUID: 2,
    os.ST_NODEV: 4,
    os.ST_NOEXEC: 8,
    os.ST_NOATIME: 1024,
    os.ST_NODIRATIME: 2048,
    os.ST_RELATIME: 1 << 21,
}
TMP = Path("/tmp")  # noqa: S108  # the path that functions use

_libc = ctypes.CDLL(None, use_errno=True)


def confine(code: Sequence[Path], tmp: Path) -> None:
    """Mount `tmp` as `/tmp` and each directory of `code` read-only, for this process only.

    Raises:
        OSError: The system does not allow it.
    """
    for directory in code:
        if TMP.is_relative_to(directory):
            raise OSError(f"code in {directory} would hide /tmp")
    uid, gid = os.geteuid(), os.getegid()
    _check(_libc.unshare(_NEW_MOUNTS | (_NEW_USER if uid else 0)))
    if uid:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _mount("none", "/", _RECURSIVE | _PRIVATE)
    # Opened now, because the new /tmp will hide their paths.
    needed = {path: os.open(path, os.O_PATH) for path in _needed_of_tmp(code)}
    _mount(tmp, TMP, _BIND)
    for path, descriptor in needed.items():
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        _mount(f"/proc/self/fd/{descriptor}", path, _BIND | _RECURSIVE)
        os.close(descriptor)
    for directory in code:
        if directory not in needed:
            _mount(directory, directory, _BIND | _RECURSIVE)
        has = os.statvfs(directory).f_flag
        kept = sum(flag for seen, flag in _KEPT.items() if has & seen)
        _mount("none", directory, _REMOUNT | _BIND | _READ_ONLY | kept)
    os.chdir(code[0])


def _needed_of_tmp(code: Sequence[Path]) -> list[Path]:
    """Return the needed paths in the real `/tmp`, outermost first, without those inside another."""
    needed = [*code, *map(Path, (*sys.path, sys.prefix, sys.base_prefix, sys.executable))]
    inside = {path.resolve() for path in needed if path.exists() and path.resolve() != TMP}
    found: list[Path] = []
    for path in sorted(path for path in inside if path.is_relative_to(TMP)):
        if path in code or not any(path.is_relative_to(other) for other in found):
            found.append(path)
    return found


def _mount(source: object, target: object, flags: int) -> None:
    paths = (os.fsencode(str(path)) for path in (source, target))
    _check(_libc.mount(*paths, None, ctypes.c_ulong(flags), None))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main() -> None:
    """Set up the sandbox and run the runtime in this process."""
    handler, tmp, *code = sys.argv[1:]
    sys.path[0] = code[0]  # instead of the directory of this file
    try:
        confine([Path(directory) for directory in code], Path(tmp))
    except OSError as error:
        sys.exit(f"this system does not allow a sandbox: {error}")
    sys.argv = ["awslambdaric", handler]
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
