"""Find what people name: the embedded digits, an ``.npy``, an ``.npz``, a folder of pictures.

A file is judged by its first bytes, never by its suffix, and nothing is ever unpickled.
"""

from __future__ import annotations

import difflib
import os
import zipfile
import zlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from reparam.data.arrays import from_array
from reparam.data.dataset import DataError, Dataset
from reparam.data.folder import is_picture, read_folder
from reparam.data.resize import check_size, resized

NAMES = ("digits",)
DATA_KEYS = ("x", "X", "images", "data")
LABEL_KEYS = ("y", "Y", "labels", "label")
READABLE = "reparam reads .npy, .npz and folders of pictures"

_FOREIGN = {
    b"PAR1": "a Parquet file; save its numbers with numpy.save",
    b"\x89HDF": "an HDF5 file; save its array with numpy.save",
    b"\x80": "a pickle, which could run any code when read; save the array with numpy.save",
    b"\x1f\x8b": "a gzip file; unpack it first",
    b"%PDF": "a PDF document; export its pictures to a folder",
}


def load(
    path_or_name: str | os.PathLike[str],
    *,
    key: str | None = None,
    size: int | None = None,
    kind: str | None = None,
) -> Dataset:
    """Load a data set by its name or path.

    Args:
        path_or_name: "digits" (embedded; ``./digits`` for a folder of that name); the path of an ``.npy``
            or ``.npz`` file, where ``PATH:KEY`` chooses an array of the latter; or a folder of pictures,
            whose subfolders are the classes.
        key: the array of an ``.npz``. Without it: its only array, else one named x, X, images or data.
        size: side in pixels that pictures are brought to (short side resized, centre cropped).
        kind: "pictures", "binary", "counts" or "real" in place of what the values suggest (arrays only).

    Raises:
        DataError: one line that says what is wrong with the data and what to do.

    Example:
        >>> load("digits").note[0]
        '1,797 hand-written digits, 8 x 8 pixels, 17 grey levels (UCI, CC BY 4.0; see NOTICE)'
        >>> load("digitz")
        Traceback (most recent call last):
        ...
        reparam.data.dataset.DataError: load: digitz must be a file, a folder or a name; got no such file; \
did you mean 'digits'?
    """
    check_size(size)
    if path_or_name in NAMES:
        if key is not None or kind is not None:
            raise DataError(
                f"load: {path_or_name} takes no key and no kind; got {key!r} and {kind!r}; leave them out"
            )
        data = _digits()
    else:
        try:
            path, key = _find(os.fspath(path_or_name), key)
            data = _read_folder(path, key, kind, size) if path.is_dir() else _read_file(path, key, kind)
        except PermissionError as error:
            at = error.filename or path_or_name
            raise DataError(
                f"load: {at} must be readable; got no permission; change it with chmod +r"
            ) from error
        except OSError as error:
            what = error.strerror or error
            raise DataError(
                f"load: {path_or_name} could not be read; {what}; check the path and the disk"
            ) from error
        except MemoryError as error:
            raise DataError(f"load: {path_or_name} does not fit into memory; save a part of it") from error
    return data if size is None else resized(data, size)


def _digits() -> Dataset:
    with resources.files("reparam.data").joinpath("digits.npz").open("rb") as file, np.load(file) as arrays:
        x, y = arrays["x"], arrays["y"]
    return Dataset(
        name="digits",
        kind="pictures",
        x=torch.from_numpy(x[:, None]),
        levels=17,
        labels=torch.from_numpy(y.astype(np.int64)),
        note=("1,797 hand-written digits, 8 x 8 pixels, 17 grey levels (UCI, CC BY 4.0; see NOTICE)",),
    )


def _find(text: str, key: str | None) -> tuple[Path, str | None]:
    """Split PATH:KEY where PATH exists; refuse what does not exist, with near names."""
    if not text:
        raise DataError("load: the data must have a name or a path; got nothing; write digits, or a path")
    path = Path(text).expanduser()
    if path.exists():
        return path, key
    front, colon, back = text.rpartition(":")
    if colon and back and key is None and Path(front).expanduser().is_file():
        return Path(front).expanduser(), back
    folder = path.parent
    beside = sorted(n for n in os.listdir(folder) if not n.startswith(".")) if folder.is_dir() else []
    near = difflib.get_close_matches(path.name, [*NAMES, *beside], n=2, cutoff=0.7)
    if near:
        remedy = "did you mean " + " or ".join(repr(n if n in NAMES else str(folder / n)) for n in near) + "?"
    elif not folder.is_dir():
        remedy = f"the folder {folder} does not exist either"
    else:
        remedy = f"known names: {', '.join(NAMES)}"
    raise DataError(f"load: {text} must be a file, a folder or a name; got no such file; {remedy}")


def _read_folder(path: Path, key: str | None, kind: str | None, size: int | None) -> Dataset:
    if key is not None or kind is not None:
        raise DataError(
            f"load: {path} is a folder, takes no key and no kind; got {key!r} and {kind!r}; leave them out"
        )
    return read_folder(path, size)


