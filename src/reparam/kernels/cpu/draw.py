"""One draw by Numba: fill the result's memory with words, then map them in place.

Same signature and meaning as `reference.draw`; the same bits for words and uniforms.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from reparam.kernels.cpu import laws, laws32, normal
from reparam.kernels.cpu.threads import CHUNK, SERIAL_BELOW, run_chunks
from reparam.kernels.cpu.words import fill_row, fill_rows

MAPS32 = {"normal": normal.map32, "uniform": laws.uniform32}
MAPS64 = {"normal": normal.map64, "uniform": laws.uniform64}
for _law in ("exponential", "gumbel", "logistic", "laplace", "cauchy"):
    MAPS32[_law], MAPS64[_law] = getattr(laws32, _law), getattr(laws, _law)
MAPS32["rademacher"] = MAPS64["rademacher"] = laws.rademacher
SMALL = {(law, torch.float32): mapping for law, mapping in MAPS32.items()}
SMALL |= {(law, torch.float64): mapping for law, mapping in MAPS64.items()}
NARROW = (torch.bfloat16, torch.float16)
COARSE = {torch.float16: 10, torch.bfloat16: 7}  # bits of a uniform


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
    mapping = SMALL.get((law, dtype))
    small = mapping is not None and math.prod(shape) <= CHUNK // 4
    if rows is not None and rows.ndim == 1:
        row_shape = (*shape[:sample_ndim], *shape[sample_ndim + 1 :])
        if small:
            out = short_way(mapping, key, step, rows, (len(rows), *row_shape), dtype)
        else:
            out = numbers(law, key, step, rows, math.prod(row_shape), dtype).view(len(rows), *row_shape)
        return out.movedim(0, sample_ndim) if sample_ndim else out
    row = 0 if rows is None else int(rows)
    if small:
        return short_way(mapping, key, step, row, shape, dtype)
    return numbers(law, key, step, row, math.prod(shape), dtype).view(shape)


def short_way(mapping, key, step, rows, shape, dtype) -> Tensor:  # type: ignore[no-untyped-def]
    """Return a small draw by two kernel calls and no more; `shape` starts with the rows, if there are several."""
    values = np.empty(shape, np.float64 if dtype == torch.float64 else np.float32)
    flat = values.reshape(-1)
    if isinstance(rows, int):
        fill_row(key, step, rows, 0, flat)
    elif len(flat):
        fill_rows(key, step, rows, flat)
    mapping(flat)
    return torch.from_numpy(values)


def numbers(law: str, key: int, step: int, rows: np.ndarray | int, count: int, dtype: torch.dtype) -> Tensor:
    """Return `count` numbers of each row, flat: one row (an int) or several (an array)."""
    total = count if isinstance(rows, int) else count * len(rows)
    if law in ("bits", "bits64"):
        words = torch.empty(total * (1 if law == "bits" else 2), dtype=torch.int32)
        run(None, key, step, rows, count * (1 if law == "bits" else 2), words.numpy().view(np.uint32), 1)
        if law == "bits64":
            return words.view(torch.int64)
        return words if dtype == torch.int32 else words.view(torch.uint32).to(dtype)
    working = torch.float32 if dtype in NARROW else dtype
    out = torch.empty(total, dtype=working)
    values = out.numpy()
    if law == "uniform" and dtype in NARROW:
        run(None, key, step, rows, count, values.view(np.uint32), 1)
        k = (out.view(torch.int32) >> (32 - COARSE[dtype])) & ((1 << COARSE[dtype]) - 1)
        return ((k.to(working) + 0.5) * 2.0 ** -COARSE[dtype]).to(dtype)
    if dtype == torch.float64:
        run(MAPS64[law], key, step, rows, 2 * count, values.view(np.uint32), 2)
    else:
        run(MAPS32[law], key, step, rows, count, values.view(np.uint32), 1)
    return out if working == dtype else out.to(dtype)


def run(mapping, key, step, rows, count, words, per_number) -> None:  # type: ignore[no-untyped-def]
    """Fill `words` with `count` words per row and map them in place, a chunk at a time."""
    kind = np.float32 if per_number == 1 else np.float64
    one = isinstance(rows, int)
    # a chunk is a whole number of blocks of one row, or of whole rows
    size = CHUNK if one else max(1, CHUNK // max(count, 1)) * count
    if len(words) <= size:
        chunk(mapping, key, step, rows, 0, words, kind)
        return

    def work(k: int) -> None:
        part = words[k * size : (k + 1) * size]
        if one:
            chunk(mapping, key, step, rows, k * size // 4, part, kind)
        else:
            per = size // count
            chunk(mapping, key, step, rows[k * per : (k + 1) * per], 0, part, kind)

    run_chunks(work, -(-len(words) // size), len(words) >= SERIAL_BELOW)


def chunk(mapping, key, step, rows, block, part, kind) -> None:  # type: ignore[no-untyped-def]
    if isinstance(rows, int):
        fill_row(key, step, rows, block, part)
    elif len(part):
        fill_rows(key, step, rows, part)
    if mapping is not None:
        mapping(part.view(kind))


__all__ = ["draw", "draw_at"]
