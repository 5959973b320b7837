"""Atomic writing: the old content or the new one, a clear error, and nothing left behind."""

import errno
import os
import subprocess
import sys
import time

import pytest

from reparam.data import files
from reparam.data.files import FileError, new_folder


def names(folder):
    return sorted(os.listdir(folder))


def test_bytes_text_and_json_are_written_whole(tmp_path):
    files.write_bytes(tmp_path / "a", b"\0\xff")
    files.write_text(tmp_path / "b", "ä\n")
    files.write_json(tmp_path / "c.json", {"x": [1, 2.5, None], "ü": "ö"})
    files.write_json_lines(tmp_path / "d.jsonl", [{"step": 0}, {"step": 1}])
    assert (tmp_path / "a").read_bytes() == b"\0\xff"
    assert (tmp_path / "b").read_bytes() == "ä\n".encode()
    assert files.read_json(tmp_path / "c.json") == {"x": [1, 2.5, None], "ü": "ö"}
    assert (tmp_path / "d.jsonl").read_text() == '{"step": 0}\n{"step": 1}\n'
    assert names(tmp_path) == ["a", "b", "c.json", "d.jsonl"]


def test_the_old_content_stays_until_the_block_ends(tmp_path):
    files.write_text(tmp_path / "a", "old")
    with files.atomic(tmp_path / "a") as file:
        file.write(b"new")
        assert (tmp_path / "a").read_text() == "old"
    assert (tmp_path / "a").read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_inside_leaves_the_old_content_and_nothing_else(tmp_path, error):
    files.write_text(tmp_path / "a", "old")

    def write() -> None:
        with files.atomic(tmp_path / "a") as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        write()
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "Input/output error"),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_failures_of_the_system_are_explained(tmp_path, monkeypatch, number, words, call):
    files.write_text(tmp_path / "a", "old")

    def fail(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, call, fail)
    with pytest.raises(FileError, match=f"train: .*a could not be written; .*{words}") as caught:
        files.write_text(tmp_path / "a", "new", who="train")
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(FileError, match="its folder does not exist; make the folder first"):
        files.write_text(tmp_path / "no" / "a", "x")
    files.write_text(tmp_path / "file", "x")
    with pytest.raises(FileError, match="a part of its path is a file"):
        files.write_text(tmp_path / "file" / "a", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match="a folder of that name"):
        files.write_text(tmp_path / "folder", "x")
    with pytest.raises(FileError, match="too long"):
        files.write_text(tmp_path / ("a" * 300), "x")
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.parametrize("value", [float("nan"), {"a": float("inf")}, {1, 2}])
def test_what_json_cannot_hold_is_refused_before_writing(tmp_path, value):
    files.write_json(tmp_path / "a.json", 1)
    with pytest.raises(FileError, match="finite numbers, strings, lists and dicts"):
        files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == 1


def test_broken_json_is_named(tmp_path):
    with pytest.raises(FileError, match=r"evaluate: .*a.json must be a readable JSON file; No such file"):
        files.read_json(tmp_path / "a.json", who="evaluate")
    for content in (b"", b'{"a": ', b"\xff\xfe\x00"):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(FileError, match="must hold JSON; got a broken file"):
            files.read_json(tmp_path / "a.json")


def test_a_symbolic_link_keeps_pointing(tmp_path):
    (tmp_path / "real").mkdir()
    files.write_text(tmp_path / "real" / "a", "old")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "a")
    files.write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a").read_text() == "new"


def test_a_new_folder_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "runs" / "first"

    def fail_inside() -> None:
        with files.new_folder(target) as folder:
            files.write_text(folder / "a", "x")
            assert not target.exists()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_inside()
    assert names(tmp_path / "runs") == []
    with files.new_folder(target) as folder:
        files.write_text(folder / "a", "x")
    assert names(target) == ["a"]
    with pytest.raises(FileError, match="must be a new folder; it exists"), files.new_folder(target):
        raise AssertionError("the block must not run")
    assert names(target) == ["a"]
    (tmp_path / "empty").mkdir()
    with files.new_folder(tmp_path / "empty") as folder:
        files.write_text(folder / "b", "x")
    assert names(tmp_path / "empty") == ["b"]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere nothing tells that a process is gone")
def test_a_new_folder_removes_what_killed_namesakes_left(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f".run.{dead.pid}.reparam-tmp"
    alive = tmp_path / f".run.{os.getppid()}.new.reparam-tmp"
    other = tmp_path / f".run2.{dead.pid}.reparam-tmp"
    for folder in (left, alive, other):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
    with new_folder(tmp_path / "run") as folder:
        (folder / "config.json").write_text("{}")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([alive.name, other.name, "run"])


def test_sweep_removes_what_killed_processes_left(tmp_path):
    (tmp_path / f".a.123{files.SUFFIX}").write_text("half")
    (tmp_path / f".run.123{files.SUFFIX}").mkdir()
    files.write_text(tmp_path / "a", "x")
    assert len(files.sweep(tmp_path)) == 2
    assert names(tmp_path) == ["a"]


WRITER = """
import runpy, sys
write = runpy.run_path(sys.argv[1])["write_text"]
print("ready", flush=True)
while True:
    for letter in "ab":
        write(sys.argv[2], letter * 300_000)
"""


def test_a_killed_writer_leaves_a_whole_file(tmp_path):
    target = tmp_path / "file"
    files.write_text(target, "a" * 300_000)
    for i in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, files.__file__, str(target)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.01 + 0.003 * i)
            process.kill()
        assert target.read_text() in ("a" * 300_000, "b" * 300_000)
    files.sweep(tmp_path)
    assert names(tmp_path) == ["file"]


LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
module = runpy.run_path(sys.argv[1])
try:
    module["write_text"](sys.argv[2], "x" * 5000)
except module["FileError"] as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on file sizes")
def test_a_write_that_the_system_cuts_short_leaves_the_old_file(tmp_path):
    files.write_text(tmp_path / "file", "old")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, files.__file__, str(tmp_path / "file")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "file could not be written; the file would be larger than allowed; raise the limit" in done.stdout
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]
