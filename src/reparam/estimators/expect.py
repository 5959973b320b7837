"""One random site: the expectation of a function of one draw."""

from collections.abc import Callable

import torch
from torch import Tensor

from reparam.distributions import Distribution, convert
from reparam.estimators.base import Estimator, check_samples, scheme_of
from reparam.estimators.leave_one_out import LeaveOneOut
from reparam.estimators.pathwise import Pathwise
from reparam.noise import Noise, given


def expect(
    f: Callable[[Tensor], Tensor],
    q: torch.distributions.Distribution,
    *,
    samples: int = 1,
    noise: Noise | None = None,
    estimator: Estimator | None = None,
) -> Tensor:
    """Estimate E_{z ~ q} f(z), in the units of f, with a gradient that is the estimator's.

    Args:
        f: maps z of shape (S, *B, *E) to (S, *B).
        q: any torch distribution with a conversion (`reparam.distributions.convert`).
        samples: S.
        noise: the address of the draws; fresh noise when None.
        estimator: of `reparam.estimators`; None chooses by the rule of q: Pathwise for "explicit", "implicit"
            and "relaxed"; LeaveOneOut for "none", which needs samples >= 2.

    Shape: the result has the batch shape of q, (*B).

    Gradient: see the estimator's class.

    Raises:
        TypeError: q has no conversion, or the estimator cannot use it.
        ValueError: f returns another shape.

    Example:
        >>> import reparam as rp
        >>> loc = torch.tensor(1.0, requires_grad=True)
        >>> q = rp.distributions.Normal(loc, 1.0)
        >>> rp.expect(lambda z: z, q, samples=4, noise=rp.Noise(0)).backward()
        >>> loc.grad
        tensor(1.)
    """
    check_samples("expect", samples)
    q = convert(q)
    noise = given(noise, "expect")
    chosen = default_estimator(q, samples, noise) if estimator is None else estimator
    return chosen(f, q, samples, noise)


def default_estimator(q: Distribution, samples: int, noise: Noise) -> Estimator:
    """Return the estimator that the rule of q allows without a choice."""
    if q.rule != "none":
        return Pathwise()
    if samples < 2:
        raise ValueError(
            f"expect: samples must be >= 2 for {type(q).__name__}, whose draws have no derivative, so that "
            "estimator=None means LeaveOneOut; got samples=1; draw more, or pass an estimator that takes one, "
            "such as ScoreFunction, REBAR or Enumerate"
        )
    if (scheme := scheme_of(noise)) is not None:
        raise ValueError(
            f"expect: noise must be plain for {type(q).__name__}, whose draws have no derivative, so that "
            f"estimator=None means LeaveOneOut; got the scheme {scheme}(); pass an estimator that takes one, "
            "such as ScoreFunction"
        )
    return LeaveOneOut()
