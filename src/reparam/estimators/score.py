"""The score-function estimator: differentiate the law, not the draw.

d E f = E [ f(z) d log q(z) ] = E [ (f(z) - b) d log q(z) ]  for any b that does not depend on z
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from reparam.distributions import Distribution
from reparam.estimators.base import evaluate
from reparam.estimators.surrogate import box, per_event
from reparam.noise import Noise
from reparam.transforms.relaxation import zero

Baseline = float | Tensor | str | Callable[[Distribution], float | Tensor] | None


@dataclass(frozen=True)
class ScoreFunction:
    """Estimate E f by the mean of f(z_s), and its gradient by the mean of (f(z_s) - b) d log q(z_s).

    Args:
        baseline: b, which must not depend on the draws:
            None               no baseline;
            a number, tensor   itself, of a shape that broadcasts to (*B);
            "constant"         the mean of f over S other draws (twice the cost);
            "moving_average"   `average`, made of past values only: the caller replaces the estimator after
                               each step by `estimator.updated(value)`;
            a callable         baseline(q), such as a network of the inputs that q came from.
        average: the state of "moving_average"; None before the first step, when b = 0.
        decay: of the moving average, in [0, 1).

    Gradient: unbiased for any q and any f, also where f jumps. Variance grows with the size of f - b and with the
    number of sites. Derivatives of any order are unbiased.
    Cost: S evaluations of f ("constant": 2 S).
    Source: williams1992; foerster2018 (any order).

    Example:
        >>> import reparam as rp
        >>> logits = torch.tensor(0.3, requires_grad=True)
        >>> q = rp.distributions.Bernoulli(logits=logits)
        >>> rp.expect(lambda b: b, q, samples=64, noise=rp.Noise(0), estimator=ScoreFunction(0.5)).backward()
        >>> logits.grad.shape
        torch.Size([])
    """

    baseline: Baseline = None
    average: Tensor | None = None
    decay: float = 0.9

    unbiased: ClassVar[bool] = True
    plain_value: ClassVar[bool] = True
    cost: ClassVar[str] = "S (baseline='constant': 2 S)"
    source: ClassVar[str] = "williams1992"

    def __post_init__(self) -> None:
        if isinstance(self.baseline, str) and self.baseline not in ("constant", "moving_average"):
            raise ValueError(
                "ScoreFunction: baseline must be None, a number, 'constant', 'moving_average' or a callable; got "
                f"{self.baseline!r}"
            )
        if self.average is not None and self.baseline != "moving_average":
            raise ValueError("ScoreFunction: average belongs to baseline='moving_average'; leave it out")
        if not 0 <= self.decay < 1:
            raise ValueError(f"ScoreFunction: decay must be in [0, 1); got {self.decay!r}")

    def __call__(self, f: Callable[[Tensor], Tensor], q: Distribution, samples: int, noise: Noise) -> Tensor:
        """Return the mean over samples, shape (*B)."""
        z = q.sample((samples,), noise=noise)
        return score_mean(evaluate(f, z, q), q.log_prob(z), self.value_of(f, q, samples, noise))

    def value_of(
        self, f: Callable[[Tensor], Tensor], q: Distribution, samples: int, noise: Noise
    ) -> float | Tensor:
        """Return the baseline b for a call."""
        if self.baseline is None:
            return 0.0
        if self.baseline == "moving_average":
            return 0.0 if self.average is None else self.average
        if self.baseline == "constant":
            with torch.no_grad():
                return evaluate(f, q.sample((samples,), noise=noise.child("baseline")), q).mean(0)
        b = self.baseline(q) if callable(self.baseline) else self.baseline
        assert not isinstance(b, str)
        return b.detach() if isinstance(b, Tensor) else b

    def updated(self, value: Tensor) -> "ScoreFunction":
        """Return the estimator for the next step, whose average has taken in the value of this one."""
        if self.baseline != "moving_average":
            raise ValueError(
                f"ScoreFunction.updated: baseline must be 'moving_average'; got {self.baseline!r}"
            )
        past = value.detach()
        if self.average is not None:
            past = self.decay * self.average + (1 - self.decay) * past
        return replace(self, average=past)


def score_mean(f: Tensor, log_q: Tensor, b: float | Tensor) -> Tensor:
    """Return mean_s [f box + (1 - box) b], which is mean_s f with the gradient of (f - b) d log q + d f."""
    weight = box(log_q)
    return (f * weight + (1 - weight) * b).mean(0)


def score_replaced(parameter: Tensor, slope: Tensor, f: Tensor, score: Tensor) -> Tensor:
    """Return a term of value 0, shape (*B), that turns the score function's first derivative into `slope`.

        (slope - mean_s f_s d log q(z_s)) (phi - phi held fixed)

    Both estimates have the same mean, so that the factor held fixed has mean 0 for every phi: added to `score_mean`,
    the first derivative is `slope` and the higher ones are those of the score function.

    Args:
        parameter: phi, shape (*B, *E).
        slope: the gradient wanted, shape (*B, *E).
        f: f less its baseline, shape (S, *B).
        score: d log q(z_s) / d phi, shape (S, *B, *E).
    """
    gap = (slope - (per_event(f, score) * score).mean(0)).detach()
    return (
        (gap * zero(parameter)).flatten(f.ndim - 1).sum(-1) if gap.ndim >= f.ndim else gap * zero(parameter)
    )
