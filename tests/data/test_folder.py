"""Folders of pictures: sizes, modes, classes, orientation, and everything that can be wrong with them."""

import os
import warnings

import numpy as np
import pytest
from PIL import Image

from reparam.data import DataError, load

RNG = np.random.default_rng(2)


def picture(path, size=(40, 30), mode="RGB", **options):
    """Write noise of one mode and give its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    image.convert(mode).save(path, **options)
    return path


def test_one_small_size_is_kept_to_the_byte(tmp_path):
    files = [picture(tmp_path / f"{i}.png", (20, 28)) for i in range(3)]
    data = load(tmp_path)
    assert (data.kind, data.levels, data.shape) == ("pictures", 256, (3, 28, 20))
    for i, file in enumerate(files):
        assert np.array_equal(data.x[i].permute(1, 2, 0).numpy(), np.asarray(Image.open(file)))
    assert "all of 20 x 28 pixels, kept" in data.note


def test_mixed_sizes_and_modes_follow_the_defaults(tmp_path):
    picture(tmp_path / "a.png", (64, 100), "L")
    picture(tmp_path / "b.jpg", (200, 90), "RGB")
    picture(tmp_path / "c.bmp", (16, 16), "RGB")
    picture(tmp_path / "d.webp", (33, 50), "RGB")
    picture(tmp_path / "e.gif", (40, 50), "P")
    picture(tmp_path / "f.png", (40, 50), "1")
    picture(tmp_path / "g.JPG", (40, 50), "CMYK", format="JPEG")
    (tmp_path / "notes.txt").write_text("hello")
    data = load(tmp_path)
    assert len(data) == 7
    assert data.shape == (3, 32, 32)
    said = " | ".join(data.note)
    for words in (
        "7 pictures",
        "5 sizes, most often 40 x 50 (3 times)",
        "short side to 32, centre cropped, 1 enlarged",
        "colour: 3 channels (2 grey pictures became RGB)",
        "1 converted from CMYK",
        "1 other files or linked folders passed over, for instance notes.txt",
    ):
        assert words in said


def test_grey_pictures_make_one_channel(tmp_path):
    levels = RNG.integers(0, 256, (9, 9), dtype=np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.png")
    Image.fromarray(levels).convert("RGB").save(tmp_path / "b.png")
    data = load(tmp_path)
    assert data.shape == (1, 9, 9)
    assert np.array_equal(data.x[0, 0].numpy(), levels)
    assert np.array_equal(data.x[1, 0].numpy(), levels)
    assert any("no stored colour picture shows colour" in line for line in data.note)


def test_large_pictures_of_one_size_are_reduced_and_said(tmp_path):
    picture(tmp_path / "a.png", (300, 200))
    data = load(tmp_path)
    assert data.shape == (3, 32, 32)
    assert any("all of 300 x 200 pixels: short side to 32" in line for line in data.note)
    assert load(tmp_path, size=48).shape == (3, 48, 48)


def test_the_centre_is_what_stays(tmp_path):
    x = np.zeros((30, 90), dtype=np.uint8)
    x[:, 30:60] = 255
    Image.fromarray(x).save(tmp_path / "a.png")
    assert load(tmp_path, size=30).x.min() == 255
    assert load(tmp_path, size=10).x[..., 1:-1].min() > 250


def test_transparency_is_composited_on_white_and_said(tmp_path):
    x = np.zeros((6, 6, 4), dtype=np.uint8)
    x[..., 0], x[:3, :, 3] = 200, 255
    Image.fromarray(x).save(tmp_path / "a.png")
    x[..., 3] = 255
    Image.fromarray(x).save(tmp_path / "b.png")
    palette = Image.fromarray(x[..., 0]).convert("P")
    palette.save(tmp_path / "c.png", transparency=palette.getpixel((0, 0)))
    data = load(tmp_path)
    assert data.shape == (3, 6, 6)
    assert data.x[0, :, 0, 0].tolist() == [200, 0, 0]
    assert data.x[0, :, 5, 0].tolist() == [255] * 3
    assert data.x[1, :, 5, 0].tolist() == [200, 0, 0]
    assert data.x[2].min() == 255
    assert "2 with transparency, composited on white" in data.note


def test_exif_orientation_is_applied(tmp_path):
    x = np.zeros((20, 30), dtype=np.uint8)
    x[:10] = 255  # the bright half is at the top ...
    exif = Image.Exif()
    exif[0x0112] = 6  # ... and the picture has to be turned by 90 degrees clockwise to stand upright
    Image.fromarray(x).save(tmp_path / "a.png", exif=exif)
    data = load(tmp_path)
    assert data.shape == (1, 30, 20)
    assert data.x[0, 0, :, 10:].min() == 255
    assert data.x[0, 0, :, :10].max() == 0
    assert "1 turned upright by their EXIF orientation" in data.note


def test_subfolders_are_classes(tmp_path):
    for name in ["cat/1.png", "dog/1.png", "cat/deep/2.png", "ant/1.png"]:
        picture(tmp_path / name, (8, 8))
    data = load(tmp_path)
    assert data.label_names == ("ant", "cat", "dog")
    assert data.labels.tolist() == [0, 1, 1, 2]
    picture(tmp_path / "stray.png", (8, 8))
    assert load(tmp_path).labels is None
    assert any("no labels" in line for line in load(tmp_path).note)


def test_order_and_fingerprint_do_not_depend_on_the_file_system(tmp_path, monkeypatch):
    for i in range(6):
        picture(tmp_path / f"{i}.png", (8, 8))
    first = load(tmp_path).fingerprint
    walk = os.walk
    monkeypatch.setattr(
        os, "walk", lambda *a, **k: ((folder, subs, files[::-1]) for folder, subs, files in walk(*a, **k))
    )
    assert load(tmp_path).fingerprint == first


def test_folders_without_pictures(tmp_path):
    with pytest.raises(DataError, match=r"must hold pictures .* got an empty folder"):
        load(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=r"got 1 other files, for instance notes.txt"):
        load(tmp_path)


def spoil_text(path):
    path.write_text("no picture")


def spoil_empty(path):
    path.write_bytes(b"")


def spoil_truncated_png(path):
    picture(path)
    path.write_bytes(path.read_bytes()[:-1500])


def spoil_truncated_jpeg(path):
    picture(path, format="JPEG")
    path.write_bytes(path.read_bytes()[:700])


def spoil_garbled_png(path):
    content = bytearray(picture(path).read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(content)


def spoil_16_bit(path):
    Image.fromarray(np.full((9, 9), 3000, dtype=np.uint16)).save(path)


def spoil_animation(path):
    frames = [Image.fromarray(RNG.integers(0, 256, (9, 9), dtype=np.uint8)) for _ in range(3)]
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:])


def spoil_bomb(path):
    Image.new("1", (20_000, 5_000)).save(path, "PNG")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_text, "cannot identify"),
        (spoil_empty, "cannot identify"),
        (spoil_truncated_png, "truncated"),
        (spoil_truncated_jpeg, "truncated"),
        (spoil_garbled_png, "broken|checksum|truncated"),
        (spoil_16_bit, "8 bits"),
        (spoil_animation, "animation or stack of 3 frames"),
        (spoil_bomb, "more than 89,478,485 pixels"),
    ],
)
def test_a_broken_picture_among_good_ones_is_named(tmp_path, spoil, words):
    for i in range(3):
        picture(tmp_path / f"{i}.png")
    spoil(tmp_path / "bad.png")
    with pytest.raises(DataError, match=words) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert "got 1 of 4 that cannot be used" in message
    assert "bad.png" in message
    assert "\n" not in message


def test_many_broken_pictures_are_counted(tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"got 5 of 5 .* and 2 more; mend or remove them"):
        load(tmp_path)


def attempt(folder):
    """Give the fingerprint, or None where one clear line names a picture of the folder."""
    try:
        return load(folder).fingerprint
    except DataError as error:
        message = str(error)
    assert str(folder / "a.") in message
    assert "\n" not in message
    return None


def test_every_truncation_of_a_picture_is_refused_or_harmless(tmp_path):
    whole = picture(tmp_path / "a.png", (12, 12)).read_bytes()
    good = load(tmp_path).fingerprint
    for end in range(0, len(whole), 5):
        (tmp_path / "a.png").write_bytes(whole[:end])
        assert attempt(tmp_path) in (good, None)


def test_damaged_pictures_never_raise_anything_else(tmp_path):
    for suffix in ("png", "jpg", "webp", "gif", "bmp", "tif"):
        whole = picture(tmp_path / f"a.{suffix}", (12, 12)).read_bytes()
        for place in range(0, min(len(whole), 200), 3):
            spoilt = bytearray(whole)
            spoilt[place] ^= 0xFF
            (tmp_path / f"a.{suffix}").write_bytes(spoilt)
            attempt(tmp_path)
        (tmp_path / f"a.{suffix}").unlink()


def test_one_picture_is_no_folder(tmp_path):
    with pytest.raises(DataError, match="one picture; put the pictures into a folder"):
        load(picture(tmp_path / "a.png"))


def test_no_permission_names_the_file(tmp_path, monkeypatch):
    picture(tmp_path / "a.png")

    def refuse(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(DataError, match=r"a.png must be readable; got no permission"):
        load(tmp_path)


def test_an_unreadable_subfolder_is_not_passed_over(tmp_path, monkeypatch):
    picture(tmp_path / "a.png")
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def refuse(path="."):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"locked must be readable; got no permission"):
        load(tmp_path)


def test_warnings_of_the_picture_library_do_not_leak(tmp_path):
    picture(tmp_path / "a.png", (8, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(tmp_path)
