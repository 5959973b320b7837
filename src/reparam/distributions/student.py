"""Student's t: a location-scale family with a shape, heavy tails at small df and the normal law at infinite df."""

from typing import Any

import torch
from torch import Tensor

from reparam import special
from reparam.distributions.arguments import joined
from reparam.distributions.implicit import Implicit
from reparam.distributions.lean import Lean


class StudentT(Lean, Implicit, torch.distributions.StudentT):
    """Student's t law with df degrees of freedom, moved to loc and stretched by scale.

        z = loc + scale t,  F_t(t; df) = Phi(eps),  eps ~ N(0, 1)

    Args:
        df: degrees of freedom, > 0.
        loc: median, real.
        scale: > 0; the standard deviation is scale sqrt(df / (df - 2)) for df > 2.

    Shape: the parameters broadcast to the batch shape; scalar events.

    Gradient: implicit, unbiased; dz/ddf = scale dt/ddf, dz/dloc = 1, dz/dscale = (z - loc) / scale. Reverse, forward,
    vmap, compile; second derivatives exact, a third one raises. At small df a draw beyond the largest float is +-inf;
    `log_magnitude` is log |t| without it.

    Source: figurnov2018.

    Example:
        >>> StudentT(torch.tensor(1.0), torch.tensor(0.0), torch.tensor(1.0)).cdf(torch.tensor(1.0))
        tensor(0.7500)
    """

    late = ("_chi2",)

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = joined(df, loc, scale)
        self.settle(self.df.shape, validate_args)

    def push(self, eps: Tensor) -> Tensor:
        """Return loc + scale t."""
        return special.draw("student", eps, self.df, self.scale, self.loc)

    def log_magnitude(self, eps: Tensor) -> Tensor:
        """Return log |t| at eps in float64, which does not overflow: t^2 is F-distributed with 1 and df degrees.

        z = loc + scale sign(eps) e^log|t|; differentiable in df and eps, eps = 0 excepted, where it is -inf.
        """
        df = self.df.double()
        squared = -special.ndtri(2 * special.ndtr(-eps.double().abs()))
        return (special.quantile(special.BETA, squared, torch.full_like(df, 0.5), df / 2) + torch.log(df)) / 2

    def log_density(self, x: Tensor) -> Tensor:
        """Return log f_t((x - loc) / scale; df) - log scale."""
        return special.student_log_density(self._t(x), self.df) - torch.log(self.scale)

    def cdf_formula(self, x: Tensor) -> Tensor:
        """Return F(x)."""
        return torch.exp(special.tails(special.STUDENT, self._t(x), self.df)[0])

    def survival_formula(self, x: Tensor) -> Tensor:
        """Return S(x)."""
        return torch.exp(special.tails(special.STUDENT, self._t(x), self.df)[1])

    def velocity(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/ddf = scale dt/ddf, dz/dloc = 1 and dz/dscale = (x - loc) / scale."""
        t = self._t(x)
        slope = self.scale * special.velocity(special.STUDENT, t, self.df)[0]
        return {"df": slope, "loc": torch.ones_like(slope), "scale": t + torch.zeros_like(slope)}

    def _t(self, x: Tensor) -> Tensor:
        return (x - self.loc) / self.scale
