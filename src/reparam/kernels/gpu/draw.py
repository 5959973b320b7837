# mypy: allow-untyped-defs
"""One draw by Triton: words and their map in one pass over the memory of the result.

Same signature and meaning as `reference.draw`; the same bits for words and uniforms. A draw is one launch on the
current stream, and waits for nothing: keys, steps and row numbers may be numbers or lie in memory of the device.
"""

import math
from collections.abc import Sequence
from contextlib import nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

from reparam.kernels.gpu.laws import mapped, places32, places64
from reparam.kernels.gpu.philox import STEP_DOMAIN, folded, four, scalar, words_at
from reparam.kernels.reference.laws import UNIFORM_BITS, words_per_number

BLOCK = 256  # blocks of four words in one program


@triton.jit
def number(low, high, LAW: tl.constexpr, WORDS: tl.constexpr, BITS: tl.constexpr, UNIT: tl.constexpr):
    """Return numbers of a law from words (uint32): one word each, or two."""
    wide = (high.to(tl.int64) << 32) | low.to(tl.int64)
    if LAW == "bits":
        return low.to(tl.int64)
    elif LAW == "bits64":
        return wide
    elif LAW == "uniform":
        if WORDS == 2:
            return (((wide >> 12) & 0xFFFFFFFFFFFFF).to(tl.float64) + 0.5) * UNIT
        else:
            return ((low >> (32 - BITS)).to(tl.int32).to(tl.float32) + 0.5) * UNIT
    else:
        if WORDS == 2:
            y, p = places64(wide)
            return mapped(y, p, LAW)
        else:
            y, p = places32(low)
            return mapped(y, p, LAW).to(tl.float32)


@triton.jit
def rounded(value, TYPE: tl.constexpr):
    """Return numbers in the type of the result, rounded to nearest even, bfloat16 by its bits."""
    if tl.bfloat16 == TYPE:
        bits = value.to(tl.float32).to(tl.int32, bitcast=True)
        half = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) & 0xFFFF
        return half.to(tl.uint16).to(tl.bfloat16, bitcast=True)
    else:
        return value.to(TYPE)


@triton.jit(do_not_specialize=["key", "step", "rows", "count", "blocks", "start"])
def draw_kernel(
    out,
    index,
    key_pointer,
    step_pointer,
    key: tl.int64,
    step: tl.int64,
    rows: tl.int64,
    count: tl.int64,
    blocks: tl.int64,
    start: tl.int64,
    LAW: tl.constexpr,
    WORDS: tl.constexpr,
    BITS: tl.constexpr,
    UNIT: tl.constexpr,
    MANY: tl.constexpr,
    SMALL: tl.constexpr,
    FOLD: tl.constexpr,
    WHOLE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write `count` numbers of each row, from block `start` of a row on; `blocks` is how many a row takes here."""
    key, step = scalar(key, key_pointer), scalar(step, step_pointer)
    key = folded(key, step, STEP_DOMAIN)
    g = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    r, b = (g >= blocks).to(tl.int64), g  # one row: lanes beyond it are in a row that is none
    if MANY:
        if SMALL:  # division of 32-bit numbers
            r = (g.to(tl.int32) // blocks.to(tl.int32)).to(tl.int64)
        else:
            r = g // blocks
        b = g - r * blocks
    row = tl.zeros_like(g)
    if index is not None:
        row += tl.load(index + r, mask=r < rows, other=0)
    w0, w1, w2, w3 = words_at(key, step, row, b + start, FOLD)
    PER: tl.constexpr = 4 // WORDS
    if WORDS == 2:
        low = tl.reshape(tl.join(w0, w2), (BLOCK, 2))
        high = tl.reshape(tl.join(w1, w3), (BLOCK, 2))
    else:
        low = four(w0, w1, w2, w3, (BLOCK, 4))
        high = low
    value = number(low, high, LAW, WORDS, BITS, UNIT)
    value = rounded(value, out.dtype.element_ty)
    lane = tl.arange(0, PER)[None, :]
    first = (r * count + PER * b)[:, None]
    if WHOLE:  # every block is full: one wide store each
        first = tl.multiple_of(first, (PER, 1))
        tl.store(out + first + lane, value, mask=(r < rows)[:, None])
    else:
        tl.store(out + first + lane, value, mask=(r < rows)[:, None] & ((PER * b)[:, None] + lane < count))


def draw(
    law: str,
    key: Tensor,
    step: Tensor,
    index: Tensor | None,
    shape: Sequence[int],
    sample_ndim: int,
    dtype: torch.dtype,
) -> Tensor:
    """Return numbers of one law at an address, on the device of the key; see `reference.draw`."""
    return draw_at(law, key, step, index, shape, sample_ndim, dtype, key.device)


def draw_at(
    law: str,
    key: int | Tensor,
    step: int | Tensor,
    index: Tensor | None,
    shape: Sequence[int],
    sample_ndim: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """Return the draw at a key and a step given as signed 64-bit ints or as int64 tensors on the device."""
    if index is None or index.ndim == 0:
        out = torch.empty(tuple(shape), dtype=dtype, device=device)
        launch(law, out, key, step, index, 1, out.numel())
        return out
    row_shape = (*shape[:sample_ndim], *shape[sample_ndim + 1 :])
    out = torch.empty((len(index), *row_shape), dtype=dtype, device=device)
    launch(law, out, key, step, index, len(index), math.prod(row_shape))
    return out.movedim(0, sample_ndim) if sample_ndim else out


def launch(
    law: str,
    out: Tensor,
    key: int | Tensor,
    step: int | Tensor,
    index: Tensor | None,
    rows: int,
    count: int,
    start: int = 0,
) -> None:
    """Fill `out` with `count` numbers of each row, from block `start` of the row on."""
    if not rows or not count:
        return
    words = words_per_number(law, out.dtype)
    blocks = -(-count * words // 4)
    bits = UNIFORM_BITS.get(out.dtype, 1)
    with torch.cuda.device(out.device) if out.is_cuda else nullcontext():
        draw_kernel[(triton.cdiv(rows * blocks, BLOCK),)](
            out,
            index,
            *pointers(key, step),
            rows,
            count,
            blocks,
            start,
            LAW=law,
            WORDS=words,
            BITS=bits,
            UNIT=2.0**-bits,
            MANY=rows > 1,
            SMALL=rows * blocks + BLOCK < 1 << 31,
            FOLD=start + blocks > 1 << 32,
            WHOLE=count * words % 4 == 0,
            BLOCK=BLOCK,
            enable_fp_fusion=False,
        )


def pointers(key: int | Tensor, step: int | Tensor) -> tuple[Tensor | None, Tensor | None, int, int]:
    """Return what a kernel takes for a key and a step: where they lie on the device, or else their values."""
    return (
        key if isinstance(key, Tensor) else None,
        step if isinstance(step, Tensor) else None,
        0 if isinstance(key, Tensor) else key,
        0 if isinstance(step, Tensor) else step,
    )


__all__ = ["draw", "draw_at"]
