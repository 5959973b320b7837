"""Files that people have, whole and broken: each becomes a data set or one clear line."""

import gzip
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from reparam.data import DataError, inspect, load, summarize

X = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2])


def save(path: Path, array: np.ndarray) -> Path:
    np.save(path, array, allow_pickle=True)
    return path


def test_digits_are_the_originals():
    from sklearn.datasets import load_digits

    original, data = load_digits(), load("digits")
    assert np.array_equal(data.x[:, 0].numpy(), original.images)
    assert np.array_equal(data.labels.numpy(), original.target)
    assert (data.kind, data.levels, data.classes, data.shape) == ("pictures", 17, 10, (1, 8, 8))
    assert data.batch().min() == 0
    assert data.batch().max() == 1


def test_digits_at_another_size():
    data = load("digits", size=16)
    assert (data.shape, data.levels, data.x.max().item()) == ((1, 16, 16), 256, 255)
    assert "resized from 8 x 8" in data.note[-1]


def test_npy_comes_back_exactly(tmp_path):
    data = load(save(tmp_path / "x.npy", X))
    assert np.array_equal(data.x.numpy(), X)
    assert data.batch(torch.tensor([5, 0])).shape == (2, 4)


def test_fortran_order_comes_back_exactly(tmp_path):
    assert np.array_equal(load(save(tmp_path / "x.npy", np.asfortranarray(X))).x.numpy(), X)


def test_the_suffix_does_not_matter(tmp_path):
    save(tmp_path / "x.npy", X).rename(tmp_path / "x.dat")
    assert len(load(tmp_path / "x.dat")) == 6


def test_npz_single_array_needs_no_key(tmp_path):
    np.savez(tmp_path / "a.npz", whatever=X)
    assert np.array_equal(load(tmp_path / "a.npz").x.numpy(), X)


