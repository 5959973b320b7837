"""Bring pictures to one square size: short side to ``size`` pixels (Lanczos), then the centre."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from reparam.data.dataset import DataError, Dataset

LARGEST = 1024


def check_size(size: int | None) -> None:
    """Refuse a side that is not a whole number of pixels from 1 to 1024."""
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST):
        raise DataError(f"load: size must be a whole number of pixels from 1 to {LARGEST}; got {size!r}")


def square(image: Image.Image, size: int) -> Image.Image:
    """Resize the short side to ``size`` and cut the centre ``size`` x ``size`` pixels.

    The region of the original that becomes the result is the centre square of side min(width, height).
    """
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    if (width, height) == (size, size):
        return image
    return image.resize((size, size), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))


def resized(data: Dataset, size: int) -> Dataset:
    """Give the pictures of a data set at ``size`` x ``size`` pixels, with 256 grey levels.

    Raises:
        DataError: the data are no pictures.
    """
    if data.levels is None:
        raise DataError(
            f"load: size is for pictures; got kind {data.kind!r} of shape {data.shape}; leave size out"
        )
    if data.shape[1:] == (size, size):
        return data
    n, channels = data.x.shape[:2]
    values = np.rint(data.x.numpy() * (255.0 / (data.levels - 1))).astype(np.uint8)
    out = np.empty((n, channels, size, size), dtype=np.uint8)
    for i in range(n):
        for c in range(channels):
            out[i, c] = np.asarray(square(Image.fromarray(values[i, c]), size))
    height, width = data.shape[1:]
    said = (
        f"resized from {height} x {width} to {size} x {size} pixels (short side, centre cropped), 256 levels"
    )
    return replace(data, x=torch.from_numpy(out), levels=256, note=(*data.note, said))
