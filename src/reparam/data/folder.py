"""Read a folder of pictures: any sizes, modes and formats, subfolders as classes.

Two passes: the first opens the headers and settles the size, the second decodes every picture once.
Every decision that changes pixels is said in the note.
"""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps

from reparam.data.dataset import DataError, Dataset
from reparam.data.resize import square

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
DEFAULT_SIDE = 32  # pixels, for pictures of mixed sizes
KEPT_SIDE = 128  # pixels of one common size that are kept as they are
MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}
TRANSPARENT = {"LA", "PA", "RGBA"}

T = TypeVar("T")

_BOMB = (Image.DecompressionBombWarning, Image.DecompressionBombError)
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    KeyError,
    IndexError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
)  # all that Pillow's readers raise on damaged files


def read_folder(path: Path, size: int | None = None) -> Dataset:
    """Read every picture below ``path`` into one data set of 8-bit pictures.

    Args:
        path: a folder; hidden files are passed over, other files are counted in the note.
        size: side in pixels. Without it, pictures of one common size up to 128 pixels stay as they are,
            all others become 32 x 32.

    Raises:
        DataError: no pictures; broken, animated, 16-bit or huge ones (named).
    """
    files, others = _find_pictures(path)
    if not files:
        seen = f"{len(others)} other files, for instance {others[0].name}" if others else "an empty folder"
        raise DataError(
            f"load: {path} must hold pictures ({', '.join(SUFFIXES[:5])} ...); got {seen}; "
            f"name another folder"
        )
    sizes = Counter(_each(files, _upright_size))
    kept = next(iter(sizes)) if len(sizes) == 1 and size is None else None
    if kept is not None and max(kept) > KEPT_SIDE:
        kept = None
    side = None if kept else size or DEFAULT_SIDE
    decoded = _each(files, lambda file: _decode(file, side))
    pictures = np.stack([pixels for pixels, _ in decoded])
    coloured = bool((pictures != pictures[..., :1]).any())
    x = np.ascontiguousarray(np.moveaxis(pictures if coloured else pictures[..., :1], 3, 1))
    labels, names, said = _classes(path, files)
    return Dataset(
        name=path.name or str(path),
        kind="pictures",
        x=torch.from_numpy(x),
        levels=256,
        labels=labels,
        label_names=names,
        note=(
            f"{len(files):,} pictures",
            _say_size(sizes, side),
            *_say_modes([facts for _, facts in decoded], coloured),
            *said,
            *(
                [f"{len(others)} other files or linked folders passed over, for instance {others[0].name}"]
                if others
                else []
            ),
        ),
    )


def is_picture(path: Path) -> bool:
    """Tell whether a file's header is that of a picture."""
    try:
        _upright_size(path)
    except Image.DecompressionBombError:
        return True
    except _BROKEN:
        return False
    return True


def _find_pictures(root: Path) -> tuple[list[Path], list[Path]]:
    """List pictures and other files below a folder, in an order that no file system changes."""

    def fail(error: OSError) -> None:
        raise error

    pictures: list[Path] = []
    others: list[Path] = []
    for folder, subfolders, names in os.walk(root, onerror=fail):
        others += [Path(folder, s) for s in subfolders if Path(folder, s).is_symlink()]
        subfolders[:] = [s for s in subfolders if not s.startswith(".")]
        for name in names:
            if not name.startswith(".") and name != "Thumbs.db":
                group = pictures if Path(name).suffix.lower() in SUFFIXES else others
                group.append(Path(folder, name))
    return sorted(pictures, key=lambda p: p.relative_to(root).parts), sorted(others)


def _each(files: Sequence[Path], read: Callable[[Path], T]) -> list[T]:
    """Apply ``read`` to every picture; name all that fail in one error."""
    results, broken = [], []
    for file in files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                results.append(read(file))
        except _BOMB:
            broken.append((file, f"more than {Image.MAX_IMAGE_PIXELS:,} pixels"))
        except PermissionError:
            raise
        except _BROKEN as error:
            broken.append(
                (file, " ".join(str(error).split()).replace(str(file), "it") or type(error).__name__)
            )
    if broken:
        first = "; ".join(f"{file} ({why})" for file, why in broken[:3])
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise DataError(
            f"load: every picture must be readable; got {len(broken)} of {len(files)} that cannot be used: "
            f"{first}{more}; "
            f"mend or remove them"
        )
    return results