def test_npz_array_with_labels(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", features=X, y=Y)
    data = load(tmp_path / "a.npz")
    assert data.labels.tolist() == Y.tolist()
    assert "labels from 'y'" in data.note


def test_npz_obvious_name_is_chosen_and_said(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, weights=np.ones(6))
    assert any("chosen among weights, x" in line for line in load(tmp_path / "a.npz").note)


def test_npz_several_arrays_need_a_key(tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=X, y_train=Y, x_test=X[:2], y_test=Y[:2])
    with pytest.raises(DataError, match=r"got x_test, x_train, y_test, y_train; write .*mnist.npz:x_test"):
        load(path)
    assert load(path, key="x_train").labels.tolist() == Y.tolist()
    assert load(f"{path}:x_test").labels.tolist() == [0, 1]
    with pytest.raises(DataError, match="did you mean 'x_train'"):
        load(f"{path}:x_trian")


def test_npz_labels_that_do_not_fit(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y[:3])
    with pytest.raises(DataError, match="one label for each of the 6"):
        load(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=X, y=Y / 7)
    data = load(tmp_path / "b.npz")
    assert data.labels is None
    assert any("no class numbers: not used" in line for line in data.note)


def test_missing_files_suggest_near_names(tmp_path):
    save(tmp_path / "faces.npy", X)
    with pytest.raises(DataError, match=r"no such file; did you mean '.*faces.npy'"):
        load(tmp_path / "face.npy")
    with pytest.raises(DataError, match=r"no such file; did you mean 'digits'"):
        load("digit")
    with pytest.raises(DataError, match="does not exist either"):
        load(tmp_path / "no" / "x.npy")


def broken_files() -> dict[str, tuple[bytes, str]]:
    """Give (content, words of the error) by file name."""

    def npy(array: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=True)
        return buffer.getvalue()

    def npz(**arrays: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    def zipped(**members: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return buffer.getvalue()

    torch_file = io.BytesIO()
    torch.save({"x": torch.zeros(3)}, torch_file)
    whole, packed = npy(X), npz(x=X)
    flipped = bytearray(packed)
    flipped[len(flipped) // 3] ^= 0xFF
    huge = whole.replace(b"(6, 4)", b"(60000000000, 4)")[: len(whole) + 9]
    return {
        "empty": (b"", "an empty file"),
        "truncated.npy": (whole[:-7], "truncated file: the header promises 96 bytes, 89 are there"),
        "header.npy": (whole[:20], "broken header"),
        "magic.npy": (whole[:6], "broken header"),
        "garbled.npy": (whole[:10] + b"\xff" * 60 + whole[70:], "broken header"),
        "huge.npy": (huge, "truncated|broken header"),
        "two.npy": (whole + whole, "more than one array"),
        "garbage.npy": (bytes(range(1, 200)) + b"\0\xfe", r"a broken .npy file, which starts with b'\\x01"),
        "objects.npy": (npy(np.array([[1, "a"]], dtype=object)), "Python objects"),
        "structured.npy": (npy(np.zeros((2, 2), dtype=[("a", "f4")])), "structured"),
        "version.npy": (whole[:6] + b"\x03" + whole[7:], "version"),
        "strings.npy": (npy(np.array([["a"]])), "text"),
        "nan.npy": (npy(np.array([[0.0, np.nan]])), r"1 nan and 0 inf, the first at x\[0, 1\]"),
        "zero.npy": (npy(np.zeros((0, 4))), "zero examples"),
        "truncated.npz": (packed[:-30], "broken one"),
        "flipped.npz": (bytes(flipped), "broken"),
        "garbage.npz": (b"PK\x03\x04" + bytes(50), "broken one"),
        "none.npz": (npz(), "at least one array; got a zip file with nothing"),
        "objects.npz": (npz(x=np.array([[None]])), "Python objects"),
        "inner.npz": (zipped(**{"x.npy": whole[:-4]}), "truncated"),
        "torch.pt": (torch_file.getvalue(), "at least one array; got a PyTorch file, a pickle"),
        "words.zip": (zipped(**{"a.txt": b"hello"}), "got a zip file with a.txt"),
        "pickle.pkl": (pickle.dumps(X), "a pickle"),
        "table.csv": (b"a,b\n1,2\n" * 1000, r"text; .*numpy.loadtxt.* reads .npy, .npz and folders"),
        "short.txt": ("ä".encode(), "text"),
        "packed.gz": (gzip.compress(b"x" * 100), "gzip"),
        "table.parquet": (b"PAR1" + bytes(20), "Parquet"),
        "unknown.bin": (b"\x00\x01\x02\xff" * 9, "unknown format"),
    }


@pytest.mark.parametrize("name", broken_files())
def test_broken_files_get_one_line(tmp_path, name):
    content, words = broken_files()[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        load(tmp_path / name)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("load: ")
    assert name in message
    assert "got" in message


def test_every_truncation_of_an_npz_and_an_npy_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=X, y=Y)
    save(tmp_path / "a.npy", X)
    for source in ("a.npz", "a.npy"):
        content = (tmp_path / source).read_bytes()
        for end in range(0, len(content), 7):
            (tmp_path / "cut").write_bytes(content[:end])
            with pytest.raises(DataError):
                load(tmp_path / "cut")


def test_flipped_bytes_are_refused_or_change_nothing_but_numbers(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=X)
    content = (tmp_path / "a.npz").read_bytes()
    for place in range(len(content)):
        spoilt = bytearray(content)
        spoilt[place] ^= 0x5A
        (tmp_path / "b").write_bytes(spoilt)
        try:
            data = load(tmp_path / "b")
        except DataError:
            continue
        assert np.array_equal(data.x.numpy(), X)


def test_no_permission_is_said(tmp_path, monkeypatch):
    path = save(tmp_path / "x.npy", X)

    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"x.npy must be readable; got no permission"):
        load(path)


def test_arguments_that_do_not_belong(tmp_path):
    path = save(tmp_path / "x.npy", X)
    with pytest.raises(DataError, match="takes no key"):
        load(path, key="x")
    with pytest.raises(DataError, match="takes no key"):
        load("digits", key="x")
    with pytest.raises(DataError, match="takes no key and no kind"):
        load(tmp_path, kind="real")
    with pytest.raises(DataError, match="size is for pictures"):
        load(path, size=8)
    for size in (0, -3, 2.5, True, 10**6):
        with pytest.raises(DataError, match="whole number of pixels"):
            load("digits", size=size)
    with pytest.raises(DataError, match="device, pipe"):
        load("/dev/null")


def test_pictures_in_arrays_can_be_resized(tmp_path):
    x = np.zeros((2, 20, 30, 3), dtype=np.uint8)
    x[:, :, 10:20, 1] = 200
    data = load(save(tmp_path / "x.npy", x), size=10)
    assert data.shape == (3, 10, 10)
    assert data.x[:, 1, :, 4:6].float().mean() > 190
    assert data.x[:, 0].max() == 0


def test_inspect_says_what_load_finds(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([[0, 3], [7, 1], [2, 2]]), y=np.array(["u", "v", "u"]))
    text = inspect(tmp_path / "a.npz")
    for words in ("3 examples of shape (2,)", "counts", "0 .. 7", "u: 2, v: 1", "default", "labels from 'y'"):
        assert words in text
    facts = summarize(load(tmp_path / "a.npz"))
    assert facts["mean"] == 2.5
    assert facts["examples_per_class"] == [2, 1]
    assert facts["fingerprint"] == load(tmp_path / "a.npz").fingerprint
