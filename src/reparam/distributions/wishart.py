"""Random matrices by triangular factors: Wishart (Bartlett) and Cholesky factors of correlations (onion)."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reparam import special
from reparam.distributions.base import result_dtype
from reparam.distributions.multivariate import Multivariate
from reparam.distributions.multivariate_normal import given_matrix
from reparam.distributions.narrow import kept_narrow, single


class Wishart(Multivariate, torch.distributions.Wishart):
    """Wishart law on symmetric positive definite matrices, W(df, L L').

        X = (L A)(L A)',  A_ii^2 ~ Chi2(df - i), i = 0 .. p-1, by quantile at eps_ii;  A_ij = eps_ij below the diagonal

    One draw, whatever comes: for df near p - 1 the smallest eigenvalue may round to 0, as the number itself does.

    Args:
        df: degrees of freedom, > p - 1 (*B).
        covariance_matrix, precision_matrix: symmetric positive definite (*B, p, p).
        scale_tril: L, lower triangular with a positive diagonal. Exactly one of the three is given.

    Shape: batch (*B), event (p, p); the noise has shape (*S, *B, p, p), of which the lower triangle is read.

    Gradient: implicit in df, explicit in the matrix, unbiased; double backward and forward mode work. `pathwise`:
    df (*S, *B, p, p); the matrix (*S, *B, p, p, p, p), where p^2 backward passes are paid.

    Source: smith1972.

    Example:
        >>> import reparam as rp
        >>> q = Wishart(torch.tensor(5.0), scale_tril=torch.eye(2))
        >>> q.rsample((3,), noise=rp.Noise(0)).shape
        torch.Size([3, 2, 2])
    """

    rule = "implicit"

    def __init__(
        self,
        df: Tensor | float,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        matrices = (covariance_matrix, precision_matrix, scale_tril)
        self._given = given_matrix("Wishart", matrices)
        matrix = next(m for m in matrices if m is not None)
        if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
            raise ValueError(
                f"Wishart: {self._given} must have shape (*B, p, p); got {tuple(matrix.shape)}; give square matrices"
            )
        df = torch.as_tensor(df, dtype=matrix.dtype, device=matrix.device)
        batch = torch.broadcast_shapes(df.shape, matrix.shape[:-2])
        self._fill(single(df).expand(batch), single(matrix).expand(*batch, *matrix.shape[-2:]), validate_args)
        kept_narrow(self, matrix.dtype)

    def _fill(self, df: Tensor, matrix: Tensor, validate_args: bool | None) -> None:
        """Set what torch's class keeps; its own __init__ would warn of small df, which are drawn rightly here."""
        self.df = df
        setattr(self, self._given, matrix)
        self._batch_dims = [-(k + 1) for k in range(df.ndim)]
        torch.distributions.Distribution.__init__(
            self, df.shape, matrix.shape[-2:], validate_args=validate_args
        )
        self._unbroadcasted_scale_tril = scale_tril_of(self._given, matrix)

    def parameters(self) -> dict[str, Tensor]:
        """Return df and the matrix that was given, by name."""
        return {"df": self.df, self._given: getattr(self, self._given)}

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Wishart":
        """Return the distribution with a larger batch shape."""
        new, batch = self.blank(_instance), torch.Size(batch_shape)
        new._given = self._given
        matrix = getattr(self, self._given).expand(batch + self.event_shape)
        new._fill(single(self.df).expand(batch), single(matrix), validate_args=False)
        kept_narrow(new, matrix.dtype)
        new._validate_args = self._validate_args
        return new

    def push(self, eps: Tensor) -> Tensor:
        """Return (L A)(L A)'; the diagonal of A from the quantile of log(A_ii^2 / 2) in float64."""
        diagonal = eps.diagonal(dim1=-2, dim2=-1).double()
        return self._product(special.quantile(special.GAMMA, diagonal, self._shapes()), eps)

    def pull(self, x: Tensor) -> Tensor:
        """Return A with log(A_ii^2 / 2) on its diagonal, which `move` carries along."""
        A = torch.linalg.solve_triangular(
            self._unbroadcasted_scale_tril, torch.linalg.cholesky(x), upper=False
        )
        y = 2 * A.diagonal(dim1=-2, dim2=-1).log() - math.log(2)
        return A.tril(-1) + torch.diag_embed(y)

    def move(self, eps: Tensor) -> Tensor:
        """Return X at the state of `pull`, moving with df and the matrix."""
        y = eps.diagonal(dim1=-2, dim2=-1).double()
        return self._product(special.attach(special.GAMMA, y, self._shapes()), eps)

    def _shapes(self) -> Tensor:
        """(df - i)/2 in float64."""
        steps = torch.arange(self.event_shape[-1], dtype=torch.float64, device=self.df.device)
        return (self.df.double().unsqueeze(-1) - steps) / 2

    def _product(self, y: Tensor, eps: Tensor) -> Tensor:
        diagonal = math.sqrt(2) * torch.exp(y / 2)
        A = eps.tril(-1) + torch.diag_embed(diagonal.to(eps.dtype))
        LA = self._unbroadcasted_scale_tril @ A
        return LA @ LA.mT


class LKJCholesky(Multivariate, torch.distributions.LKJCholesky):
    """Law of the Cholesky factor L of a correlation matrix with density proportional to det(L L')^(eta - 1).

        row i >= 1:  L_i,:i = sqrt(b_i) u_i,  L_ii = sqrt(1 - b_i),
        b_i ~ Beta(i/2, eta + (d - 1 - i)/2) by quantile at eps_ii,  u_i = n/|n|,  n = eps_i,:i

    Args:
        dim: d >= 2.
        concentration: eta > 0 (*B).

    Shape: batch (*B), event (d, d); the noise has shape (*S, *B, d, d), of which the lower triangle is read.

    Gradient: implicit, unbiased, though torch gives this family none; double backward and forward mode work.
    `pathwise`: concentration (*S, *B, d, d).

    Source: lewandowski2009.

    Example:
        >>> import reparam as rp
        >>> LKJCholesky(3, 1.0).rsample((2,), noise=rp.Noise(0)).shape
        torch.Size([2, 3, 3])
    """

    rule = "implicit"
    has_rsample = True

    def __init__(
        self, dim: int, concentration: Tensor | float = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ValueError(f"LKJCholesky: dim must be an integer of 2 or more; got {dim}")
        # torch's class makes a Beta law for its own draws, which are not used
        self.dim = dim
        (self.concentration,) = torch.distributions.utils.broadcast_all(concentration)
        shapes = self.concentration.shape, torch.Size((dim, dim))
        torch.distributions.Distribution.__init__(self, *shapes, validate_args=validate_args)

    def parameters(self) -> dict[str, Tensor]:
        """Return the concentration."""
        return {"concentration": self.concentration}

    def rebuilt(self, **changed: Tensor) -> "LKJCholesky":
        """Return the family with another concentration, without validation."""
        return LKJCholesky(self.dim, **{**self.parameters(), **changed}, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "LKJCholesky":
        """Return the distribution with a larger batch shape."""
        new = LKJCholesky(self.dim, self.concentration.expand(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log q(L) in nats; torch's formula in float64, rounded once."""
        self._check(value)
        if not value.numel() or 0 in self.batch_shape:
            return super().log_prob(value)
        wide = self._as(torch.float64)
        log_prob = torch.distributions.LKJCholesky.log_prob(wide, value.double())  # type: ignore[no-untyped-call]
        return log_prob.to(result_dtype(self.concentration, value))

    def push(self, eps: Tensor) -> Tensor:
        """Return L; the lengths of the rows from the quantile of logit b_i in float64."""
        heights = eps.diagonal(dim1=-2, dim2=-1)[..., 1:].double()
        return self._rows(special.quantile(special.BETA, heights, *self._shapes()), eps)

    def pull(self, x: Tensor) -> Tensor:
        """Return the rows below the diagonal with logit b_i on it, which `move` carries along."""
        below = x.tril(-1)
        b = (below[..., 1:, :] ** 2).sum(-1)
        xi = torch.log(b) - 2 * x.diagonal(dim1=-2, dim2=-1)[..., 1:].log()
        return below + torch.diag_embed(torch.cat((torch.zeros_like(xi[..., :1]), xi), -1))

    def move(self, eps: Tensor) -> Tensor:
        """Return L at the state of `pull`, moving with the concentration."""
        xi = eps.diagonal(dim1=-2, dim2=-1)[..., 1:].double()
        return self._rows(special.attach(special.BETA, xi, *self._shapes()), eps)

    def _shapes(self) -> tuple[Tensor, Tensor]:
        rows = torch.arange(1, self.dim, dtype=torch.float64, device=self.concentration.device)
        return rows / 2, self.concentration.double().unsqueeze(-1) + (self.dim - 1 - rows) / 2

    def _rows(self, xi: Tensor, eps: Tensor) -> Tensor:
        n = eps.tril(-1)[..., 1:, :].double()
        u = n / torch.linalg.vector_norm(n, dim=-1, keepdim=True)
        rows = torch.exp(logsigmoid(xi) / 2).unsqueeze(-1) * u
        below = torch.cat((torch.zeros_like(rows[..., :1, :]), rows), -2)
        root = torch.exp(logsigmoid(-xi) / 2)
        diagonal = torch.cat((torch.ones_like(root[..., :1]), root), -1)
        return (below + torch.diag_embed(diagonal)).to(eps.dtype)


def scale_tril_of(name: str, matrix: Tensor) -> Tensor:
    """Return L with L L' = covariance, from the matrix of a name."""
    if name == "scale_tril":
        return matrix.tril()  # what stands above the diagonal is not read
    if name == "covariance_matrix":
        return torch.linalg.cholesky(matrix)
    # P = U U' with U upper triangular, by the Cholesky factor of P read from its last corner; L = U'^{-1}
    U = torch.linalg.cholesky(matrix.flip((-2, -1))).flip((-2, -1))
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return torch.linalg.solve_triangular(U.mT, eye, upper=False)


__all__ = ["LKJCholesky", "Wishart"]
