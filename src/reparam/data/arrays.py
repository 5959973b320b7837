"""Decide what an array of numbers is: its kind, its layout, and the compact dtype that loses nothing.

The kind follows from the values, in this order (the first that holds):

1. every value is 0 or 1                                        -> binary
2. uint8, or floats that all are k / 255, of shape (N, H, W ..)  -> pictures with 256 levels
3. every value is a non-negative integer                         -> counts
4. else                                                          -> real

The layout: (N, D) stays; (N, H, W) becomes (N, 1, H, W); of four axes exactly one of axis 1 and axis 3 may
be the channels (1 to 4 of them), and they are brought to axis 1.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from reparam.data.dataset import KINDS, DataError, Dataset

CHANNELS = 4  # at most: grey, grey + alpha, red-green-blue, red-green-blue + alpha
EXACT = 2**24  # float32 holds every integer up to here


def from_array(
    array: np.ndarray | Tensor,
    labels: np.ndarray | Tensor | None = None,
    *,
    name: str = "array",
    kind: str | None = None,
    note: tuple[str, ...] = (),
    who: str = "from_array",
) -> Dataset:
    """Make a data set of an array whose first axis counts the examples.

    Args:
        array: numbers of shape (N, D), (N, H, W), (N, H, W, C) or (N, C, H, W).
        labels: N class numbers or class names.
        name: what errors and summaries call it.
        kind: "pictures", "binary", "counts" or "real" in place of the kind that the values suggest.
        note: lines to put before the notes made here.
        who: the first word of an error.

    Raises:
        DataError: no numbers, no examples, nan or inf (with their place), a shape that is none of the
            above or fits two of them, values that float32 cannot hold.

    Example:
        >>> data = from_array(np.array([[0, 3], [7, 1]]))
        >>> data.kind, data.shape, data.x.dtype
        ('counts', (2,), torch.uint8)
    """
    where = f"{who}: {name}"
    array = _numbers(array.detach().cpu().numpy() if isinstance(array, Tensor) else array, where)
    _check_shape(array, where)
    _check_finite(array, where)
    kind, why = _choose_kind(array, kind, where)
    array, layout = channels_first(array, where, pictures=kind == "pictures")
    array, how = _compact(array, kind, where)
    classes, label_names = read_labels(labels, len(array), where)
    return Dataset(
        name=name,
        kind=kind,
        x=torch.from_numpy(np.array(array, order="C", copy=True)),
        levels=256 if kind == "pictures" else None,
        labels=classes,
        label_names=label_names,
        note=(*note, why, *layout, *how),
    )


def channels_first(
    array: np.ndarray, where: str, *, pictures: bool = True
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Bring (N, H, W), (N, H, W, C) or (N, C, H, W) to (N, C, H, W); give the note that says so."""
    if array.ndim == 2:
        return array, ()
    if array.ndim == 3:
        if pictures and array.shape[2] <= CHANNELS:
            raise DataError(
                f"{where} must be a stack of pictures; got {array.shape}, which looks like one picture "
                f"(H, W, C); add an axis: x[None]"
            )
        return array[:, None], ("shape (N, H, W) read as one channel: (N, 1, H, W)",)
    first, last = array.shape[1] <= CHANNELS, array.shape[3] <= CHANNELS
    if first and last:
        raise DataError(
            f"{where} must show which axis holds the channels; got {array.shape}, where axis 1 and axis 3 "
            f"both could; use sides larger than {CHANNELS} pixels or flatten: x.reshape(len(x), -1)"
        )
    if not first and not last:
        raise DataError(
            f"{where} must have 1 to {CHANNELS} channels on axis 1 or axis 3; got {array.shape}; "
            f"choose channels or flatten: x.reshape(len(x), -1)"
        )
    if first:
        return array, ("shape (N, C, H, W): channels on axis 1",)
    return np.moveaxis(array, 3, 1), ("shape (N, H, W, C) brought to (N, C, H, W)",)


def read_labels(
    labels: np.ndarray | Tensor | None, n: int, where: str
) -> tuple[Tensor | None, tuple[str, ...] | None]:
    """Turn class numbers or class names into int64 labels (and the sorted names)."""
    if labels is None:
        return None, None
    y = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if y.shape == (n, 1):
        y = y[:, 0]
    if y.shape != (n,):
        raise DataError(
            f"{where} must have one label for each of its {n} examples; got labels of shape {y.shape}; "
            f"give {n} class numbers"
        )
    if y.dtype.kind in "US":
        names, index = np.unique(y, return_inverse=True)
        text = tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in names.tolist())
        return torch.from_numpy(index.astype(np.int64)), text
    if y.dtype.kind not in "biu":
        raise DataError(
            f"{where} must have whole class numbers or names as labels; got {y.dtype}; "
            f"convert them: y.astype('int64')"
        )
    if y.dtype.kind != "b" and (int(y.min()) < 0 or int(y.max()) >= EXACT):
        raise DataError(
            f"{where} must have labels from 0 up; got {int(y.min())} .. {int(y.max())}; renumber the classes"
        )
    return torch.from_numpy(y.astype(np.int64)), None


