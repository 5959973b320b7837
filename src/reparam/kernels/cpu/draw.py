"""One draw by Numba: fill the result's memory with words, then map them in place.

Same signature and meaning as `reference.draw`; the same bits for words and uniforms.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from reparam.kernels.cpu.fill import CODES, PIECE, many_rows, one_row, share_keys, share_row, share_rows
from reparam.kernels.cpu.memory import empty
from reparam.kernels.cpu.threads import together

KINDS = {torch.float32: np.float32, torch.float64: np.float64}
COARSE = {torch.float16: 10, torch.bfloat16: 7}  # bits of a uniform
Rows = int | np.ndarray  # one row, or several


def draw(
    law: str,
    key: Tensor,
    step: Tensor,
    index: Tensor | None,
    shape: Sequence[int],
    sample_ndim: int,
    dtype: torch.dtype,
) -> Tensor:
    """Return numbers of one law at an address; see `reference.draw`."""
    rows = index.numpy() if index is not None else None
    return draw_at(law, int(key), int(step), rows, shape, sample_ndim, dtype)


def draw_at(
    law: str,
    key: int,
    step: int,
    rows: np.ndarray | None,
    shape: Sequence[int],
    sample_ndim: int,
    dtype: torch.dtype,
) -> Tensor:
    """Return the draw at a key and a step given as signed 64-bit ints."""
    if rows is None or rows.ndim == 0:
        return numbers(law, key, step, 0 if rows is None else int(rows), shape, dtype)
    if not sample_ndim:
        return numbers(law, key, step, rows, shape, dtype)
    by_row = shape[sample_ndim], *shape[:sample_ndim], *shape[sample_ndim + 1 :]
    return numbers(law, key, step, rows, by_row, dtype).movedim(0, sample_ndim)


def numbers(law: str, key: int, step: int, rows: Rows, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Return numbers of one law; `shape` starts with the rows if there are several."""
    kind, code = KINDS.get(dtype), CODES[law]
    if kind is not None and math.prod(shape) <= PIECE:  # the short way: one allocation, one call
        values = np.empty(shape, kind)
        fill(code, key, step, rows, values.reshape(-1))
        return torch.from_numpy(values)
    held = empty(shape, working(law, dtype))
    fill(0 if law == "uniform" and dtype in COARSE else code, key, step, rows, held.view(-1).numpy())
    return held if kind is not None else finished(law, held, dtype)


def working(law: str, dtype: torch.dtype) -> torch.dtype:
    """Return the type whose memory is filled."""
    return torch.float64 if law == "bits64" or dtype == torch.float64 else torch.float32


def finished(law: str, held: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what is neither float32 nor float64: words as integers, and 16 bits of what was made in float32."""
    if law == "bits64":
        return held.view(torch.int64)
    if law == "bits":
        return held.view(torch.int32) if dtype == torch.int32 else held.view(torch.uint32).to(dtype)
    if law == "uniform":
        k = (held.view(torch.int32) >> (32 - COARSE[dtype])) & ((1 << COARSE[dtype]) - 1)
        return ((k.to(torch.float32) + 0.5) * 2.0 ** -COARSE[dtype]).to(dtype)
    return held.to(dtype)


def fill(law: int, key: int, step: int, rows: Rows, values: np.ndarray) -> None:
    """Fill `values`, float32 or float64 and flat, with the numbers of one row (an int) or of several."""
    if len(values) > PIECE:
        share = share_row if isinstance(rows, int) else share_rows
        together(share, law, key, step, rows, values, size=len(values))
    elif isinstance(rows, int):
        one_row(law, key, step, rows, 0, values)
    elif len(values):
        many_rows(law, key, step, rows, values)


def draw_keys(
    law: str, key: Tensor, step: Tensor, index: Tensor | None, shape: Sequence[int], dtype: torch.dtype
) -> Tensor:
    """Return a draw for each of many keys, (*K, *shape): step (*K), index None, (*K) or (*K, B)."""
    held = torch.empty((*key.shape, *shape), dtype=working(law, dtype), device="cpu")
    keys, steps, values = (x.reshape(-1).numpy() for x in (key, step, held))
    rows = np.zeros((len(keys), 1), np.int64) if index is None else index.reshape(len(keys), -1).numpy()
    if len(values):
        code = 0 if law == "uniform" and dtype in COARSE else CODES[law]
        together(share_keys, code, keys, steps, rows, values, size=len(values))
    return held if dtype in KINDS else finished(law, held, dtype)
