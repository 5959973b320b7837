"""Measure-valued derivatives: the derivative of a law is a difference of two laws.

    d q / d phi_i = c (q+ - q-),   so   d E f / d phi_i = c (E f(z+) - E f(z-))

Normal(loc, scale), R Rayleigh, M double-sided Maxwell, U uniform (so that M U is standard normal):
    loc             c = 1 / (scale sqrt(2 pi)),   z+- = loc +- scale R
    scale           c = 1 / scale,                z+ = loc + scale M,  z- = loc + scale M U
Bernoulli(p):
    p               c = 1,                        z+ = 1,  z- = 0
Poisson(rate):
    rate            c = 1,                        z+ = z + 1,  z- = z
Gamma(a, rate), T exponential, N normal:
    rate            c = a / rate,                 z+ = z,  z- = z + T / rate
    concentration   c = sqrt(2 pi) / |N|,         z+ = z + N^2 / (2 rate),  z- = z

The last is the generator of the gamma process, whose value at time a is z rate ~ Gamma(a, 1):
d E f / da = int (E f(z + t / rate) - E f(z)) e^-t / t dt, at points t = N^2 / 2 of density e^-t / sqrt(pi t), so that
c varies with the draw and its square has a finite mean also where f jumps.

These are first derivatives; higher ones, and those mixed with parameters of f, are the score function's of the draws z.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from reparam.distributions import Bernoulli, Distribution, Gamma, Normal, Poisson
from reparam.estimators.base import evaluate
from reparam.estimators.score import score_mean, score_replaced
from reparam.estimators.site import family
from reparam.noise import Noise, NoiseSpec

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Decomposition:
    """One parameter's derivative of a law: points z+ and z- of shape (S, *B, *E), and c, of that shape or (*B, *E).

    `score` is d log q(z) / d parameter at the draws, (S, *B, *E).
    """

    parameter: Tensor
    constant: Tensor
    plus: Tensor
    minus: Tensor
    score: Tensor


def drawing(z: Tensor, noise: Noise) -> Callable[[str, str], Tensor]:
    """Return a function that draws numbers of one law, like z, at a named address."""
    return lambda law, name: noise.child(name).draw(NoiseSpec(law, tuple(z.shape), 1, z.dtype, z.device))


def normal(q: Normal, z: Tensor, noise: Noise) -> list[Decomposition]:
    """Return the decompositions of a normal law in loc and scale."""
    loc, scale = q.loc.detach(), q.scale.detach()
    draw = drawing(z, noise)
    R = torch.sqrt(2 * draw("exponential", "rayleigh"))
    chi = sum(draw("normal", name).square() for name in ("first", "second", "third"))
    M = torch.sqrt(torch.as_tensor(chi)) * draw("rademacher", "sign")
    U, eps = draw("uniform", "uniform"), (z - loc) / scale
    c = 1 / (scale * math.sqrt(2 * math.pi))
    return [
        Decomposition(q.loc, c, loc + scale * R, loc - scale * R, eps / scale),
        Decomposition(q.scale, 1 / scale, loc + scale * M, loc + scale * M * U, (eps**2 - 1) / scale),
    ]


def bernoulli(q: Bernoulli, z: Tensor, noise: Noise) -> list[Decomposition]:
    """Return the decomposition of a Bernoulli law in its probability."""
    p = q.probs.detach()
    score = torch.where(z > 0, 1 / p, -1 / (1 - p))
    return [Decomposition(q.probs, torch.ones_like(p), torch.ones_like(z), torch.zeros_like(z), score)]


def poisson(q: Poisson, z: Tensor, noise: Noise) -> list[Decomposition]:
    """Return the decomposition of a Poisson law in its rate."""
    rate = q.rate.detach()
    return [Decomposition(q.rate, torch.ones_like(rate), z + 1, z, z / rate - 1)]


def gamma(q: Gamma, z: Tensor, noise: Noise) -> list[Decomposition]:
    """Return the decompositions of a gamma law in concentration and rate."""
    a, rate = q.concentration.detach(), q.rate.detach()
    draw = drawing(z, noise)
    T, N = draw("exponential", "exponential"), draw("normal", "normal")
    c = math.sqrt(2 * math.pi) / N.abs()
    of_a = rate.log() + z.log() - torch.digamma(a)
    return [
        Decomposition(q.concentration, c, z + N.square() / (2 * rate), z, of_a),
        Decomposition(q.rate, a / rate, z, z + T / rate, a / rate - z),
    ]


MEASURES: dict[type, Callable[..., list[Decomposition]]] = {
    Normal: normal,
    Bernoulli: bernoulli,
    Poisson: poisson,
    Gamma: gamma,
}


@dataclass(frozen=True)
class MeasureValued:
    """Estimate the gradient of E f by differences of f, one site moved at a time, the others at their draws.

    Gradient: unbiased for any f, also where it jumps. Low variance for few sites. Derivatives of any order are
    unbiased for probabilities inside (0, 1): those above the first are the score function's.
    Cost: S (1 + 2 P n) evaluations of f as one call, n sites in the event, P parameters of a site.
    Source: mohamed2020.
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
        f_z = value[:samples]
        result = score_mean(f_z, q.log_prob(z), 0.0)
        at_ends = value[samples:].detach().unflatten(0, (len(parts), 2, -1, samples))
        for part, (plus, minus) in zip(parts, at_ends):
            gap = torch.movedim(plus - minus, 0, -1).reshape(z.shape)
            result = result + score_replaced(part.parameter, (part.constant * gap).mean(0), f_z, part.score)
        return result


def moved(z: Tensor, end: Tensor, event_ndim: int) -> Tensor:
    """Return (n, S, *B, *E): copy i of z has its i-th site at `end`."""
    n = math.prod(z.shape[z.ndim - event_ndim :])
    here = torch.eye(n, dtype=torch.bool, device=z.device)
    here = here.reshape(n, *(1,) * (z.ndim - event_ndim), *z.shape[z.ndim - event_ndim :])
    return torch.where(here, end, z)
