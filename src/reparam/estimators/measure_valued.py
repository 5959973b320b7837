"""Measure-valued derivatives: the derivative of a law is a difference of two laws.

    d q / d phi_i = c (q+ - q-),   so   d E f / d phi_i = c (E f(z+) - E f(z-))

Normal(loc, scale), R Rayleigh, M double-sided Maxwell, U uniform (so that M U is standard normal):
    loc      c = 1 / (scale sqrt(2 pi)),   z+- = loc +- scale R
    scale    c = 1 / scale,                z+ = loc + scale M,  z- = loc + scale M U
Bernoulli(p):
    p        c = 1,                        z+ = 1,  z- = 0
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from reparam.distributions import Bernoulli, Distribution, Normal
from reparam.estimators.base import evaluate
from reparam.estimators.site import family
from reparam.estimators.surrogate import with_slope
from reparam.noise import Noise, NoiseSpec

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Decomposition:
    """One parameter's derivative of a law: c, and points z+ and z- of shape (S, *B, *E)."""

    parameter: Tensor
    constant: Tensor
    plus: Tensor
    minus: Tensor


def normal(q: Normal, z: Tensor, noise: Noise) -> list[Decomposition]:
    """Return the decompositions of a normal law in loc and scale."""
    loc, scale = q.loc.detach(), q.scale.detach()

    def draw(law: str, name: str) -> Tensor:
        return noise.child(name).draw(NoiseSpec(law, tuple(z.shape), 1, z.dtype, z.device))

    R = torch.sqrt(2 * draw("exponential", "rayleigh"))
    chi = sum(draw("normal", name).square() for name in ("first", "second", "third"))
    M = torch.sqrt(torch.as_tensor(chi)) * draw("rademacher", "sign")
    return [
        Decomposition(q.loc, 1 / (scale * math.sqrt(2 * math.pi)), loc + scale * R, loc - scale * R),
        Decomposition(q.scale, 1 / scale, loc + scale * M, loc + scale * M * draw("uniform", "uniform")),
    ]


def bernoulli(q: Bernoulli, z: Tensor, noise: Noise) -> list[Decomposition]:
    """Return the decomposition of a Bernoulli law in its probability."""
    return [Decomposition(q.probs, torch.ones_like(q.probs), torch.ones_like(z), torch.zeros_like(z))]


MEASURES: dict[type, Callable[..., list[Decomposition]]] = {Normal: normal, Bernoulli: bernoulli}


@dataclass(frozen=True)
class MeasureValued:
    """Estimate the gradient of E f by differences of f, one site moved at a time, the others at their draws.

    Gradient: unbiased for any f, also where it jumps. Low variance for few sites. A second derivative raises.
    Cost: S (1 + 2 P n) evaluations of f as one call, n sites in the event, P parameters of a site.
    Source: mohamed2020, heidergott2008.
    """

    unbiased: ClassVar[bool] = True
    plain_value: ClassVar[bool] = True
    cost: ClassVar[str] = "S (1 + 2 P n), n sites of P parameters"
    source: ClassVar[str] = "mohamed2020"

    def __call__(self, f: Function, q: Distribution, samples: int, noise: Noise) -> Tensor:
        """Return the mean of f over the draws, shape (*B)."""
        base = family(q)
        if type(base) not in MEASURES:
            known = ", ".join(sorted(kind.__name__ for kind in MEASURES))
            raise TypeError(
                f"MeasureValued: q must be one of {known}, or Independent of one; got {type(base).__name__}; "
                "use ScoreFunction"
            )
        z = q.sample((samples,), noise=noise)
        parts = MEASURES[type(base)](base, z, noise)
        ends = [moved(z, end, len(q.event_shape)) for part in parts for end in (part.plus, part.minus)]
        value = evaluate(f, torch.cat([z, *(e.flatten(0, 1) for e in ends)]), q)
        result = value[:samples].mean(0)
        differences = value[samples:].detach().unflatten(0, (len(parts), 2, -1, samples)).mean(3)
        for part, (plus, minus) in zip(parts, differences):
            slope = torch.movedim(plus - minus, 0, -1).reshape(part.parameter.shape)
            result = with_slope(result, part.parameter, part.constant * slope)
        return result


def moved(z: Tensor, end: Tensor, event_ndim: int) -> Tensor:
    """Return (n, S, *B, *E): copy i of z has its i-th site at `end`."""
    n = math.prod(z.shape[z.ndim - event_ndim :])
    here = torch.eye(n, dtype=torch.bool, device=z.device)
    here = here.reshape(n, *(1,) * (z.ndim - event_ndim), *z.shape[z.ndim - event_ndim :])
    return torch.where(here, end, z)
