"""Families whose quantile is the root of F(z; phi) = Phi(eps): a bracket, Newton's method, and its derivatives.

The root is found without a graph by the operator `reparam::root`, element by element, so that it works under compile
and vmap. It is then moved by two steps of Newton's method with a graph, whose value is zero:

    z <- z - (g - [g]),   g = (log F(z; phi) - log Phi(eps)) F/f   (or the same with the upper tail),

[.] meaning "cut from the graph": one step makes the first derivatives exact, -F_phi/f and phi(eps)/f, two steps the
second ones.
"""

from ast import literal_eval
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from reparam.distributions.implicit import Implicit
from reparam.distributions.whole import rebuild
from reparam.special import log_ndtr
from reparam.special.mills import mills

SMALL, STEPS, BISECT_AFTER, CHUNK = 1e-7, 300, 8, 8192


class Solved(Implicit):
    """A family given by F, S and f in plain torch, and by a bracket of its quantile."""

    whole = (*Implicit.whole, "solve")

    def bracket(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        """Return numbers below and above the quantile at Phi(eps), in float64."""
        raise TypeError(f"{type(self).__name__}.icdf: this family brackets no quantile")

    def start(self, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Return the point of the bracket that is tried first."""
        return torch.where(low > 0, torch.sqrt(low) * torch.sqrt(high), low / 2 + high / 2)

    def push(self, eps: Tensor) -> Tensor:
        """Return z with F(z; phi) = Phi(eps), computed in float64 and rounded once."""
        dtype = next(iter(self.parameters().values())).dtype
        return self._as(torch.float64).solve(eps.double()).to(dtype)

    def solve(self, eps: Tensor) -> Tensor:
        """Return z with F(z; phi) = Phi(eps), in float64, with its derivatives."""
        z = root(repr(self.outline()), [eps.detach(), *(leaf.detach() for leaf in self.leaves())])
        if torch.is_grad_enabled():
            for _ in range(2):
                step = _newton(self, z, eps)
                z = z - (step - step.detach())
        return z


def _gap(q: Any, z: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
    """Return log F(z) - log Phi(eps), or log Phi(-eps) - log S(z) where eps > 0, and its slope in z."""
    lower = eps < 0
    cdf, survival = q.masses(z)
    mass = torch.where(lower, cdf, survival)
    known = mass > 0
    log_mass = torch.where(known, torch.log(torch.where(known, mass, 1.0)), -torch.inf)
    gap = log_mass - log_ndtr(torch.where(lower, eps, -eps))  # the slope of abs is 0 at the median
    return torch.where(lower, gap, -gap), torch.exp(q.log_density_anywhere(z) - log_mass)


def _newton(q: Any, z: Tensor, eps: Tensor) -> Tensor:
    gap, slope = _gap(q, z, eps)
    good = torch.isfinite(gap) & (slope > 0) & torch.isfinite(slope)
    return torch.where(good, torch.where(good, gap, 0.0) / torch.where(good, slope, 1.0), 0.0)


# --- the operator ------------------------------------------------------------------------------------------

_library = torch.library.Library("reparam", "FRAGMENT")
_library.define("root(str outline, Tensor[] tensors) -> Tensor")


def root(outline: str, tensors: list[Tensor]) -> Tensor:
    """Return z with F(z) = Phi(eps) for the family of an outline; tensors are eps and the leaves of the family."""
    return torch.ops.reparam.root(outline, tensors)


@lru_cache(maxsize=1024)
def _parsed(outline: str) -> Any:
    return literal_eval(outline)


def _root(outline: str, tensors: list[Tensor]) -> Tensor:
    shape = torch.broadcast_shapes(*(t.shape for t in tensors))
    flat = [t.expand(shape).reshape(-1).split(CHUNK) for t in tensors]
    with torch.no_grad():
        return torch.cat([_solved(_parsed(outline), *part) for part in zip(*flat)]).reshape(shape)


def _solved(outline: Any, eps: Tensor, *given: Tensor) -> Tensor:
    """Return the roots of one part of the elements; those that are found leave the loop."""
    out, leaves = torch.empty_like(eps), list(given)
    where = torch.arange(eps.numel(), device=eps.device)
    q = rebuild(outline, iter(leaves))
    low, high = (end.expand_as(eps) for end in q.bracket(eps))
    z = q.start(eps, low, high)
    for count in range(STEPS):
        z, low, high, done = _step(rebuild(outline, iter(leaves)), eps, z, low, high, count)
        out[where] = z
        if done.all():
            break
        where, eps, z, low, high, *leaves = (t[~done] for t in (where, eps, z, low, high, *leaves))
    return out


def _step(
    q: Any, eps: Tensor, z: Tensor, low: Tensor, high: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the next point, the tighter bracket, and where nothing is left to do.

    Newton's step is taken in the normal score e of F(z), which is nearly linear in z: with the hazard h = phi/Phi,
    log Phi(e) - log Phi(eps) = h (e - eps) - h (h + eps)/2 (e - eps)^2 + .., and de/dz = f/(F h(e)). Where the
    bracket is positive the step is one of log z.
    """
    gap, slope = _gap(q, z, eps)
    low, high = torch.where(gap <= 0, z, low), torch.where(gap >= 0, z, high)
    e = -eps.abs()
    h = 1 / mills(-e)
    bend = torch.where(eps < 0, 1.0, -1.0) * gap * h * (h + e)
    square = h * h - 2 * bend
    root_of_square = torch.sqrt(square.clamp(min=0))
    step = 2 * gap * root_of_square / (h + root_of_square) / slope
    newton = torch.where(low > 0, z * torch.exp(-step / z), z - step)
    near = gap.abs() < SMALL
    taken = (newton > low) & (newton < high) & (square > 0.01 * h * h)
    if count > BISECT_AFTER and count % 2:  # bisect every other time: it ends, whatever the density does
        taken = taken & near
    new = torch.where(taken, newton, _middle(low, high, float_order=count % 4 != 0))
    new = torch.where(near, torch.where(torch.isfinite(newton), newton.clamp(low, high), z), new)
    return new, low, high, near | (torch.nextafter(low, high) >= high)


def _middle(low: Tensor, high: Tensor, *, float_order: bool) -> Tensor:
    """Return the mean of two floats, or the float half-way between them in the order of all floats."""
    if not float_order:
        return low / 2 + high / 2
    first, last = _order(low), _order(high)
    return _unorder(first // 2 + last // 2 + (first % 2 + last % 2) // 2)


def _order(x: Tensor) -> Tensor:
    bits = x.contiguous().view(torch.int64)
    return torch.where(bits < 0, torch.iinfo(torch.int64).min - bits, bits)


def _unorder(order: Tensor) -> Tensor:
    return torch.where(order < 0, torch.iinfo(torch.int64).min - order, order).view(torch.float64)


def _vmap(
    info: object, in_dims: tuple[None, list[int | None]], outline: str, tensors: list[Tensor]
) -> tuple[Tensor, int]:
    dims = in_dims[1]
    rank = max(t.dim() - (d is not None) for t, d in zip(tensors, dims))
    moved = []
    for t, d in zip(tensors, dims):
        if d is not None:
            t = t.movedim(d, 0)
            t = t.reshape(t.shape[0], *(1,) * (rank - t.dim() + 1), *t.shape[1:])
        moved.append(t)
    return root(outline, moved), 0


_library.impl("root", _root, "CompositeExplicitAutograd")
torch.library.register_fake(
    "reparam::root",
    lambda outline, tensors: tensors[0].new_empty(torch.broadcast_shapes(*(t.shape for t in tensors))),
    lib=_library,
)
torch.library.register_vmap("reparam::root", _vmap, lib=_library)