def _read_file(path: Path, key: str | None, kind: str | None) -> Dataset:
    if not path.is_file():
        raise DataError(
            f"load: {path} must be a file or a folder; got a device, pipe or socket; save it to a file first"
        )
    with path.open("rb") as file:
        start = file.read(4096)
        if start.startswith(b"\x93NUMPY"):
            if key is not None:
                raise DataError(
                    f"load: {path} is an .npy file with one array and takes no key; got key={key!r}"
                )
            array = _read_npy(file, path.stat().st_size, str(path))
            return from_array(array, name=str(path), kind=kind, who="load")
    if start.startswith(b"PK"):
        return _read_npz(path, key, kind)
    raise DataError(f"load: {path} must be something that can be read; got {_guess(path, start)}; {READABLE}")


def _guess(path: Path, start: bytes) -> str:
    """Say what a file that cannot be read seems to be."""
    if not start:
        return "an empty file"
    for magic, what in _FOREIGN.items():
        if start.startswith(magic):
            return what
    if is_picture(path):
        return "one picture; put the pictures into a folder and name the folder"
    if b"\0" not in start:
        try:
            start[: len(start) - 3 if len(start) == 4096 else None].decode("utf-8")
        except UnicodeDecodeError:
            pass
        else:
            return "text; turn a table into an array: numpy.save('x.npy', numpy.loadtxt(path, delimiter=','))"
    if path.suffix in (".npy", ".npz"):
        return f"a broken {path.suffix} file, which starts with {start[:6]!r}; save it again"
    return f"an unknown format, which starts with {start[:6]!r}"


def _read_npy(file: BinaryIO, size: int, where: str) -> np.ndarray:
    """Read one array after comparing what its header promises with the bytes that are there."""
    broken = f"load: {where} must be a whole array"
    try:
        file.seek(0)
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise DataError(
                f"load: {where} must be a plain array of numbers; got .npy version {version}; save it again"
            )
        header = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = header(file)
    except DataError:
        raise
    except (ValueError, EOFError, TypeError, SyntaxError, KeyError, IndexError) as error:
        raise DataError(f"{broken}; got a broken header ({_line(error)}); save it again") from error
    if dtype.hasobject:
        raise DataError(
            f"load: {where} must be an array of numbers; got Python objects, which only unpickling, "
            f"unsafe, could read; save numbers: np.save(path, np.asarray(x.tolist(), dtype='float32'))"
        )
    expected = int(np.prod(shape, dtype=object)) * dtype.itemsize
    found = size - file.tell()
    if found != expected:
        word = "a truncated file" if found < expected else "more than one array"
        raise DataError(
            f"{broken}; got {word}: the header promises {expected:,} bytes, {found:,} are there; "
            f"save it again"
        )
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def _read_npz(path: Path, key: str | None, kind: str | None) -> Dataset:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
            if not names:
                members = archive.namelist()
                pickled = any(member.endswith(".pkl") for member in members)
                got = (
                    "a PyTorch file, a pickle"
                    if pickled
                    else f"a zip file with {', '.join(members[:3]) or 'nothing'}"
                )
                raise DataError(
                    f"load: {path} must hold at least one array; got {got}; "
                    f"save arrays with numpy.savez(path, x=x)"
                )
            chosen, why = _choose_key(names, key, path)
            array = _read_member(archive, chosen, path)
            labels, named = _find_labels(archive, names, chosen, len(array) if array.ndim else 0, path)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise DataError(
            f"load: {path} must be a whole .npz file; got a broken one ({_line(error)}); "
            f"save or copy it again"
        ) from error
    where = f"{path}:{chosen}" if len(names) > 1 else str(path)
    return from_array(array, labels, name=where, kind=kind, note=(*why, *named), who="load")


def _read_member(archive: zipfile.ZipFile, name: str, path: Path) -> np.ndarray:
    info = archive.getinfo(name + ".npy")
    with archive.open(info) as member:
        return _read_npy(member, info.file_size, f"{path}:{name}")  # type: ignore[arg-type]


def _choose_key(names: Sequence[str], key: str | None, path: Path) -> tuple[str, tuple[str, ...]]:
    listed = ", ".join(sorted(names))
    if key is not None:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "choose one of them"
            raise DataError(f"load: {path} must hold the array {key!r}; got {listed}; {hint}")
        return key, (f"array {key!r} of {len(names)}, as asked",)
    data = [n for n in names if n not in LABEL_KEYS]
    if len(names) == 1:
        return names[0], ()
    obvious = data if len(data) == 1 else [n for n in data if n in DATA_KEYS]
    if len(obvious) == 1:
        return obvious[0], (f"array {obvious[0]!r} chosen among {listed}",)
    raise DataError(
        f"load: {path} holds several arrays and one must be chosen; got {listed}; "
        f"write {path}:{sorted(data or names)[0]} or give key="
    )


def _find_labels(
    archive: zipfile.ZipFile, names: Sequence[str], chosen: str, n: int, path: Path
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Read the labels beside an array: y_train beside x_train, else y, Y, labels or label."""
    twin = ["y" + chosen[1:]] if chosen[:1] in ("x", "X") else []
    for name in (*twin, *LABEL_KEYS):
        if name not in names or name == chosen:
            continue
        y = _read_member(archive, name, path)
        if y.dtype.kind == "f":
            return None, (f"array {name!r} holds {y.dtype}, no class numbers: not used",)
        if y.shape[:1] != (n,):
            raise DataError(
                f"load: {path}:{name} must have one label for each of the {n} examples in {chosen!r}; "
                f"got shape {y.shape}; save the matching labels or leave them out"
            )
        return y, (f"labels from {name!r}",)
    return None, ()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
