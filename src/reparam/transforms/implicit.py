"""The implicit rule: samples as monotone quantiles of a normal eps, differentiated without an inverse.

With F the distribution function and f the density of a scalar y,

    F(y; theta) = Phi(eps)   gives   dy/dtheta = -F_theta/f,   dy/deps = phi(eps)/f.

Each map below uses the coordinate in which nothing underflows (log z, logit x, t, an angle) and keeps both tails.

**Gradient**: exact in every argument, hence unbiased for any integrable f of the draw; one pass of the velocity kernel
per backward; twice differentiable in reverse and forward mode, under vmap and inside torch.compile.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reparam.special import BETA, GAMMA, STUDENT, VONMISES, attach, quantile, velocity

__all__ = [
    "attach",
    "beta_quantile",
    "log_gamma_quantile",
    "logit_beta_quantile",
    "student_quantile",
    "velocity",
    "vonmises_quantile",
]


def log_gamma_quantile(concentration: Tensor, eps: Tensor) -> Tensor:
    """Return log z where z ~ Gamma(concentration, 1) has the normal score eps.

    P(concentration, z) = Phi(eps). On the log scale nothing underflows, down to a concentration of 1e-4.

    Args:
        concentration: alpha > 0.
        eps: standard normal, broadcast against it.

    **Gradient**: d log z/dalpha exact to 1e-12 (float64), 2 ulp (float32), from the kernel `gamma_velocity`.

    Example:
        >>> log_gamma_quantile(torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)).exp()
        tensor(0.6931, dtype=torch.float64)
    """
    return quantile(GAMMA, eps, concentration)


def logit_beta_quantile(a: Tensor, b: Tensor, eps: Tensor) -> Tensor:
    """Return log(x/(1 - x)) where x ~ Beta(a, b) has the normal score eps: I_x(a, b) = Phi(eps).

    Args:
        a, b: > 0.
        eps: standard normal, broadcast against them.

    **Gradient**: both derivatives exact to 5e-12 (float64), 2 ulp (float32), from the kernel `beta_velocity`.
    """
    return quantile(BETA, eps, a, b)


def beta_quantile(a: Tensor, b: Tensor, eps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return x, log x and log(1 - x) where x ~ Beta(a, b) has the normal score eps.

    The logarithms keep their digits where x or 1 - x is lost to rounding.

    Example:
        >>> half = torch.tensor(0.5, dtype=torch.float64)
        >>> beta_quantile(half, half, torch.tensor(0.0, dtype=torch.float64))[0]
        tensor(0.5000, dtype=torch.float64)
    """
    xi = logit_beta_quantile(a, b, eps)
    logsigmoid = torch.nn.functional.logsigmoid
    return torch.sigmoid(xi), logsigmoid(xi), logsigmoid(-xi)


def student_quantile(df: Tensor, eps: Tensor) -> Tensor:
    """Return t of Student's law with df degrees of freedom and the normal score eps: F(t; df) = Phi(eps).

    t is +-inf exactly where the number itself overflows the dtype (df below .05, far out).

    **Gradient**: dt/ddf exact to 5e-12 (float64), 2 ulp (float32), from the kernel `student_velocity`.
    """
    return quantile(STUDENT, eps, df)


def vonmises_quantile(concentration: Tensor, eps: Tensor) -> Tensor:
    """Return the angle z in (-pi, pi) of the von Mises law about 0 with the normal score eps.

    **Gradient**: dz/dconcentration exact to 1e-11 (float64), 2 ulp (float32), from the kernel `vonmises_velocity`.
    """
    return quantile(VONMISES, eps, concentration)
