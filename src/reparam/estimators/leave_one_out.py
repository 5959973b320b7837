"""The leave-one-out estimator: each sample's baseline is the mean of the others."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from reparam.distributions import Distribution
from reparam.estimators.base import check_samples, evaluate, refuse_scheme
from reparam.estimators.score import score_mean
from reparam.noise import Noise


@dataclass(frozen=True)
class LeaveOneOut:
    """Estimate the gradient of E f by mean_s (f_s - b_s) d log q(z_s), b_s = mean of f over the other samples.

    Gradient: unbiased for any q and any f; b_s is independent of z_s, which the samples must be of each other.
    Variance: that of the score function with nearly the best constant baseline. Derivatives of any order are
    unbiased.
    Cost: S evaluations of f, S >= 2.
    Source: kool2019; mnih2016.
    """

    unbiased: ClassVar[bool] = True
    plain_value: ClassVar[bool] = True
    cost: ClassVar[str] = "S >= 2"
    source: ClassVar[str] = "kool2019"

    def __call__(self, f: Callable[[Tensor], Tensor], q: Distribution, samples: int, noise: Noise) -> Tensor:
        """Return the mean over samples, shape (*B)."""
        check_samples("LeaveOneOut", samples, least=2)
        refuse_scheme(self, noise)
        z = q.sample((samples,), noise=noise)
        value = evaluate(f, z, q)
        return score_mean(value, q.log_prob(z), others_mean(value.detach()))


def others_mean(value: Tensor) -> Tensor:
    """Return, for each sample, the mean of the other samples; shape (S, *B)."""
    return (value.sum(0) - value) / (value.shape[0] - 1)
