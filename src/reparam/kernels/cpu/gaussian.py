"""The fused Gaussian layer: sample and KL in one pass over the memory, and its derivatives in one more.

    z = mu + sigma eps, log sigma = s         KL(N(mu, sigma^2) || N(0, 1)) = (mu^2 + sigma^2 - 1) / 2 - s
    given dz and dkl:   dmu = dz + dkl mu     ds = dz sigma eps + dkl (sigma^2 - 1)

The noise eps is drawn into the memory of a result, a chunk at a time, and used there; the backward kernel draws it
again from its address, so nothing is kept between the two.
"""
# mypy: allow-untyped-defs

import math

import numpy as np
import torch
from numba import types
from numba.extending import overload
from torch import Tensor

from reparam.kernels.cpu.fill import CODES, many_rows, one_row
from reparam.kernels.cpu.floats import bits_of_float32, float32_of, fma
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.memory import empty
from reparam.kernels.cpu.threads import CHUNK, SERIAL_BELOW, run_chunks

Address = tuple[int, int, np.ndarray | None]  # key, step, row numbers
f = np.float32
LOG2E, LN2_HIGH, LN2_LOW, MAGIC = f(1.4426950408889634), f(0.693359375), f(-2.12194440e-4), f(12582912.0)
E2, E3, E4, E5, E6, E7 = (f(1 / math.factorial(k)) for k in range(2, 8))  # the next term is below 6e-9
ONE, LARGE = f(1), f(150)
SUMS = {"contract", "nsz", "reassoc"}  # a sum over a row may be taken in any order


@jit(fastmath=False, forceinline=True)
def exp32(x):
    """Return e^x in float32: x = n log 2 + r, e^x = 2^(n - m) 2^m e^r; m = n / 2 makes under- and overflow gradual."""
    x = LARGE if x > LARGE else (-LARGE if x < -LARGE else x)  # far beyond 0 and inf
    n = fma(x, LOG2E, MAGIC) - MAGIC
    r = fma(-n, LN2_LOW, fma(-n, LN2_HIGH, x))
    e = fma(r, fma(r, fma(r, fma(r, fma(r, fma(r, E7, E6), E5), E4), E3), E2), ONE)
    e = fma(r, e, ONE)
    half = fma(n, f(0.5), MAGIC)
    m = half - MAGIC
    low = float32_of(np.uint32((bits_of_float32(half) + np.uint32(127)) << np.uint32(23)))
    high = float32_of(np.uint32((bits_of_float32((n - m) + MAGIC) + np.uint32(127)) << np.uint32(23)))
    return e * low * high


def exp(x):
    """Return e^x in the type of x."""


@overload(exp, inline="always")
def _exp(x):
    if x == types.float32:
        return lambda x: exp32(x)
    return lambda x: math.exp(x)


@jit(fastmath=SUMS)
def forward_pass(loc, log_scale, z, kl):
    """Turn the noise in z (rows, n) into samples and write the KL of each row."""
    half = loc.dtype.type(0.5)
    for i in range(len(kl)):
        total = loc.dtype.type(0)
        for j in range(loc.shape[1]):
            mu, s = loc[i, j], log_scale[i, j]
            sigma = exp(s)
            z[i, j] = mu + sigma * z[i, j]
            total += half * (mu * mu + sigma * sigma) - (half + s)
        kl[i] = total


@jit(fastmath=SUMS)
def backward_pass(loc, log_scale, grad_z, grad_kl, grad_loc, grad_log_scale):
    """Write the derivatives of rows; `grad_log_scale` holds the noise."""
    one = loc.dtype.type(1)
    for i in range(len(grad_kl)):
        dkl = grad_kl[i]
        for j in range(loc.shape[1]):
            mu, dz = loc[i, j], grad_z[i, j]
            sigma = exp(log_scale[i, j])
            grad_loc[i, j] = dz + dkl * mu
            grad_log_scale[i, j] = dz * sigma * grad_log_scale[i, j] + dkl * (sigma * sigma - one)


def rows_pass(kernel, address: Address, eps, arrays) -> None:
    """Draw noise into eps (rows, n) and run `kernel(*arrays)`, a chunk of whole rows at a time.

    The noise is one row, or has the rows that the index in the address numbers.
    """
    (key, step, index), (rows, n) = address, eps.shape
    per = 1 if index is None else rows // len(index)  # rows of the result in one row of the noise
    step_rows = max(1, CHUNK // max(n * per, 1)) * per
    step_rows = (step_rows + 3) // 4 * 4 if index is None else step_rows

    def work(k: int) -> None:
        a, b = k * step_rows, min((k + 1) * step_rows, rows)
        part = eps[a:b].reshape(-1)
        if index is None:
            one_row(CODES["normal"], key, step, 0, a * n, part)
        else:
            many_rows(CODES["normal"], key, step, index[a // per : b // per], part)
        kernel(*(x[a:b] for x in arrays))

    run_chunks(work, -(-rows // step_rows), eps.size >= SERIAL_BELOW)


def forward(loc: Tensor, log_scale: Tensor, n: int, address: Address) -> tuple[Tensor, Tensor]:
    """Return z like `loc` and the KL of each run of n elements, flat; not empty, contiguous, float32 or float64."""
    z, kl = empty(loc.shape, loc.dtype), empty((loc.numel() // n,), loc.dtype)
    mu, s, values = (x.detach().numpy().reshape(-1, n) for x in (loc, log_scale, z))
    rows_pass(forward_pass, address, values, (mu, s, values, kl.numpy()))
    return z, kl


def push(loc: Tensor, log_scale: Tensor, n: int, eps: Tensor) -> tuple[Tensor, Tensor]:
    """Return what `forward` does for noise that is given: the same bits for the same noise."""
    z, kl = eps.clone(memory_format=torch.contiguous_format), loc.new_empty(loc.numel() // n)
    mu, s, values = (x.detach().numpy().reshape(-1, n) for x in (loc, log_scale, z))
    forward_pass(mu, s, values, kl.numpy())
    return z, kl


def backward(
    loc: Tensor, log_scale: Tensor, n: int, address: Address, grad_z: Tensor, grad_kl: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the derivatives with respect to loc and log_scale; the noise is drawn again."""
    grad_loc, grad_log_scale = (empty(loc.shape, loc.dtype) for _ in range(2))
    tensors = (loc, log_scale, grad_z, grad_loc, grad_log_scale)
    mu, s, dz, dmu, ds = (x.detach().numpy().reshape(-1, n) for x in tensors)
    dkl = grad_kl.detach().numpy().reshape(-1)
    rows_pass(backward_pass, address, ds, (mu, s, dz, dkl, dmu, ds))
    return grad_loc, grad_log_scale