def _upright_size(file: Path) -> tuple[int, int]:
    """Give (width, height) after the EXIF orientation; refuse what has more than one frame or 8 bits."""
    with Image.open(file) as image:
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":
            raise ValueError(f"an animation or stack of {frames} frames; save them as single pictures")
        if image.mode not in MODES:
            raise ValueError(f"mode {image.mode}, which is not 8-bit grey or colour; convert it to 8 bits")
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        return (image.height, image.width) if turned else image.size


def _decode(file: Path, side: int | None) -> tuple[np.ndarray, dict[str, bool | str]]:
    """Give a picture as (H, W, 3) uint8, upright, on white where transparent, and what had to be done."""
    with Image.open(file) as image:
        mode = image.mode
        if side is not None and mode in ("L", "RGB"):
            image.draft(mode, (2 * side, 2 * side))  # a JPEG is decoded at the smallest scale that suffices
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        picture = ImageOps.exif_transpose(image)
        transparent = False
        if mode in TRANSPARENT or "transparency" in image.info:
            picture = picture.convert("RGBA")
            transparent = np.asarray(picture)[..., 3].min() < 255
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, (255, 255, 255, 255)), picture)
        picture = picture.convert("RGB")
    if side is not None:
        picture = square(picture, side)
    facts: dict[str, bool | str] = {
        "mode": mode,
        "transparent": bool(transparent),
        "turned": orientation not in (0, 1),
    }
    return np.array(picture), facts


def _classes(
    root: Path, files: Sequence[Path]
) -> tuple[torch.Tensor | None, tuple[str, ...] | None, list[str]]:
    """Make labels of the first subfolder, where every picture lies in one and there are at least two."""
    first = [
        file.relative_to(root).parts[0] if len(file.relative_to(root).parts) > 1 else "" for file in files
    ]
    names = sorted(set(first))
    if "" in names and len(names) > 1:
        return None, None, ["pictures stand beside subfolders: no labels"]
    if len(names) < 2:
        return None, None, []
    labels = torch.tensor([names.index(name) for name in first], dtype=torch.int64)
    return (
        labels,
        tuple(names),
        [f"{len(names)} classes from subfolders: {', '.join(names[:6])}{' ...' * (len(names) > 6)}"],
    )


def _say_size(sizes: Counter[tuple[int, int]], side: int | None) -> str:
    (width, height), n = sizes.most_common(1)[0]
    if side is None:
        return f"all of {width} x {height} pixels, kept"
    if len(sizes) == 1:
        said = f"all of {width} x {height} pixels"
    else:
        said = f"{len(sizes)} sizes, most often {width} x {height} ({n} times)"
    enlarged = sum(count for shape, count in sizes.items() if min(shape) < side)
    return (
        f"{said}: short side to {side}, centre cropped"
        + (f", {enlarged} enlarged" if enlarged else "")
        + "; choose another side with size"
    )


def _say_modes(facts: Sequence[dict[str, bool | str]], coloured: bool) -> list[str]:
    modes = Counter(str(f["mode"]) for f in facts)
    transparent, turned = (sum(bool(f[k]) for f in facts) for k in ("transparent", "turned"))
    grey = sum(n for mode, n in modes.items() if mode in ("1", "L", "LA"))
    said = []
    if coloured:
        said.append(f"colour: 3 channels{f' ({grey} grey pictures became RGB)' if grey else ''}")
    else:
        said.append(
            "grey: 1 channel" + ("" if grey == len(facts) else " (no stored colour picture shows colour)")
        )
    if transparent:
        said.append(f"{transparent} with transparency, composited on white")
    if turned:
        said.append(f"{turned} turned upright by their EXIF orientation")
    if modes["CMYK"] + modes["YCbCr"]:
        said.append(f"{modes['CMYK'] + modes['YCbCr']} converted from CMYK or YCbCr to RGB")
    return said
