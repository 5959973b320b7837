"""Control variates: subtract what is known in closed form, and estimate the rest.

E f = E [ f(z) - a h(z) ],   h(z) = t(z) - E t,   t a Taylor polynomial of f about m = E z
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from reparam.distributions import Distribution, Normal
from reparam.estimators.base import Estimator, check_samples, evaluate
from reparam.estimators.pathwise import Pathwise
from reparam.estimators.site import family
from reparam.noise import Noise

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class ControlVariate:
    """Give any estimator the function f - a h in place of f: the same expectation, a lower variance.

    With m the mean of q held fixed, g = df/dz(m), H = d2f/dz2(m):

        "linear"     h(z) = g.(z - m) - g.(E z - m)              any q with a mean, f differentiable at m
        "quadratic"  h(z) = the same + (z-m)'H(z-m)/2 - E[...]   Normal q, Hessian-vector products

    For Bernoulli q, "linear" around ScoreFunction(lambda q: f(q.mean)) is MuProp.

    Args:
        estimator: any of this package.
        kind: "linear" or "quadratic".
        coefficient: a; a number, or "pilot": Cov(f, h) / Var h from `pilot` other draws.
        pilot: how many, >= 2.

    Gradient: unbiased if the estimator is: h has mean zero for every phi and a does not see the draws. Double
    backward as the estimator's. The value is the mean of f - a h, not of f.
    Cost: the estimator's, 1 evaluation of f ("quadratic": 1 + S + 3 n at most, n the size of an event), and `pilot`.
    Source: gu2016 (MuProp), miller2017 (quadratic).
    """

    estimator: Estimator = field(default_factory=Pathwise)
    kind: str = "linear"
    coefficient: float | Tensor | str = 1.0
    pilot: int = 16

    plain_value: ClassVar[bool] = False
    cost: ClassVar[str] = "the estimator's, and a few of f at the mean"
    source: ClassVar[str] = "miller2017"

    def __post_init__(self) -> None:
        if self.kind not in ("linear", "quadratic"):
            raise ValueError(f"ControlVariate: kind must be 'linear' or 'quadratic'; got {self.kind!r}")
        if isinstance(self.coefficient, str) and self.coefficient != "pilot":
            raise ValueError(
                f"ControlVariate: coefficient must be a number or 'pilot'; got {self.coefficient!r}"
            )
        check_samples("ControlVariate (pilot)", self.pilot, least=2)

    @property
    def unbiased(self) -> bool:
        """Whether the estimator inside is."""
        return self.estimator.unbiased

    def __call__(self, f: Function, q: Distribution, samples: int, noise: Noise) -> Tensor:
        """Return the estimator's value for f - a h, shape (*B)."""
        if self.kind == "quadratic" and not isinstance(family(q), Normal):
            raise TypeError(
                f"ControlVariate: kind='quadratic' needs a Normal q; got {type(q).__name__}; use kind='linear'"
            )
        h = (linear if self.kind == "linear" else quadratic)(f, q)
        if isinstance(self.coefficient, str):
            a: float | Tensor = pilot_coefficient(f, h, q, self.pilot, noise.child("pilot"))
        else:
            a = self.coefficient
        return self.estimator(lambda z: f(z) - a * h(z), q, samples, noise)


def pilot_coefficient(f: Function, h: Function, q: Distribution, draws: int, noise: Noise) -> Tensor:
    """Return Cov(f, h) / Var h over draws of their own, 0 where h does not vary; shape (*B)."""
    with torch.no_grad():
        z = q.sample((draws,), noise=noise)
        value, control = evaluate(f, z, q), h(z)
        control = control - control.mean(0)
        spread = control.square().sum(0)
        return torch.where(spread > 0, (value * control).sum(0) / torch.where(spread > 0, spread, 1.0), 0.0)


def inner(a: Tensor, b: Tensor, event_ndim: int) -> Tensor:
    """Return a.b over the event."""
    return (a * b).sum(tuple(range(-event_ndim, 0))) if event_ndim else a * b


def linear(f: Function, q: Distribution) -> Function:
    """Return h(z) = g.(z - E z), g the slope of f at the mean, held fixed."""
    g, event = slope_and_bend(f, q, 1)[0].detach(), len(q.event_shape)
    return lambda z: inner(g, z - q.mean, event)


def slope_and_bend(f: Function, q: Distribution, copies: int) -> tuple[Tensor, Function]:
    """Return the slope g of f at copies of the mean held fixed, and v -> Hv there, 0 where f does not see z."""
    point = q.mean.detach().expand(copies, *q.mean.shape)

    def total(x: Tensor) -> Tensor:
        return evaluate(f, x, q).sum()

    if (
        torch.compiler.is_compiling()
    ):  # which traces torch.func, but no call of autograd inside a forward pass
        g, pull, *_ = torch.func.vjp(torch.func.grad(total), point)
        return g, lambda v: pull(v)[0]
    with torch.enable_grad():
        leaf = point.clone().requires_grad_()
        value = total(leaf)
        if not value.requires_grad:
            return torch.zeros_like(leaf), torch.zeros_like
        (g,) = torch.autograd.grad(value, leaf, create_graph=True, materialize_grads=True)

    def bend(v: Tensor) -> Tensor:
        if not g.requires_grad:
            return torch.zeros_like(v)
        with torch.enable_grad():
            return torch.autograd.grad(g, leaf, v, create_graph=True, materialize_grads=True)[0]

    return g, bend


def quadratic(f: Function, q: Distribution) -> Function:
    """Return h(z) = g.(z - E z) + [(z-m)'H(z-m) - (E z - m)'H(E z - m) - sum_i H_ii scale_i^2] / 2."""
    event, m = len(q.event_shape), q.mean.detach()

    def bend(v: Tensor) -> Tensor:
        """Return v'Hv over the event, for v of shape (M, *B, *E)."""
        return inner(v, slope_and_bend(f, q, len(v))[1](v), event)

    slope = linear(f, q)
    axes = torch.eye(q.event_shape.numel(), dtype=m.dtype, device=m.device)
    axes = axes.reshape(-1, *(1,) * len(q.batch_shape), *q.event_shape).expand(-1, *m.shape)
    diagonal = (bend(axes).reshape(-1, *q.batch_shape, *(1,) * event) * axes).sum(0).detach()
    spread = inner(diagonal, q.stddev.square(), event)

    return lambda z: slope(z) + (bend(z - m) - bend((q.mean - m).unsqueeze(0)) - spread) / 2
