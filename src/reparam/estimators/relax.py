"""REBAR and RELAX: a score function whose baseline is a relaxation of f, correlated with the draw.

    d E f = E [ (f(b) - c(z~)) d log q(b) + d c(z) - d c(z~) ],   z ~ q(z),  b = hard(z),  z~ ~ q(z | b)

For S >= 2 draws f(b) - c(z~) has the mean of the other draws as its baseline, so that c = 0 is leave-one-out;
a surrogate of the caller's learns its own constant, and gets none.
z are perturbed logits. Both z and z~ are differentiated in the logits, z~ totally, at fixed b and noise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from reparam.distributions import Distribution
from reparam.estimators.base import evaluate, refuse_scheme
from reparam.estimators.leave_one_out import others_mean
from reparam.estimators.site import discrete_site
from reparam.estimators.surrogate import box
from reparam.noise import Noise
from reparam.transforms.relaxation import Site, zero

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class REBAR:
    """Estimate the gradient of E f with the control variate c(z) = scale f(soft(z, temperature)).

    Args:
        temperature: of the relaxation, > 0.
        scale: eta, any real number; 1 is good where f is nearly linear between the states, 0 is LeaveOneOut (S = 1: no
            baseline). A scale in proportion to a high temperature makes c linear in z. Both may be tensors that the
            caller trains on `variance_loss`.

    Gradient: unbiased at every temperature and scale, which only change the variance. Derivatives of any order are
    unbiased if f is smooth between the states.
    Cost: 3 S evaluations of f; f must accept relaxed draws.
    Source: tucker2017.
    """

    temperature: float | Tensor = 0.5
    scale: float | Tensor = 1.0

    unbiased: ClassVar[bool] = True
    plain_value: ClassVar[bool] = True
    cost: ClassVar[str] = "3 S"
    source: ClassVar[str] = "tucker2017"

    def __call__(self, f: Function, q: Distribution, samples: int, noise: Noise) -> Tensor:
        """Return the mean of f over the draws, shape (*B)."""
        site = discrete_site(self, q)
        c = lambda z: self.scale * f(site.soft(z, self.temperature))  # noqa: E731
        return relaxed(f, q, site, samples, noise, c, baseline=True)


@dataclass(frozen=True)
class RELAX:
    """Estimate the gradient of E f with a control variate c(z) of your own, such as a network.

    Args:
        surrogate: c, maps perturbed logits z = logits + eps of shape (S, *B, *E) to (S, *B). None takes
            c(z) = f(soft(z, temperature)), three evaluations of f.
        temperature: of that relaxation, > 0.

    The caller owns the surrogate and trains it on the variance, which `variance_loss` measures:

        gradient, = torch.autograd.grad(value.sum(), logits, create_graph=True)
        variance_loss(gradient).backward(inputs=list(surrogate.parameters()))

    Gradient: unbiased for every surrogate that is differentiable in z. Derivatives of any order are unbiased if c
    is smooth.
    Cost: S evaluations of f and 2 S of the surrogate.
    Source: grathwohl2018.
    """

    surrogate: Function | None = None
    temperature: float | Tensor = 0.5

    unbiased: ClassVar[bool] = True
    plain_value: ClassVar[bool] = True
    cost: ClassVar[str] = "S, and 2 S of the surrogate"
    source: ClassVar[str] = "grathwohl2018"

    def __call__(self, f: Function, q: Distribution, samples: int, noise: Noise) -> Tensor:
        """Return the mean of f over the draws, shape (*B)."""
        site = discrete_site(self, q)
        c = self.surrogate
        if c is None:
            c = lambda z: f(site.soft(z, self.temperature))  # noqa: E731
        return relaxed(f, q, site, samples, noise, c, baseline=self.surrogate is None)


def relaxed(
    f: Function,
    q: Distribution,
    site: Site,
    samples: int,
    noise: Noise,
    surrogate: Function,
    *,
    baseline: bool,
) -> Tensor:
    """Return mean_s f(b), with the gradient of mean_s [f(b) box + c(z) - c(z~) box], and the baseline."""
    if baseline and samples > 1:
        refuse_scheme("REBAR and RELAX", noise)
    eps = noise.draw(q.noise_spec((samples,)))
    z = site.logits + eps
    b = site.hard(z.detach())
    anew = site.given(b, noise.child("given").draw(q.noise_spec((samples,))))
    value = evaluate(f, b, q)
    c, c_given = (evaluate(surrogate, point, q) for point in (z, anew))
    rest = value - c_given
    if baseline and samples > 1:
        rest = rest - others_mean(
            rest
        )  # with its graph: the variance depends on the surrogate through it too
    return (value + (box(q.log_prob(b)) - 1) * rest + zero(c - c_given)).mean(0)


def variance_loss(gradient: Tensor) -> Tensor:
    """Return the sum of squares of a gradient estimate, whose derivative in a surrogate is that of its variance.

    The mean of the estimate does not depend on the surrogate, so d Var = d E[gradient^2]. `gradient` comes from
    torch.autograd.grad(..., create_graph=True).
    """
    return gradient.square().sum()
