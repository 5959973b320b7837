"""Write files so that a reader sees the old content or the new one, never a part.

content -> temporary file in the same folder -> flush, fsync -> ``os.replace`` onto the name.

A process killed on the way leaves at most a temporary file (its name ends in ``.reparam-tmp``), which
``sweep`` removes.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

SUFFIX = ".reparam-tmp"

_REMEDIES = {
    errno.ENOSPC: ("the disk is full", "free some space or choose another disk"),
    errno.EDQUOT: ("the disk quota is used up", "free some space or choose another disk"),
    errno.EFBIG: ("the file would be larger than allowed", "raise the limit (ulimit -f) or write less"),
    errno.EACCES: ("no permission to write there", "change the permissions or choose another folder"),
    errno.EPERM: ("no permission to write there", "change the permissions or choose another folder"),
    errno.EROFS: ("the file system is read-only", "choose another folder"),
    errno.ENOENT: ("its folder does not exist", "make the folder first"),
    errno.ENOTDIR: ("a part of its path is a file, not a folder", "choose another path"),
    errno.EISDIR: ("a folder of that name stands there", "choose another name"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter name"),
}


class FileError(OSError, ValueError):
    """Say in one line why a file could not be written or read, and what to do."""


def explain(path: str | os.PathLike[str], error: OSError, *, who: str = "write") -> FileError:
    """Turn an operating system's error at ``path`` into one line with a remedy."""
    number = (
        errno.EISDIR if os.path.isdir(path) and error.errno in (errno.EACCES, errno.EPERM) else error.errno
    )
    got, remedy = _REMEDIES.get(number or 0, (error.strerror or str(error), "choose another path"))
    return FileError(f"{who}: {os.fspath(path)} could not be written; {got}; {remedy}")


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str], *, who: str = "write") -> Iterator[BinaryIO]:
    """Open a file for writing that takes the name ``path`` only when the block ends without an error.

    Args:
        path: where the file shall stand; a symbolic link is followed, the file it names is replaced.
        who: the first word of an error.

    Raises:
        FileError: no permission, a full disk, no such folder; what stood at ``path`` is untouched.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with atomic(folder / "a.txt") as file:
        ...     _ = file.write(b"all or nothing")
        >>> (folder / "a.txt").read_bytes()
        b'all or nothing'
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}{SUFFIX}")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        _discard(temporary)
        raise explain(path, error, who=who) from error
    except BaseException:
        _discard(temporary)
        raise


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str], *, who: str = "write") -> Iterator[Path]:
    """Fill a folder that takes the name ``path`` only when the block ends without an error.

    Missing parents are made. Raises FileError where something stands at ``path`` already (an empty
    folder is taken over).
    """
    target = Path(os.path.abspath(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}{SUFFIX}")
    try:
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise FileError(f"{who}: {os.fspath(path)} must be a new folder; it exists; choose another name")
        target.parent.mkdir(parents=True, exist_ok=True)
        _discard_abandoned(target)
        temporary.mkdir()
        yield temporary
        if target.is_dir():
            target.rmdir()
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except FileError:
        _discard(temporary)
        raise
    except OSError as error:
        _discard(temporary)
        raise explain(path, error, who=who) from error
    except BaseException:
        _discard(temporary)
        raise


def write_bytes(path: str | os.PathLike[str], content: bytes, *, who: str = "write") -> None:
    """Write bytes atomically."""
    with atomic(path, who=who) as file:
        file.write(content)


def write_text(path: str | os.PathLike[str], text: str, *, who: str = "write") -> None:
    """Write text atomically, as UTF-8 with the line ends it has."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"), who=who)


def write_json(path: str | os.PathLike[str], value: Any, *, who: str = "write") -> None:
    """Write a value atomically as indented JSON; nan and inf, which JSON lacks, are refused."""
    write_text(path, _json(value, path, who, indent=2) + "\n", who=who)


def write_json_lines(path: str | os.PathLike[str], records: Iterable[Any], *, who: str = "write") -> None:
    """Write one JSON value on each line, atomically, replacing what was there."""
    write_text(path, "".join(_json(record, path, who) + "\n" for record in records), who=who)


def read_json(path: str | os.PathLike[str], *, who: str = "read") -> Any:
    """Read a JSON file. Raises FileError where it is missing, unreadable or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(f"{who}: {os.fspath(path)} must be a readable JSON file; {reason}") from error
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise FileError(f"{who}: {os.fspath(path)} must hold JSON; got a broken file ({reason})") from error


def sweep(folder: str | os.PathLike[str]) -> list[Path]:
    """Remove the temporary files and folders that killed processes left in ``folder``; give their paths."""
    left = sorted(Path(folder).glob(f".*{SUFFIX}"))
    for path in left:
        _discard(path)
    return left


def _discard_abandoned(target: Path) -> None:
    """Remove the temporary folders of `target` whose processes are gone: they were killed while they made it."""
    if os.name != "posix":  # elsewhere nothing tells a live process without touching it
        return
    for path in target.parent.glob(f".{glob.escape(target.name)}.*{SUFFIX}"):
        owner = path.name.removeprefix(f".{target.name}.").split(".")[0]
        if owner.isdigit() and not _is_running(int(owner)):
            _discard(path)


def _is_running(process: int) -> bool:
    if process == os.getpid():
        return False  # a namesake of ours: this process is about to make its own
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _json(value: Any, path: str | os.PathLike[str], who: str, *, indent: int | None = None) -> str:
    try:
        text = json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=False)
        if any("\ud800" <= c <= "\udfff" for c in text):  # a file name that is not UTF-8
            text = json.dumps(value, indent=indent, allow_nan=False)
        return text
    except (TypeError, ValueError) as error:
        raise FileError(
            f"{who}: {os.fspath(path)} must get finite numbers, strings, lists and dicts; {error}"
        ) from error


def _discard(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable (POSIX; other systems offer no such call)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
