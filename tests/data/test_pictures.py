"""Sheets of pictures are exact to the pixel, and only what can be shown is shown."""

import numpy as np
import pytest
import torch
from PIL import Image

from reparam.data import load
from reparam.data.files import FileError
from reparam.data.pictures import PAPER, grid, pairs, save_picture


def test_every_pixel_becomes_a_block():
    digits = load("digits")
    x = digits.batch(torch.arange(5))
    sheet = np.asarray(grid(x, columns=3, padding=2))
    assert sheet.shape == (2 * 50 + 2, 3 * 50 + 2)
    for i in range(5):
        top, left = 2 + 50 * (i // 3), 2 + 50 * (i % 3)
        tile = sheet[top : top + 48, left : left + 48]
        blocks = tile.reshape(8, 6, 8, 6)
        assert (blocks == blocks[:, :1, :, :1]).all()
        assert np.array_equal(blocks[:, 0, :, 0], np.rint(digits.x[i, 0].numpy() * (255 / 16)))
    assert (sheet[52:, 102:] == PAPER).all()
    assert (sheet[:2] == PAPER).all()


@pytest.mark.parametrize(("side", "factor"), [(1, 48), (8, 6), (28, 2), (32, 2), (47, 2), (48, 1), (200, 1)])
def test_small_pictures_are_enlarged_by_a_whole_factor(side, factor):
    assert grid(torch.zeros(1, 1, side, side), padding=0).size == (side * factor, side * factor)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_channels_and_formats(tmp_path, channels, mode):
    images = torch.linspace(0, 1, 2 * channels * 48 * 48).reshape(2, channels, 48, 48)
    sheet = grid(images, columns=2, padding=1)
    assert sheet.mode == mode
    pixels = np.asarray(sheet).reshape(50, 99, channels)
    assert np.array_equal(pixels[1:49, 1:49], (images[0] * 255).round().permute(1, 2, 0).numpy())
    if mode.endswith("A"):
        assert (pixels[0, :, -1] == 255).all()
    save_picture(sheet, tmp_path / "a.PNG")
    with Image.open(tmp_path / "a.PNG") as back:
        assert np.array_equal(np.asarray(back), np.asarray(sheet))
    if mode in ("L", "RGB"):
        save_picture(sheet, tmp_path / "a.jpg")
    else:
        with pytest.raises(ValueError, match=r"transparency must be saved as .png or .webp"):
            save_picture(sheet, tmp_path / "a.jpg")


def test_pairs_stand_one_above_the_other():
    original, other = torch.zeros(4, 1, 48, 48), torch.ones(4, 1, 48, 48)
    sheet = np.asarray(pairs(original, other, columns=2, padding=3))
    assert sheet.shape == (2 * (97 + 3) + 3, 2 * (48 + 3) + 3)
    assert (sheet[3:51, 3:51] == 0).all()
    assert (sheet[51, 3:51] == PAPER).all()
    assert (sheet[52:100, 3:51] == 255).all()


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(3, 8, 8), r"shape \(N, C, H, W\)"),
        (torch.zeros(0, 1, 8, 8), "no axis of 0"),
        (torch.zeros(1, 5, 8, 8), "1 to 4 channels"),
        (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), "floats"),
        (torch.full((1, 1, 8, 8), 1.5), r"images.clamp\(0, 1\)"),
        (torch.full((1, 1, 8, 8), -0.1), r"\[0, 1\]"),
        (torch.full((1, 1, 8, 8), torch.nan), "nan"),
    ],
)
def test_what_cannot_be_shown_is_refused(images, words):
    with pytest.raises(ValueError, match=words):
        grid(images)
    with pytest.raises(ValueError, match=words):
        pairs(images, images)


def test_other_refusals(tmp_path):
    with pytest.raises(ValueError, match="shape of original"):
        pairs(torch.zeros(2, 1, 8, 8), torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match="columns must be at least 1"):
        grid(torch.zeros(2, 1, 8, 8), columns=0)
    sheet = grid(torch.zeros(2, 1, 8, 8))
    for name in ("a.tga", "a", "a.npy", ".png"):
        with pytest.raises(ValueError, match=r"must end in .png, .webp, .bmp, .jpg, .jpeg; got"):
            save_picture(sheet, tmp_path / name)
    with pytest.raises(FileError, match=r"sample: .* folder does not exist"):
        save_picture(sheet, tmp_path / "no" / "a.png", who="sample")
    assert list(tmp_path.iterdir()) == []
