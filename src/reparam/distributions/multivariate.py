"""Families on vectors and matrices: noise of any shape, and the Jacobian of a draw in every parameter.

A family states g (`push`), a point eps of its preimage (`pull`, g(pull(x)) = x) and how x moves with the parameters
at that point (`move`, by default g itself). `pathwise` is the Jacobian of `move`:

    pathwise(x)[name][..., i, j] = dx_i/dphi_j   of shape (*S, *B, *event of x, *event of the parameter)

This field solves the continuity equation d q/dphi + div(q dx/dphi) = 0 in every parameter entry. A symmetric matrix
parameter is read as torch reads it: the derivative is symmetric in its two axes, and contracts with any symmetric
direction to the derivative along it.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from reparam.distributions.base import Distribution


class Multivariate(Distribution):
    """A family whose events are vectors or matrices."""

    def pull(self, x: Tensor) -> Tensor:
        """Return an eps with push(eps) = x."""
        raise TypeError(f"{type(self).__name__}.pull: this family gives no inverse map")

    def move(self, eps: Tensor) -> Tensor:
        """Return x as a function of the parameters at what `pull` returned."""
        return self.push(eps)

    def rebuilt(self, **changed: Tensor) -> Any:
        """Return the family with some parameters exchanged, without validation."""
        family: Callable[..., Any] = type(self)
        return family(**{**self.parameters(), **changed}, validate_args=False)

    def _as(self, dtype: torch.dtype) -> Any:
        if all(value.dtype == dtype for value in self.parameters().values()):
            return self
        return self.rebuilt(**{name: value.to(dtype) for name, value in self.parameters().items()})

    def blank(self, instance: Any = None) -> Any:
        """Return an object of this family without attributes, for torch's `expand` to fill."""
        return type(self).__new__(type(self)) if instance is None else instance

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log q(x) in nats; empty for an empty batch, which torch's formulas cannot reshape."""
        if value.numel() and 0 not in self.batch_shape:
            return super().log_prob(value)  # type: ignore[no-untyped-call]
        self._check(value)
        batch = value.shape[: value.ndim - len(self.event_shape)]
        return value.sum(tuple(range(len(batch), value.ndim))).expand(
            torch.broadcast_shapes(batch, self.batch_shape)
        )

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return dx/dphi for each parameter that was given, of shape (*x.shape, *event of the parameter)."""
        state = self.pull(x)
        batch = x.shape[: x.ndim - len(self.event_shape)]
        out = {}
        for name, value in self.parameters().items():
            core = value.shape[value.ndim - self.arg_constraints[name].event_dim :]
            wide = value.expand(batch + core)
            out[name] = jacobian(lambda p, name=name: self.rebuilt(**{name: p}).move(state), wide, len(batch))
        return out


def jacobian(function: Callable[[Tensor], Tensor], at: Tensor, batch_ndim: int) -> Tensor:
    """Return the Jacobian of a function of (*B, *P) to (*B, *E), row by row of B: shape (*B, *E, *P)."""
    value, pullback = torch.func.vjp(function, at)
    event = value.shape[batch_ndim:]
    units = torch.eye(event.numel(), dtype=value.dtype, device=value.device)
    units = units.reshape(-1, *(1,) * batch_ndim, *event).expand(-1, *value.shape)
    (rows,) = torch.func.vmap(pullback)(units)
    return rows.movedim(0, batch_ndim).reshape(*value.shape, *at.shape[batch_ndim:])


def matvec(matrix: Tensor, vector: Tensor) -> Tensor:
    """Return the product of matrices (*B, m, n) and vectors (*B, n)."""
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)
