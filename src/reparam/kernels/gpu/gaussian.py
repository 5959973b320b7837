# mypy: allow-untyped-defs
"""The fused Gaussian layer by Triton: sample and KL in one kernel, its derivatives in one more; see `cpu.gaussian`.

    z = mu + sigma eps, log sigma = s         KL(N(mu, sigma^2) || N(0, 1)) = (mu^2 + sigma^2 - 1) / 2 - s
    given dz and dkl:   dmu = dz + dkl mu     ds = dz sigma eps + dkl (sigma^2 - 1)

A program takes a tile of whole rows and goes along them. The noise is made in registers from its address, in both
passes, so nothing is kept between the two.
"""

from contextlib import nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

from reparam.kernels.gpu.draw import number, pointers
from reparam.kernels.gpu.philox import STEP_DOMAIN, folded, four, scalar, words_at

Address = tuple[int | Tensor, int | Tensor, Tensor | None]  # key, step, row numbers
TILE = 1024  # elements of one step of a program
UNIT = tl.constexpr(2.0**-23)
LOG2E, LN2_HIGH, LN2_LOW = (
    tl.constexpr(1.4426950408889634),
    tl.constexpr(0.693359375),
    tl.constexpr(-2.12194440e-4),
)
MAGIC, LARGE = (
    tl.constexpr(12582912.0),
    tl.constexpr(150.0),
)  # 1.5 2^23 rounds to whole numbers; far beyond 0 and inf


@triton.jit
def power_of_two(n):
    """Return 2^n for whole n in [-126, 127], in float32."""
    bits = (n + MAGIC).to(tl.int32, bitcast=True) & 0x1FF
    return (((bits + 127) & 0xFF) << 23).to(tl.float32, bitcast=True)


@triton.jit
def exp(x):
    """Return e^x: x = n log 2 + r, e^x = 2^m 2^(n - m) e^r; m = n / 2 makes under- and overflow gradual."""
    if x.dtype == tl.float64:
        return tl.exp(x)
    else:
        x = tl.where(x > LARGE, LARGE, tl.where(x < -LARGE, -LARGE, x))
        n = (x * LOG2E + MAGIC) - MAGIC
        r = (x - n * LN2_HIGH) - n * LN2_LOW
        e = r * (r * (r * (r * (r * (1 / 720) + 1 / 120) + 1 / 24) + 1 / 6) + 0.5)
        e = r * e + r + 1.0
        m = (n * 0.5 + MAGIC) - MAGIC
        return e * power_of_two(m) * power_of_two(n - m)


