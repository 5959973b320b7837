"""Gaussian vectors: z = loc + L eps, by a full or a low-rank covariance, and pushed onto the simplex."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import logsigmoid

from reparam.distributions.multivariate import Multivariate, matvec
from reparam.distributions.narrow import kept_narrow, single
from reparam.noise import NoiseSpec

MATRICES = ("covariance_matrix", "precision_matrix", "scale_tril")


class MultivariateNormal(Multivariate, torch.distributions.MultivariateNormal):
    """Normal law N(loc, L L') on vectors.

        z = loc + L eps,  eps ~ N(0, I),  L lower triangular, L L' = covariance

    Args:
        loc: mean, real (*B, d).
        covariance_matrix, precision_matrix: symmetric positive definite (*B, d, d).
        scale_tril: L, lower triangular with a positive diagonal. Exactly one of the three is given.

    Shape: batch (*B), event (d,).

    Gradient: explicit, unbiased, for the matrix that was given (through the Cholesky factorisation where it is not
    L). `pathwise`: dz_i/dloc_j = delta_ij; for the matrix M, dz_i/dM_jk of shape (*S, *B, d, d, d), where d
    backward passes are paid. Double backward and forward mode work.

    Source: mohamed2020.

    Example:
        >>> import reparam as rp
        >>> q = MultivariateNormal(torch.zeros(2), scale_tril=torch.eye(2))
        >>> q.pathwise(q.rsample((3,), noise=rp.Noise(0)))["scale_tril"].shape
        torch.Size([3, 2, 2, 2])
    """

    rule = "explicit"

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        matrices = (covariance_matrix, precision_matrix, scale_tril)
        self._given = given_matrix("MultivariateNormal", matrices)
        d, matrix = loc.shape[-1:], next(m for m in matrices if m is not None)
        if matrix.shape[-2:] != d + d:
            raise ValueError(
                f"MultivariateNormal: loc of shape (*B, d) needs {self._given} of shape (*B, d, d); got "
                f"{tuple(loc.shape)} and {tuple(matrix.shape)}"
            )
        super().__init__(*map(single, (loc, *matrices)), validate_args=validate_args)
        kept_narrow(self, loc.dtype)

    def parameters(self) -> dict[str, Tensor]:
        """Return loc and the matrix that was given, by name."""
        return {"loc": self.loc, self._given: getattr(self, self._given)}

    def push(self, eps: Tensor) -> Tensor:
        """Return loc + L eps; what stands above the diagonal of L is not read."""
        return self.loc + matvec(self._unbroadcasted_scale_tril.tril(), eps)

    def pull(self, x: Tensor) -> Tensor:
        """Return L^{-1} (x - loc)."""
        residual = (x - self.loc).unsqueeze(-1)
        return torch.linalg.solve_triangular(self._unbroadcasted_scale_tril, residual, upper=False).squeeze(
            -1
        )

    def expand(self, batch_shape: Any, _instance: Any = None) -> "MultivariateNormal":
        """Return the distribution with a larger batch shape."""
        new = super().expand(batch_shape, self.blank(_instance))
        new._given = self._given
        return new


class LowRankMultivariateNormal(Multivariate, torch.distributions.LowRankMultivariateNormal):
    """Normal law N(loc, W W' + D) on vectors, D diagonal.

        z = loc + W eps_W + sqrt(D) eps_D,  eps = (eps_W, eps_D) ~ N(0, I) in r + d dimensions

    Args:
        loc: mean, real (*B, d).
        cov_factor: W, real (*B, d, r).
        cov_diag: the diagonal of D, > 0 (*B, d).

    Shape: batch (*B), event (d,); the noise has shape (*S, *B, r + d).

    Gradient: explicit, unbiased; double backward and forward mode work. Several eps give the same z; `pathwise` is
    the mean of dz/dphi over them, which solves the same continuity equation: with a = C^{-1} (z - loc), C the
    covariance, dz_i/dW_ij = (W' a)_j and dz_i/dD_i = a_i / 2.

    Source: mohamed2020.

    Example:
        >>> import reparam as rp
        >>> q = LowRankMultivariateNormal(torch.zeros(3), torch.ones(3, 1), torch.ones(3))
        >>> q.rsample((2,), noise=rp.Noise(0)).shape
        torch.Size([2, 3])
    """

    rule = "explicit"

    def __init__(
        self, loc: Tensor, cov_factor: Tensor, cov_diag: Tensor, validate_args: bool | None = None
    ) -> None:
        super().__init__(*map(single, (loc, cov_factor, cov_diag)), validate_args=validate_args)
        kept_narrow(self, loc.dtype)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "LowRankMultivariateNormal":
        """Return the distribution with a larger batch shape."""
        return torch.distributions.LowRankMultivariateNormal.expand(self, batch_shape, self.blank(_instance))

    def noise_spec(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> NoiseSpec:
        """Return normal noise, r + d numbers per draw."""
        shape = (*sample_shape, *self.batch_shape, sum(self.cov_factor.shape[-2:]))
        return NoiseSpec("normal", shape, len(sample_shape), self.loc.dtype, self.loc.device)

    def push(self, eps: Tensor) -> Tensor:
        """Return loc + W eps_W + sqrt(D) eps_D."""
        rank = self.cov_factor.shape[-1]
        shared = matvec(self._unbroadcasted_cov_factor, eps[..., :rank])
        return self.loc + shared + self._unbroadcasted_cov_diag.sqrt() * eps[..., rank:]

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log q(x) = -(|eps|^2 + log det C + d log 2 pi)/2 in nats, eps = pull(x): a sum of squares.

        Torch's class takes the quadratic form as a difference, which loses the digits that D has less than W.
        """
        self._check(value)
        if not value.numel() or 0 in self.batch_shape:
            return super().log_prob(value)
        eps = self.pull(value)
        log_det = 2 * self._capacitance_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        log_det = log_det + self._unbroadcasted_cov_diag.log().sum(-1)
        square = (eps * eps).sum(-1)
        return -0.5 * (square + log_det + self.event_shape[0] * math.log(2 * math.pi))

    def pull(self, x: Tensor) -> Tensor:
        """Return the shortest eps with push(eps) = x: (W' a, sqrt(D) a), a = C^{-1} (x - loc)."""
        W, D = self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag
        scaled = (x - self.loc) / D
        inner = matvec(W.mT, scaled).unsqueeze(-1)
        half = torch.linalg.solve_triangular(self._capacitance_tril, inner, upper=False)
        shared = torch.linalg.solve_triangular(self._capacitance_tril.mT, half, upper=True).squeeze(-1)
        own = D.sqrt() * (scaled - matvec(W, shared) / D)
        return torch.cat((shared, own), -1)


class LogisticNormal(Multivariate, torch.distributions.LogisticNormal):
    """Logistic-normal law on the simplex: a Gaussian vector through the stick-breaking map.

        t_k = loc_k + scale_k eps_k - log(K - k),  k = 0 .. K-1,  eps ~ N(0, I)
        log z_k = log sigmoid(t_k) + sum_{j<k} log sigmoid(-t_j),   log z_K = sum_j log sigmoid(-t_j)

    No coordinate is clamped: z_k is 0 only where the number itself underflows.

    Args:
        loc: real (*B, K).
        scale: standard deviation, > 0 (*B, K).

    Shape: batch (*B), event (K + 1,).

    Gradient: explicit, unbiased; double backward and forward mode work. `pathwise`: dz_i/dphi_k of shape
    (*S, *B, K + 1, K).

    Source: atchison1980.

    Example:
        >>> import reparam as rp
        >>> LogisticNormal(torch.zeros(2), torch.ones(2)).rsample(noise=rp.Noise(0)).sum().round(decimals=5)
        tensor(1.)
    """

    rule = "explicit"
    arg_constraints: ClassVar[dict] = {
        "loc": constraints.real_vector,
        "scale": constraints.independent(constraints.positive, 1),
    }

    def parameters(self) -> dict[str, Tensor]:
        """Return loc and scale."""
        return {"loc": self.loc, "scale": self.scale}

    def noise_spec(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> NoiseSpec:
        """Return normal noise, K numbers per draw."""
        shape = (*sample_shape, *self.loc.shape)
        return NoiseSpec("normal", shape, len(sample_shape), self.loc.dtype, self.loc.device)

    def push(self, eps: Tensor) -> Tensor:
        """Return z of the stick-breaking map."""
        t = self.loc + self.scale * eps - remaining(eps)
        left = logsigmoid(-t).cumsum(-1)
        before = torch.cat((torch.zeros_like(left[..., :1]), left[..., :-1]), -1)
        return torch.exp(torch.cat((logsigmoid(t) + before, left[..., -1:]), -1))

    def pull(self, x: Tensor) -> Tensor:
        """Return (t_k + log(K - k) - loc_k) / scale_k, t_k = log z_k - log sum_{j>k} z_j."""
        t = sticks(x)
        return (t + remaining(t) - self.loc) / self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        """Return sum_k [log N(t_k; loc_k - log(K - k), scale_k^2) - log z_k - log sigmoid(-t_k)] in nats."""
        if self._validate_args:
            self._validate_sample(value)
        t = sticks(value)
        slope = torch.log(value[..., :-1]) + logsigmoid(-t)
        return (self.base_dist.base_dist.log_prob(t + remaining(t)) - slope).sum(-1)


def sticks(x: Tensor) -> Tensor:
    """Return t_k = log x_k - log sum_{j>k} x_j, k < K, of points of the simplex."""
    rest = x.flip(-1).cumsum(-1).flip(-1)[..., 1:]
    return torch.log(x[..., :-1]) - torch.log(rest)


def remaining(t: Tensor) -> Tensor:
    """Return log(K - k), k = 0 .. K-1: the sticks that are left."""
    return torch.arange(t.shape[-1], 0, -1, dtype=t.dtype, device=t.device).log()


def given_matrix(who: str, matrices: tuple[Tensor | None, ...]) -> str:
    """Return the name of the one matrix that is given."""
    names = [name for name, matrix in zip(MATRICES, matrices) if matrix is not None]
    if len(names) != 1:
        raise ValueError(f"{who}: exactly one of {', '.join(MATRICES)} must be given; got {names or 'none'}")
    return names[0]
