"""What every estimator shares: its declared facts and the checks of its arguments.

An estimator is a frozen dataclass, called as estimator(f, q, samples, noise) -> (*B), whose value estimates E f and
whose backward is its gradient. `plain_value` says that the value is exactly the mean of f over the draws.
"""

from collections.abc import Callable
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from reparam.distributions import Distribution
from reparam.noise import Noise


class Estimator(Protocol):
    """The contract of an estimator."""

    unbiased: ClassVar[bool]
    plain_value: ClassVar[bool]
    cost: ClassVar[str]
    source: ClassVar[str]

    def __call__(self, f: Callable[[Tensor], Tensor], q: Distribution, samples: int, noise: Noise) -> Tensor:
        """Return an estimate of E f, shape (*B), whose backward is the gradient estimate."""
        ...


def evaluate(f: Callable[[Tensor], Tensor], z: Tensor, q: torch.distributions.Distribution) -> Tensor:
    """Return f(z), checked to have shape (S, *B) for z of shape (S, *B, *E)."""
    value = f(z)
    if not isinstance(value, Tensor):
        raise TypeError(f"expect: f must return a tensor; got {type(value).__name__}")
    expected = z.shape[: z.ndim - len(q.event_shape)]
    if value.shape != expected:
        raise ValueError(
            f"expect: f must return one number per draw, shape (S, *B) = {tuple(expected)}; got "
            f"{tuple(value.shape)} for z of shape {tuple(z.shape)}; sum over the event dimensions "
            f"{tuple(q.event_shape)}, or wrap q in Independent"
        )
    return value


def refuse_rule(estimator: object, q: Distribution, rule: str, why: str) -> None:
    """Raise if q has a rule that the estimator cannot use."""
    if q.rule == rule:
        raise TypeError(
            f"{type(estimator).__name__}: q must not have rule {rule!r} ({why}); got {type(q).__name__}; "
            "use another estimator of reparam.estimators"
        )


def check_samples(who: str, samples: object, least: int = 1) -> None:
    """Raise unless samples is an int >= least."""
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < least:
        raise ValueError(f"{who}: samples must be an int >= {least}; got {samples!r}")


def scheme_of(noise: Noise) -> str | None:
    """Return the name of the scheme that ties the samples of this noise to each other, if one does."""
    return getattr(noise, "kind", None)  # of a reparam.schemes.Scheme


def refuse_scheme(estimator: object, noise: Noise) -> None:
    """Raise if a scheme ties the samples to each other, for an estimator that needs them independent."""
    kind = scheme_of(noise)
    if kind is not None:
        who = estimator if isinstance(estimator, str) else type(estimator).__name__
        raise ValueError(
            f"{who}: samples must be independent of each other; got noise of the scheme {kind}(); use plain noise, "
            "or an estimator that takes the mean of single samples, such as ScoreFunction"
        )
