"""The run folder: it appears at once and whole, every file in it is replaced at once and whole.

    config.json         schema_version, the resolved configuration, the data's fingerprint, versions
    metrics.jsonl       one record per epoch
    model.safetensors   the best model by the validation bound
    state.safetensors   everything that resuming needs, with its counters in the header; state.json repeats them
    *.png, report.html  for people

Nothing is ever unpickled.
"""

import contextlib
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from reparam._version import __version__
from reparam.data.files import SUFFIX, FileError, explain, new_folder, sweep, write_bytes, write_json
from reparam.kernels.select import describe

try:
    import fcntl
except ImportError:  # Windows: nothing keeps two processes from one run
    fcntl = None  # type: ignore[assignment]

SCHEMA_VERSION = 1
HEADER, DIGEST = "reparam", "blake2b"  # keys of the metadata of a safetensors file


class RunError(ValueError):
    """A run folder that cannot be used: who, what, got, remedy."""


@dataclass(frozen=True)
class RunFolder:
    """A run folder and its record."""

    path: Path
    record: dict[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        """What the run was trained on: kind, fingerprint and more."""
        facts = self.record.get("data")
        if not isinstance(facts, dict) or not {"kind", "fingerprint"} <= set(facts):
            raise RunError(
                f"run: {self.file('config.json')} must say what data the run was trained on; got {facts!r}; train again"
            )
        return facts

    def file(self, name: str) -> Path:
        """Return the path of a file in the folder."""
        return self.path / name


def environment() -> dict[str, Any]:
    """Return what the bits of a run depend on beside its configuration."""
    return {
        "back_end": describe(),
        "threads": torch.get_num_threads(),
        "processor": platform.processor() or platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "versions": {
            "reparam": __version__,
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "python": platform.python_version(),
        },
    }


def create(out: str, record: dict[str, Any], *, overwrite: bool) -> RunFolder:
    """Make a run folder that holds its config.json from the first moment on.

    Raises:
        RunError: something stands at `out`: a run (write --overwrite) or anything else (never replaced).
    """
    path = Path(out).expanduser()
    check_free(path, overwrite=overwrite)
    old = path.with_name(f".{path.name}.{os.getpid()}.old{SUFFIX}")
    replaced = overwrite and path.is_dir() and any(path.iterdir())
    record = {"schema_version": SCHEMA_VERSION, **record}
    try:
        if replaced:
            fresh = path.with_name(f".{path.name}.{os.getpid()}.new{SUFFIX}")
            with claim(path):
                with new_folder(fresh, who="train") as folder:
                    write_json(folder / "config.json", record, who="train")
                os.replace(path, old)
                os.replace(fresh, path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            with new_folder(path, who="train") as folder:
                write_json(folder / "config.json", record, who="train")
    except FileError:
        raise
    except OSError as error:
        raise explain(path, error, who="train") from error
    return RunFolder(path, record)


@contextlib.contextmanager
def claim(path: Path) -> Iterator[None]:
    """Hold a run folder for writing, and remove what killed processes left in it.

    The system lets go when a process dies, however it dies. Reading needs no claim.

    Raises:
        RunError: another process trains there.
    """
    handle = None if fcntl is None else os.open(path, os.O_RDONLY)
    try:
        if handle is not None:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    f"train: {path} must be trained by one process; got another one that trains it now; "
                    "wait for it, or choose another folder"
                ) from None
            except OSError:  # a file system without locks
                pass
        sweep(path)
        yield
    finally:
        if handle is not None:
            os.close(handle)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise unless a run may be made at `path`."""
    try:
        path.lstat()
        empty = path.is_dir() and not any(path.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise explain(path, error, who="train") from error
    if (empty or overwrite) and path.resolve() == Path.cwd():
        raise RunError(
            f"train: --out must be a new folder; got {path}, the folder you stand in; name one below it"
        )
    if empty:
        return
    if not (path / "config.json").is_file():
        raise RunError(
            f"train: --out must be a new folder; got {path}, which exists and is no run; choose another"
        )
    if not overwrite:
        raise RunError(
            f"train: --out must be a new folder; got {path}, which holds a run; "
            "choose another, continue it with --resume, or replace it with --overwrite"
        )


def open_run(path: str | os.PathLike[str]) -> RunFolder:
    """Open a run folder for reading.

    Raises:
        RunError: no run folder, or one of a newer schema.
    """
    folder = Path(path).expanduser()
    file = folder / "config.json"
    if not folder.is_dir() or not file.is_file():
        state = "no such folder" if not folder.exists() else "no config.json in it"
        raise RunError(f"run: {path} must be the folder of a training run; got {state}; check the path")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        version = record["schema_version"]
        if type(version) is not int or version < 1 or not isinstance(record["config"], dict):
            raise KeyError("config")
        if not isinstance(record.get("environment", {}), dict) or not isinstance(
            record.get("notes", []), list
        ):
            raise KeyError("config")
    except (ValueError, KeyError, TypeError):
        raise RunError(f"run: {file} must be the record of a run; got something else; train again") from None
    except OSError as error:
        raise RunError(f"run: {file} must be readable; {error.strerror}; check its permissions") from None
    if version > SCHEMA_VERSION:
        raise RunError(
            f"run: {file} has schema {version}; this reparam reads up to {SCHEMA_VERSION}; install a newer reparam"
        )
    return RunFolder(folder, record)


def digest(tensors: dict[str, Tensor], header: str) -> str:
    """Return BLAKE2b-128 of a header and of every name, dtype, shape and byte of contiguous tensors."""
    state = hashlib.blake2b(header.encode(), digest_size=16)
    for name in sorted(tensors):
        t = tensors[name]
        state.update(repr((name, str(t.dtype), tuple(t.shape))).encode())
        state.update(t.reshape(-1).view(torch.uint8).numpy().data)
    return state.hexdigest()


def write_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, Any] | None = None) -> None:
    """Write tensors, with a JSON header, as one safetensors file, atomically."""
    content = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    metadata = {HEADER: json.dumps(header, allow_nan=False)} if header is not None else {}
    metadata[DIGEST] = digest(content, metadata.get(HEADER, ""))
    write_bytes(path, save(content, metadata), who="train")


def read_tensors(path: Path, who: str = "run") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the header of a safetensors file.

    Raises:
        RunError: a missing, unreadable, cut or corrupted file.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            header = json.loads(metadata.get(HEADER, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata.get(DIGEST, wanted := digest(tensors, metadata.get(HEADER, ""))) != wanted:
            raise ValueError("changed bytes (its checksum differs)")
        return tensors, header
    except FileNotFoundError:
        raise RunError(
            f"{who}: {path} is missing; the run has not reached its first checkpoint; continue it with --resume"
        ) from None
    except (SafetensorError, OSError, ValueError) as error:
        text = " ".join(str(error).split())
        raise RunError(f"{who}: {path} must be a whole safetensors file; got {text}; train again") from None
