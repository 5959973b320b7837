"""Schemes: other ways to fill the sample axis (dim 0) of a draw, each keeping the marginal law of every number.

A scheme is noise: it draws uniform 64-bit words as plain noise does, couples them along dim 0, and pushes them
through the monotone map of the base law. Write s for the sample, S for their number, u for a uniform.

    antithetic    u_{2k+1} = 1 - u_{2k}; an odd S leaves the last sample single
    stratified    Latin hypercube: u_s = (pi(s) + u'_s) / S, pi a fresh permutation for every coordinate
    sobol         the first S points of a Sobol sequence, scrambled in every dimension by a random linear map of
                  the bits and a random shift: u = L x + e (mod 2), L lower triangular with unit diagonal;
                  balanced when S is a power of two, otherwise a valid sample of every law that merely loses that

S samples are dependent, so their spread says nothing about the error of their mean: `replicates(n)` gives n
independent copies, whose means give a standard error. More samples keep the first ones in antithetic pairs and
Sobol points, not in a Latin hypercube.

With `rows`, every row has couplings of its own (for Sobol: its own scramble, and a dimension is a number of the
row), so that rows are independent and hold the same numbers in any batch. Without rows a Sobol dimension is a number
of the sample.

Sources: McKay, Beckman and Conover 1979 (Latin hypercube, `mckay1979`); Matousek 1998 (the linear scramble,
`matousek1998`), whose variance is that of Owen's nested scramble (`owen1995`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from reparam.kernels.reference.laws import UNIFORM_BITS, from_words
from reparam.kernels.reference.philox import multiply_high
from reparam.noise import LAWS, Noise

SOBOL_BITS = SobolEngine.MAXBIT


@dataclass(frozen=True, eq=False, repr=False)
class Scheme(Noise):
    """Noise whose samples are coupled along dim 0; `child`, `at`, `split` and `rows` keep the scheme.

    Example:
        >>> z = Noise(0).antithetic().normal((4, 3))
        >>> bool((z[0] == -z[1]).all())
        True
    """

    kind: str = "antithetic"

    def _moved(self, seed: Any, path: Any, step: Any, index: Any) -> "Scheme":
        return Scheme(seed, path, step, index, self.kind)

    def replicates(self, n: int) -> tuple["Noise", ...]:
        """Return n independent copies of the scheme: the spread of their means is the standard error."""
        return self.split(n)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scheme) and self.kind == other.kind and super().__eq__(other)

    def __hash__(self) -> int:
        return hash((self.path, self.kind))

    def __repr__(self) -> str:
        return f"{super().__repr__()}.{self.kind}()"

    def _draw(
        self, law: str, shape: Sequence[int] | int, dtype: Any, device: Any, sample_ndim: int = 0
    ) -> Tensor:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        dtype = torch.get_default_dtype() if dtype is None else dtype
        if law not in LAWS:
            raise TypeError(
                f"Noise.{self.kind}: the law must be one of {', '.join(LAWS)}; got {law}; bits have no scheme"
            )
        if dtype not in UNIFORM_BITS:
            raise TypeError(f"Noise.{law}: dtype must be a floating dtype; got {dtype}")
        if not shape:
            raise ValueError(f"Noise.{self.kind}: the shape must have a sample axis; got (); draw (S, ...)")
        if self.index is not None and sample_ndim == 0:
            raise ValueError(
                f"Noise.{self.kind}: rows label an axis after the sample axis; got shape {shape} without sample "
                "axes; draw with NoiseSpec(sample_ndim=1) or rsample((S,))"
            )
        plain = Noise(self.seed, self.path, self.step, self.index)
        words = COUPLINGS[self.kind](plain, shape, sample_ndim, device)
        halves = torch.stack((words & 0xFFFFFFFF, words >> 32 & 0xFFFFFFFF), -1)
        return from_words(law, halves if dtype == torch.float64 else halves[..., 1:], dtype)


def antithetic_words(noise: Noise, shape: tuple[int, ...], sample_ndim: int, device: Any) -> Tensor:
    """Return words in pairs, each the complement of the other."""
    half = noise._draw("bits64", ((shape[0] + 1) // 2, *shape[1:]), torch.int64, device, sample_ndim)
    return torch.stack((half, ~half), 1).flatten(0, 1)[: shape[0]]


def stratified_words(noise: Noise, shape: tuple[int, ...], sample_ndim: int, device: Any) -> Tensor:
    """Return one word in each of S equal strata of [0, 2^64), in an order of its own for every coordinate."""
    count = shape[0]
    inside = noise._draw("bits64", shape, torch.int64, device, sample_ndim)
    keys = noise.child("strata")._draw("bits64", shape, torch.int64, device, sample_ndim)
    order = torch.argsort(keys, dim=0, stable=True)
    if count < 2:
        return inside
    if count == 2:
        return order << 63 | inside >> 1 & ((1 << 63) - 1)
    width, spare = divmod(
        1 << 64, count
    )  # stratum k is [k width + min(k, spare), ...), as even as integers allow
    lengths = width + (order < spare).long()
    return order * width + order.clamp(max=spare) + multiply_high(inside, lengths)


def sobol_words(noise: Noise, shape: tuple[int, ...], sample_ndim: int, device: Any) -> Tensor:
    """Return scrambled Sobol points: 30 leading bits by torch's direction numbers, the others independent."""
    count, rest = shape[0], shape[1:]
    row_axis = sample_ndim if noise.index is not None and noise.index.ndim else None
    event = tuple(1 if axis == row_axis else length for axis, length in enumerate(shape) if axis)
    dimension = math.prod(event)
    if dimension > SobolEngine.MAXDIM:
        raise ValueError(
            f"Noise.sobol: a sample may have at most {SobolEngine.MAXDIM} numbers (the table of direction "
            f"numbers); got {dimension} for shape {shape}; use stratified()"
        )
    if count > 1 << SOBOL_BITS:
        raise ValueError(f"Noise.sobol: at most 2^{SOBOL_BITS} samples; got {count}; use replicates")
    low = noise.child("low")._draw("bits64", shape, torch.int64, device, sample_ndim)
    if 0 in shape:
        return low
    points = SobolEngine(dimension).draw(count, dtype=torch.float64)  # k 2^-30, exact
    x = (points * 2.0**SOBOL_BITS).long().reshape(count, *event).to(low.device)
    scrambled = noise._draw("bits64", (1, *rest), torch.int64, device, sample_ndim)
    leading = (count - 1).bit_length()  # the first 2^m points have m bits
    columns = noise.child("matrix")._draw("bits64", (leading, *rest), torch.int64, device, sample_ndim)
    for bit in range(leading):
        below = (1 << (63 - bit)) - 1
        column = columns[bit] & below | ~below if bit == 0 else columns[bit] & below | below + 1
        scrambled = scrambled ^ -(x >> (SOBOL_BITS - 1 - bit) & 1) & column
    mask = (1 << (64 - SOBOL_BITS)) - 1
    return scrambled & ~mask | low & mask


COUPLINGS = {"antithetic": antithetic_words, "stratified": stratified_words, "sobol": sobol_words}