def _numbers(array: np.ndarray, where: str) -> np.ndarray:
    """Refuse what is not real numbers; give native byte order."""
    dtype = array.dtype
    refused = {
        "O": "Python objects; convert it: np.asarray(x.tolist(), dtype='float32')",
        "U": "text; turn it into numbers",
        "S": "text; turn it into numbers",
        "c": "complex numbers; give real and imaginary parts as two channels or columns",
        "M": "dates; turn them into numbers",
        "m": "time spans; turn them into numbers",
        "V": "raw bytes or a structured array; save one plain array of numbers",
    }
    if dtype.kind in refused:
        raise DataError(f"{where} must be an array of numbers; got dtype {dtype}: {refused[dtype.kind]}")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _check_shape(array: np.ndarray, where: str) -> None:
    shape = array.shape
    if 0 in shape:
        what = "zero examples" if shape and shape[0] == 0 else "examples without values"
        raise DataError(
            f"{where} must hold at least one example; got {what}, shape {shape}; check how it was saved"
        )
    if array.ndim == 1:
        raise DataError(
            f"{where} must have shape (N, D), (N, H, W), (N, H, W, C) or (N, C, H, W); got {shape}; "
            f"one number per example: x[:, None]; one example: x[None, :]"
        )
    if array.ndim not in (2, 3, 4):
        raise DataError(
            f"{where} must have shape (N, D), (N, H, W), (N, H, W, C) or (N, C, H, W); got {shape}; "
            f"reshape it, for instance x.reshape(len(x), -1)"
        )


def _check_finite(array: np.ndarray, where: str) -> None:
    if array.dtype.kind != "f":
        return
    good = np.isfinite(array)
    if good.all():
        return
    first = tuple(int(i) for i in np.unravel_index(int(np.argmin(good)), array.shape))
    nans = int(np.isnan(array).sum())
    infs = int(array.size - good.sum()) - nans
    place = f"x[{', '.join(map(str, first))}]"
    raise DataError(
        f"{where} must hold finite numbers; got {nans} nan and {infs} inf, the first at {place}; "
        f"remove these examples or fill them in"
    )


def _choose_kind(array: np.ndarray, asked: str | None, where: str) -> tuple[str, str]:
    """Apply the rule of the module's first lines; give the kind and the reason."""
    low, high = array.min(), array.max()
    integers = array.dtype.kind in "biu" or bool((array == np.trunc(array)).all())
    could = {
        "binary": integers and low >= 0 and high <= 1,
        "pictures": array.ndim > 2
        and low >= 0
        and ((integers and high <= 255) or (high <= 1 and _is_8_bit(array))),
        "counts": integers and low >= 0,
        "real": True,
    }
    if asked is not None:
        if asked not in KINDS:
            raise DataError(f"{where}: kind must be one of {', '.join(KINDS)}; got {asked!r}")
        if not could[asked]:
            fits = ", ".join(k for k in KINDS if could[k])
            raise DataError(
                f"{where} must fit kind={asked!r}; got {array.dtype} of shape {array.shape} "
                f"with values {low} .. {high}; kinds that fit: {fits}"
            )
        return asked, f"{asked}, as asked"
    if could["binary"]:
        alike = f" (all are {int(low)})" if low == high else ""
        return "binary", f"binary: every value is 0 or 1{alike}"
    if could["pictures"] and array.dtype == np.uint8:
        return "pictures", "8-bit pictures: uint8"
    if could["pictures"] and high <= 1:
        return "pictures", "8-bit pictures: every value is k / 255, kept as the integer k"
    if could["counts"]:
        hint = "; if these are 8-bit grey levels, save them as uint8" if array.dtype != np.uint8 else ""
        hint = (
            hint
            if array.ndim > 2
            else "; if these are pictures, give them the shape (N, H, W)"
            if high > 1
            else ""
        )
        return "counts", f"counts: every value is a non-negative integer{hint if high <= 255 else ''}"
    return "real", "real numbers"


def _is_8_bit(array: np.ndarray) -> bool:
    """Tell whether every float is k / 255 up to one rounding of its own dtype."""
    if array.dtype.kind != "f":
        return False
    return all(
        _on_grid(array[i : i + 1024]) for i in range(0, len(array), 1024)
    )  # stops at the first that is not


def _on_grid(x: np.ndarray) -> bool:
    k = np.rint(x.astype(np.float64) * 255) / 255
    return bool((np.abs(x - k) <= np.finfo(x.dtype).eps * k).all())


def _compact(array: np.ndarray, kind: str, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Convert to the kind's dtype without loss; say where float64 is rounded; refuse what does not fit."""
    if kind == "binary":
        return array.astype(np.uint8), ()
    if kind == "pictures":
        parts = array.dtype.kind == "f" and array.max() <= 1  # k / 255 rather than k
        return (np.rint(array * 255.0) if parts else array).astype(np.uint8), ()
    low, high = array.min(), array.max()
    if kind == "counts":
        if float(high) > EXACT:
            raise DataError(
                f"{where} must hold counts of at most 2^24 = {EXACT}, which float32 holds exactly; "
                f"got {high}; scale them down or take logarithms"
            )
        dtype = np.uint8 if high <= 255 else np.int16 if high < 2**15 else np.int32
        return array.astype(dtype), ()
    if array.dtype.kind in "biu":
        if max(abs(int(low)), abs(int(high))) > EXACT:
            raise DataError(
                f"{where} must hold integers within +-2^24, which float32 holds exactly; "
                f"got {low} .. {high}; scale them or convert them to floats"
            )
        return array.astype(np.float32), ()
    if max(abs(float(low)), abs(float(high))) > float(np.finfo(np.float32).max):
        raise DataError(
            f"{where} must hold numbers that fit in float32 (up to 3.4e38); got {low} .. {high}; rescale them"
        )
    rounded = array.astype(np.float32)
    lost = array.dtype.itemsize > 4 and not np.array_equal(rounded, array)
    return rounded, (
        (f"{array.dtype} rounded to float32 (relative error up to 6e-8 above 1e-38)",) if lost else ()
    )
