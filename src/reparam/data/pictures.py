"""Lay pictures out on one sheet and write it.

Small pictures are enlarged by a whole factor, every pixel becoming a k x k block, so that 8 x 8 digits can
be seen and no pixel is invented: k = max(1, ceil(48 / min(H, W))).
"""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reparam.data.files import FileError, write_bytes

TILE = 48  # pixels, the least side of an enlarged picture
FORMATS = {".png": "PNG", ".webp": "WEBP", ".bmp": "BMP", ".jpg": "JPEG", ".jpeg": "JPEG"}
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
PAPER = 128  # grey level between the pictures: neither black nor white pictures melt into it


def grid(images: Tensor, *, columns: int | None = None, padding: int = 4, tile: int = TILE) -> Image.Image:
    """Lay pictures out row by row.

    Args:
        images: floats in [0, 1], shape (N, C, H, W), C from 1 to 4 (grey, +alpha, RGB, +alpha).
        columns: pictures in a row; ceil(sqrt(N)) without it.
        padding: grey pixels around every picture.
        tile: the least side of a picture on the sheet, in pixels.

    Raises:
        ValueError: another shape, values outside [0, 1], nan.

    Example:
        >>> grid(torch.zeros(6, 1, 8, 8), columns=3).size
        (160, 108)
    """
    return _sheet(_enlarge(_pixels(images, "grid"), tile), columns, padding, "grid")


def pairs(
    original: Tensor,
    reconstruction: Tensor,
    *,
    columns: int | None = None,
    padding: int = 4,
    tile: int = TILE,
) -> Image.Image:
    """Lay out every original directly above its reconstruction; arguments as for ``grid``.

    Example:
        >>> pairs(torch.zeros(6, 1, 8, 8), torch.ones(6, 1, 8, 8), columns=6).size
        (316, 105)
    """
    if original.shape != reconstruction.shape:
        raise ValueError(
            f"pairs: reconstruction must have the shape of original, {tuple(original.shape)}; "
            f"got {tuple(reconstruction.shape)}"
        )
    above = _enlarge(_pixels(original, "pairs"), tile)
    below = _enlarge(_pixels(reconstruction, "pairs"), tile)
    line = _paper((len(above), 1, *above.shape[2:]))
    return _sheet(np.concatenate([above, line, below], axis=1), columns, padding, "pairs")


def check_format(path: str | os.PathLike[str], *, who: str = "save_picture") -> str:
    """Give the format that a file name's suffix means. Raises ValueError for one that cannot be written."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(
            f"{who}: the file name must end in {', '.join(FORMATS)}; got {os.fspath(path)!r}; choose .png"
        )
    return FORMATS[suffix]


def save_picture(image: Image.Image, path: str | os.PathLike[str], *, who: str = "save_picture") -> None:
    """Write a picture atomically in the format of the suffix (PNG, WebP and BMP without loss).

    Raises:
        ValueError: a suffix that is not known.
        FileError: transparency, or a size, that the format does not have; no permission, a full disk, no such folder.
    """
    form = check_format(path, who=who)
    if form in ("JPEG", "BMP") and image.mode in ("LA", "RGBA"):
        raise FileError(
            f"{who}: a picture with transparency must be saved as .png or .webp; got {os.fspath(path)!r}"
        )
    buffer = io.BytesIO()
    options: dict[str, Any] = {
        "PNG": {"optimize": True},
        "WEBP": {"lossless": True},
        "JPEG": {"quality": 95},
        "BMP": {},
    }
    try:
        image.save(buffer, form, **options[form])
    except (OSError, ValueError) as error:  # a sheet larger than the format allows
        size = " x ".join(map(str, image.size))
        raise FileError(
            f"{who}: {os.fspath(path)} must fit the format {form}; got {size} pixels; choose .png, or fewer pictures"
        ) from error
    write_bytes(path, buffer.getvalue(), who=who)


def _pixels(images: Tensor, who: str) -> np.ndarray:
    """Give (N, H, W, C) uint8: level = round(255 x)."""
    if images.ndim != 4 or images.numel() == 0 or images.shape[1] not in MODES:
        raise ValueError(
            f"{who}: images must have shape (N, C, H, W) with 1 to 4 channels and no axis of 0; "
            f"got {tuple(images.shape)}"
        )
    if not images.is_floating_point():
        raise ValueError(
            f"{who}: images must be floats in [0, 1]; got {images.dtype}; divide by the largest level"
        )
    x = images.detach().to("cpu", torch.float32)
    low, high = float(x.min()), float(x.max())
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"{who}: images must lie in [0, 1]; got {low:.4g} .. {high:.4g}; "
            f"cut them off yourself: images.clamp(0, 1)"
        )
    return (x * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def _enlarge(pixels: np.ndarray, tile: int) -> np.ndarray:
    k = max(1, math.ceil(tile / min(pixels.shape[1:3])))
    return pixels.repeat(k, axis=1).repeat(k, axis=2)


def _paper(shape: tuple[int, ...]) -> np.ndarray:
    """Give opaque grey of shape (..., C)."""
    paper = np.full(shape, PAPER, dtype=np.uint8)
    if MODES[shape[-1]].endswith("A"):
        paper[..., -1] = 255
    return paper


def _sheet(tiles: np.ndarray, columns: int | None, padding: int, who: str) -> Image.Image:
    n, height, width, channels = tiles.shape
    columns = math.ceil(math.sqrt(n)) if columns is None else columns
    if columns < 1 or padding < 0:
        raise ValueError(
            f"{who}: columns must be at least 1 and padding at least 0; got {columns} and {padding}"
        )
    columns = min(columns, n)
    rows = math.ceil(n / columns)
    shape = (rows * (height + padding) + padding, columns * (width + padding) + padding, channels)
    sheet = _paper(shape)
    for i, picture in enumerate(tiles):
        top, left = (
            padding + place * (step + padding) for place, step in zip(divmod(i, columns), (height, width))
        )
        sheet[top : top + height, left : left + width] = picture
    return Image.fromarray(sheet[..., 0] if channels == 1 else sheet)