@triton.jit
def noise_tile(
    key,
    step,
    index,
    i,
    c,
    n,
    per,
    inside,
    WORDS: tl.constexpr,
    ALIGNED: tl.constexpr,
    FOLD: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
):
    """Return the normals of rows i (of n numbers each) from column c on; `per` rows lie in one row of the noise."""
    row, first = tl.zeros_like(i), i * n + c
    if index is not None:
        label = i // per
        row, first = tl.load(index + label, mask=inside, other=0), (i - label * per) * n + c
    row, first = row[:, None], (first * WORDS)[:, None]
    if ALIGNED:  # rows begin at whole blocks
        w0, w1, w2, w3 = words_at(
            key, step, row, (first >> 2) + tl.arange(0, COLS * WORDS // 4)[None, :], FOLD
        )
        if WORDS == 2:
            low = tl.reshape(tl.join(w0, w2), (ROWS, COLS))
            high = tl.reshape(tl.join(w1, w3), (ROWS, COLS))
        else:
            low = four(w0, w1, w2, w3, (ROWS, COLS))
            high = low
    else:
        place = first + WORDS * tl.arange(0, COLS)[None, :]
        w0, w1, w2, w3 = words_at(key, step, row, place >> 2, FOLD)
        lane = place & 3
        low = tl.where(lane < 2, tl.where(lane == 0, w0, w1), tl.where(lane == 2, w2, w3))
        high = tl.where(lane == 0, w1, w3)
    return number(low, high, "normal", WORDS, 23, UNIT)


@triton.jit(do_not_specialize=["key", "step", "rows", "n", "per"])
def forward_kernel(
    loc,
    log_scale,
    z,
    kl,
    index,
    key_pointer,
    step_pointer,
    key: tl.int64,
    step: tl.int64,
    rows: tl.int64,
    n: tl.int64,
    per: tl.int64,
    WORDS: tl.constexpr,
    ALIGNED: tl.constexpr,
    FOLD: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
):
    """Write the samples and the KL of each row."""
    key, step = scalar(key, key_pointer), scalar(step, step_pointer)
    key = folded(key, step, STEP_DOMAIN)
    i = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = i < rows
    total = tl.zeros((ROWS, COLS), dtype=loc.dtype.element_ty)
    for c in range(0, n, COLS):
        column = c + tl.arange(0, COLS)[None, :]
        place, mask = i[:, None] * n + column, inside[:, None] & (column < n)
        mu, s = tl.load(loc + place, mask=mask, other=0.0), tl.load(log_scale + place, mask=mask, other=0.0)
        eps = noise_tile(key, step, index, i, c, n, per, inside, WORDS, ALIGNED, FOLD, ROWS, COLS)
        sigma = exp(s)
        tl.store(z + place, mu + sigma * eps, mask=mask)
        total += tl.where(mask, 0.5 * (mu * mu + sigma * sigma) - (0.5 + s), 0.0)
    tl.store(kl + i, tl.sum(total, 1), mask=inside)


@triton.jit(do_not_specialize=["key", "step", "rows", "n", "per"])
def backward_kernel(
    loc,
    log_scale,
    grad_z,
    grad_kl,
    grad_loc,
    grad_log_scale,
    index,
    key_pointer,
    step_pointer,
    key: tl.int64,
    step: tl.int64,
    rows: tl.int64,
    n: tl.int64,
    per: tl.int64,
    WORDS: tl.constexpr,
    ALIGNED: tl.constexpr,
    FOLD: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
):
    """Write the derivatives of rows, with the noise made again."""
    key, step = scalar(key, key_pointer), scalar(step, step_pointer)
    key = folded(key, step, STEP_DOMAIN)
    i = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = i < rows
    dkl = tl.load(grad_kl + i, mask=inside, other=0.0)[:, None]
    for c in range(0, n, COLS):
        column = c + tl.arange(0, COLS)[None, :]
        place, mask = i[:, None] * n + column, inside[:, None] & (column < n)
        mu, dz = tl.load(loc + place, mask=mask, other=0.0), tl.load(grad_z + place, mask=mask, other=0.0)
        sigma = exp(tl.load(log_scale + place, mask=mask, other=0.0))
        eps = noise_tile(key, step, index, i, c, n, per, inside, WORDS, ALIGNED, FOLD, ROWS, COLS)
        tl.store(grad_loc + place, dz + dkl * mu, mask=mask)
        tl.store(grad_log_scale + place, dz * sigma * eps + dkl * (sigma * sigma - 1.0), mask=mask)


def forward(loc: Tensor, log_scale: Tensor, n: int, address: Address) -> tuple[Tensor, Tensor]:
    """Return z like `loc` and the KL of each run of n elements, flat; not empty, contiguous, float32 or float64."""
    z, kl = torch.empty_like(loc), loc.new_empty(loc.numel() // n)
    launch(forward_kernel, (loc, log_scale, z, kl), len(kl), n, address)
    return z, kl


def backward(
    loc: Tensor, log_scale: Tensor, n: int, address: Address, grad_z: Tensor, grad_kl: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the derivatives with respect to loc and log_scale; the noise is made again."""
    grad_loc, grad_log_scale = torch.empty_like(loc), torch.empty_like(loc)
    tensors = (loc, log_scale, grad_z, grad_kl, grad_loc, grad_log_scale)
    launch(backward_kernel, tensors, grad_kl.numel(), n, address)
    return grad_loc, grad_log_scale


def launch(kernel, tensors: tuple[Tensor, ...], rows: int, n: int, address: Address) -> None:
    """Run a kernel over tiles of whole rows."""
    key, step, index = address
    words = tensors[0].element_size() // 4
    columns = min(max(triton.next_power_of_2(n), 4), TILE)
    with torch.cuda.device(tensors[0].device) if tensors[0].is_cuda else nullcontext():
        kernel[(triton.cdiv(rows, TILE // columns),)](
            *tensors,
            index,
            *pointers(key, step),
            rows,
            n,
            1 if index is None else rows // len(index),
            WORDS=words,
            ALIGNED=n * words % 4 == 0,
            FOLD=rows * n * words > 1 << 34,
            ROWS=TILE // columns,
            COLS=columns,
            enable_fp_fusion=False,
        )
