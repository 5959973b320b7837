"""Laws of weights in one pass over the memory each: their variances, and their KL divergence from one normal law.

    v = exp(2 s)                                            s = log scale
    KL = sum [(mu - m)^2 k + v k - 1] / 2 - s + log S,      k = 1 / S^2, for the prior N(m, S^2)
    given dKL:   dmu = (mu - m) k dKL     ds = (v k - 1) dKL

and the slope h = g eps / std of g.(std eps) in std^2, but for the factor 1/2.

float32 only: other dtypes have their exponential in torch.
"""
# mypy: allow-untyped-defs

import numpy as np
import torch
from torch import Tensor

from reparam.kernels.cpu.gaussian import SUMS, exp32
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.threads import SERIAL_BELOW, run_chunks, thread_count

BLOCK = 512  # elements summed in float32 before the sum goes on in float64
TWO = np.float32(2)


@jit
def variance_pass(log_scale, v):
    """Write exp(2 s)."""
    for i in range(len(v)):
        v[i] = exp32(TWO * log_scale[i])


@jit(fastmath=SUMS)
def sums_pass(loc, log_scale, sums, m):
    """Write the sums of (mu - m)^2, exp(2 s) and s over each block."""
    for j in range(len(sums)):
        square, v, total = np.float32(0), np.float32(0), np.float32(0)
        mu, s = (
            loc[j * BLOCK : (j + 1) * BLOCK],
            log_scale[j * BLOCK : (j + 1) * BLOCK],
        )  # slices: LLVM vectorises
        for i in range(len(mu)):
            d = mu[i] - m
            square += d * d
            v += exp32(TWO * s[i])
            total += s[i]
        sums[j, 0], sums[j, 1], sums[j, 2] = square, v, total


@jit
def slopes_pass(loc, log_scale, grad_loc, grad_log_scale, m, k, grad):
    """Write the derivatives of the KL, `k` holding dKL / S^2 and `grad` dKL."""
    for i in range(len(loc)):
        grad_loc[i] = (loc[i] - m) * k
        grad_log_scale[i] = exp32(TWO * log_scale[i]) * k - grad


@jit
def noise_slope_pass(g, eps, std, h):
    """Write g eps / std, 0 where there is no noise."""
    for i in range(len(h)):
        h[i] = g[i] * eps[i] / std[i] if std[i] > 0 else np.float32(0)


def in_parts(kernel, arrays, *numbers) -> None:
    """Run kernel(*arrays, *numbers) on parts of the arrays, one per thread; each begins at a block of its own."""
    size = max(len(a) for a in arrays)
    threads = thread_count() if size >= SERIAL_BELOW else 1
    part = -(-size // (threads * BLOCK))  # in blocks

    def work(k: int) -> None:
        steps = (part if a.ndim == 2 else part * BLOCK for a in arrays)
        kernel(*(a[k * step : (k + 1) * step] for a, step in zip(arrays, steps)), *numbers)

    run_chunks(work, threads, threads > 1)


def flat(*tensors: Tensor) -> list[np.ndarray]:
    """Return the memory of contiguous tensors as arrays of one axis."""
    return [t.detach().view(-1).numpy() for t in tensors]


def variance(log_scale: Tensor) -> Tensor:
    """Return exp(2 log_scale), float32 and contiguous."""
    v = torch.empty_like(log_scale)
    in_parts(variance_pass, flat(log_scale, v))
    return v


def noise_slope(g: Tensor, eps: Tensor, std: Tensor) -> Tensor:
    """Return g eps / std in the shape of std, 0 where std is 0."""
    h = torch.empty_like(std)
    in_parts(noise_slope_pass, flat(g, eps, std, h))
    return h


def kl_sums(loc: Tensor, log_scale: Tensor, m: float) -> np.ndarray:
    """Return the sums over all weights of (mu - m)^2, exp(2 s) and s, in float64."""
    sums = np.empty((-(-loc.numel() // BLOCK), 3))
    in_parts(sums_pass, [*flat(loc, log_scale), sums], np.float32(m))
    return sums.sum(0)


def kl_slopes(loc: Tensor, log_scale: Tensor, m: float, k: float, grad: float) -> tuple[Tensor, Tensor]:
    """Return the derivatives of grad KL in loc and log_scale, with k = grad / S^2."""
    results = torch.empty_like(loc), torch.empty_like(loc)
    in_parts(slopes_pass, flat(loc, log_scale, *results), np.float32(m), np.float32(k), np.float32(grad))
    return results
