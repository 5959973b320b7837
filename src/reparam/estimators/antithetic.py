"""Antithetic estimators for Bernoulli sites: ARM, DisARM and ARMS. A score function of tied draws.

With l the logits, p = sigmoid(l), u = sigmoid(eps):  b = 1[l + eps > 0],  b' = 1[l - eps > 0], each of law p.

    ARM      d/dl = E [ (f(b) - f(b')) (u - 1/2) ]
    DisARM   d/dl = E [ (f(b) - f(b')) (b - b') sigmoid(|l|) / 2 ]      = E[ARM | b, b']
    ARMS     d/dl = E [ sum_s (f(b_s) - mean f) (b_s - p) / (S - 1) / (1 - rho) ],  rho = corr(b_s, b_t)

These are first derivatives. Higher ones, and those mixed with parameters of f, are the score function's of the same
draws, each of which has the law q: unbiased, without the low variance of the first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reparam.distributions import Distribution
from reparam.estimators.base import check_samples, evaluate, refuse_scheme
from reparam.estimators.score import score_mean, score_replaced
from reparam.estimators.site import binary_logits
from reparam.estimators.surrogate import per_event
from reparam.noise import Noise, NoiseSpec

Function = Callable[[Tensor], Tensor]


def pairs(
    name: object, f: Function, q: Distribution, samples: int, noise: Noise
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return logits, eps, b, b' of S/2 antithetic pairs, and f of all S draws."""
    who = type(name).__name__
    check_samples(who, samples, least=2)
    if samples % 2:
        raise ValueError(f"{who}: samples must be even, since draws come in pairs; got {samples}")
    refuse_scheme(name, noise)
    logits = binary_logits(name, q)
    eps = noise.draw(q.noise_spec((samples // 2,)))
    b, mirrored = ((logits.detach() + side > 0).to(eps.dtype) for side in (eps, -eps))
    return logits, eps, b, mirrored, evaluate(f, torch.cat([b, mirrored]), q)


def antithetic_mean(
    q: Distribution, logits: Tensor, b: Tensor, value: Tensor, slope: Tensor, baseline: float | Tensor = 0.0
) -> Tensor:
    """Return mean_s f(b_s), (*B), with the gradient `slope` (*B, *E) in the logits."""
    rest = score_replaced(logits, slope, value - baseline, b - torch.sigmoid(logits))
    return score_mean(value, q.log_prob(b), baseline) + rest


def other_pairs(value: Tensor) -> Tensor | float:
    """Return for each draw the mean of f over the other pairs, (S, *B); 0 if there is one pair."""
    if len(value) == 2:
        return 0.0
    pair = value.unflatten(0, (2, -1)).sum(0)
    return ((pair.sum(0) - pair) / (len(value) - 2)).detach().repeat(2, *(1,) * (value.ndim - 1))


@dataclass(frozen=True)
class ARM:
    """Estimate the gradient of E f from S/2 antithetic pairs, (f(b) - f(b')) (u - 1/2) in each logit.

    Gradient: unbiased, any f. Never of higher variance than DisARM's bound from above: DisARM is its conditional
    mean, use that. Derivatives of any order are unbiased (see the module).
    Cost: S evaluations of f, S even.
    Source: yin2019.
    """

    unbiased: ClassVar[bool] = True
    plain_value: ClassVar[bool] = True
    cost: ClassVar[str] = "S, even"
    source: ClassVar[str] = "yin2019"

    def __call__(self, f: Function, q: Distribution, samples: int, noise: Noise) -> Tensor:
        """Return the mean over the draws, shape (*B)."""
        logits, eps, b, mirrored, value = pairs(self, f, q, samples, noise)
        gap = value[: len(b)] - value[len(b) :]
        slope = per_event(gap, b) * (torch.sigmoid(eps) - 0.5)
        return antithetic_mean(q, logits, torch.cat([b, mirrored]), value, slope.mean(0), other_pairs(value))


@dataclass(frozen=True)
class DisARM:
    """Estimate the gradient of E f from S/2 antithetic pairs, (f(b) - f(b')) (b - b') sigmoid(|l|) / 2.

    Gradient: unbiased, any f; of lower variance than ARM and than leave-one-out of two. Derivatives of any order are
    unbiased (see the module).
    Cost: S evaluations of f, S even.
    Source: dong2020 (also yin2020, as U2G).
    """

    unbiased: ClassVar[bool] = True
    plain_value: ClassVar[bool] = True
    cost: ClassVar[str] = "S, even"
    source: ClassVar[str] = "dong2020"

    def __call__(self, f: Function, q: Distribution, samples: int, noise: Noise) -> Tensor:
        """Return the mean over the draws, shape (*B)."""
        logits, _, b, mirrored, value = pairs(self, f, q, samples, noise)
        gap = value[: len(b)] - value[len(b) :]
        slope = per_event(gap, b) * (b - mirrored) * torch.sigmoid(logits.detach().abs()) / 2
        return antithetic_mean(q, logits, torch.cat([b, mirrored]), value, slope.mean(0), other_pairs(value))


@dataclass(frozen=True)
class ARMS:
    """Estimate the gradient of E f from S draws that are all antithetic to each other.

        e_s ~ Exponential,  d_s = e_s / sum_t e_t,  hit_s = (1 - d_s)^(S-1) < min(p, 1-p)
        b_s = hit_s where p <= 1/2, else 1 - hit_s

    Gradient: unbiased, any f; S = 2 is DisARM. Lower variance than leave-one-out at the same S. Derivatives of any
    order are unbiased (see the module).
    Cost: S evaluations of f, S >= 2.
    Source: dimitriev2021.
    """

    unbiased: ClassVar[bool] = True
    plain_value: ClassVar[bool] = True
    cost: ClassVar[str] = "S >= 2"
    source: ClassVar[str] = "dimitriev2021"

    def __call__(self, f: Function, q: Distribution, samples: int, noise: Noise) -> Tensor:
        """Return the mean over the draws, shape (*B)."""
        check_samples("ARMS", samples, least=2)
        refuse_scheme(self, noise)
        logits = binary_logits(self, q)
        like = q.noise_spec((samples,))
        e = noise.draw(NoiseSpec("exponential", like.shape, 1, like.dtype, like.device))
        d = e / e.sum(0)
        log_m = logsigmoid(-logits.detach().abs())
        hit = (samples - 1) * torch.log1p(-d) < log_m
        b = torch.where(logits > 0, ~hit, hit).to(e.dtype)
        value = evaluate(f, b, q)
        m = log_m.exp()
        both = (2 * torch.exp(log_m / (samples - 1)) - 1).clamp(min=0) ** (samples - 1)  # P(hit_s and hit_t)
        rho = (both / m - m) / (1 - m)
        gap = per_event(value - value.mean(0), b)
        slope = (gap * (b - torch.sigmoid(logits))).sum(0) / (samples - 1) / (1 - rho)
        return antithetic_mean(q, logits, b, value, slope)
