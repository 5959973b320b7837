"""Maps of the line that are not one to one: a finite number of branches, each with its inverse.

For y = T(x) a branch gives x with log |dT/dx|, and an interval of y gives the intervals of x that T sends into it:

    p(y) = sum over the preimages x of p(x)/|T'(x)|,   P(l < y <= h) = sum over those intervals of P(l' < x <= h')

A torch transform that is one to one is a map with one branch.

A map's outline is what it is made of, as nested tuples, strings and numbers, without its tensors, which are its leaves:
a map can be made again from both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.transforms import AbsTransform, Transform

Branch = tuple[Tensor, Tensor]
KINDS: dict[str, type[Transform]] = {}  # by the name in an outline
HELD: WeakValueDictionary[int, Any] = WeakValueDictionary()  # what an outline cannot write down, by id
CACHES = ("_cache_size", "_cached_x_y", "_inv")


class Branched(Transform):
    """A map of the line onto [0, inf) that is even and rises with |x|: two branches, x and -x.

    A subclass gives `_call`, `root`, the inverse on x >= 0, and `log_slope` = log |dT/dx|.
    """

    domain = constraints.real
    codomain = constraints.nonnegative
    bijective = False
    key: ClassVar[str]  # by which an outline names the class

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.key = f"{cls.__qualname__}#{len(KINDS)}"  # two classes may have one name
        KINDS[cls.key] = cls

    def root(self, y: Tensor) -> Tensor:
        """Return x >= 0 with T(x) = y."""
        raise TypeError(f"{type(self).__name__}: this map gives no inverse of its branch")

    def log_slope(self, x: Tensor) -> Tensor:
        """Return log |dT/dx|."""
        raise TypeError(f"{type(self).__name__}: this map gives no slope")

    def branches(self, y: Tensor) -> list[Branch]:
        """Return (x, log |dT/dx|) of every preimage of y; y < 0 has none, which an infinite slope says."""
        known = y >= 0
        x = self.root(torch.where(known, y, 1.0))
        slope = torch.where(known, self.log_slope(x), torch.inf)
        return [(-x, slope), (x, slope)]

    def intervals(self, low: Tensor, high: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the intervals of x with low < T(x) <= high."""
        inner, outer = self.root(low.clamp(min=0)), self.root(high.clamp(min=0))
        return [(-outer, -inner), (inner, outer)]

    def _inverse(self, y: Tensor) -> Tensor:
        return self.root(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log |dT/dx|."""
        return self.log_slope(x)


class Absolute(Branched):
    """y = |x|."""

    def _call(self, x: Tensor) -> Tensor:
        return x.abs()

    def root(self, y: Tensor) -> Tensor:
        """Return y."""
        return y

    def log_slope(self, x: Tensor) -> Tensor:
        """Return 0."""
        return torch.zeros_like(x)


class Square(Branched):
    """y = x^2."""

    def _call(self, x: Tensor) -> Tensor:
        return x * x

    def root(self, y: Tensor) -> Tensor:
        """Return sqrt(y)."""
        return torch.sqrt(y)

    def log_slope(self, x: Tensor) -> Tensor:
        """Return log |2 x|."""
        return torch.log(2 * x.abs())


class OneToOne(Transform):
    """A monotone torch transform of numbers, as a map with one branch."""

    bijective = True

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.transform, self.domain, self.codomain = transform, transform.domain, transform.codomain

    @property
    def sign(self) -> Any:
        """1 where the transform rises, -1 where it falls."""
        return self.transform.sign

    def _call(self, x: Tensor) -> Tensor:
        return self.transform(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.transform.inv(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log |dT/dx|."""
        return self.transform.log_abs_det_jacobian(x, y)

    def branches(self, y: Tensor) -> list[Branch]:
        """Return x = T^{-1}(y) and log |dT/dx|; an infinite slope where y is outside the image."""
        lower, upper = self._image()
        beyond = (y < lower) | (y > upper)
        inner = torch.where(beyond, self._inside(y), y)
        x = self.transform.inv(inner)
        return [(x, torch.where(beyond, torch.inf, self.transform.log_abs_det_jacobian(x, inner)))]

    def intervals(self, low: Tensor, high: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the interval of x with low < T(x) <= high, infinite where an end lies beyond the image."""
        falls = torch.as_tensor(self.sign < 0, device=low.device)
        first, last = self._back(low), self._back(high)
        return [(torch.where(falls, last, first), torch.where(falls, first, last))]

    def _back(self, y: Tensor) -> Tensor:
        """Return T^{-1}(y), or the infinity that stands for a y at or beyond an end of the image."""
        lower, upper = self._image()
        beyond = (y <= lower) | (y >= upper) | torch.isinf(y)
        sign = torch.as_tensor(self.sign, dtype=y.dtype, device=y.device)
        end = torch.where((y <= lower) | (y == -torch.inf), -torch.inf, torch.inf) * sign
        return torch.where(beyond, end, self.transform.inv(torch.where(beyond, self._inside(y), y)))

    def _image(self) -> tuple[Any, Any]:
        image = self.codomain
        return getattr(image, "lower_bound", -torch.inf), getattr(image, "upper_bound", torch.inf)

    def _inside(self, y: Tensor) -> Tensor:
        """Return a point of the image: T(1/2), 1/2 being in every domain of torch's transforms of numbers."""
        return self.transform(torch.full_like(y, 0.5)).detach()


SAME: dict[type[Transform], type[Branched]] = {AbsTransform: Absolute}


def branched(transform: Any, who: str) -> Branched | OneToOne:
    """Return a transform of numbers as a map with branches.

    Raises:
        TypeError: for what is neither one to one and monotone nor a `Branched` map.
    """
    if isinstance(transform, Branched | OneToOne):
        return transform
    if type(transform) in SAME:
        return SAME[type(transform)]()
    scalar = (
        isinstance(transform, Transform) and transform.domain.event_dim == transform.codomain.event_dim == 0
    )
    if not scalar or not transform.bijective:
        raise TypeError(
            f"{who}: transforms must be monotone torch transforms of numbers or Branched maps; got "
            f"{type(transform).__name__}; write its branches as a subclass of transforms.branches.Branched"
        )
    return OneToOne(transform)


def outline(part: Any, leaves: list[Tensor]) -> tuple[Any, ...]:
    """Return the outline of a map, or of what a map holds, and add its tensors to the leaves."""
    if isinstance(part, Tensor):
        leaves.append(part)
        return ("leaf",)
    if isinstance(part, float):
        return "float", str(part)  # inf and nan are no literals
    if part is None or isinstance(part, bool | int | str):
        return "value", part
    if isinstance(part, list | tuple):
        return "list", *(outline(each, leaves) for each in part)
    if isinstance(part, OneToOne):
        return "one to one", outline(part.transform, leaves)
    if isinstance(part, Transform):
        inverse = type(part).__name__ == "_InverseTransform"
        held = {"_inv": part.inv} if inverse else {k: v for k, v in vars(part).items() if k not in CACHES}
        return "map", _kind(type(part)), *((name, outline(value, leaves)) for name, value in held.items())
    if torch.compiler.is_compiling():
        raise TypeError(
            f"Pushforward: inside torch.compile a map may hold tensors, numbers, strings, lists and other maps; got a "
            f"{type(part).__name__}; take densities and probabilities outside of the compiled region"
        )
    HELD[id(part)] = part
    return "held", id(part)


def _kind(cls: type[Transform]) -> str:
    """Return the name of a class of maps, under which it can be found."""
    if issubclass(cls, Branched):
        return cls.key
    if getattr(torch.distributions.transforms, cls.__name__, None) is cls:
        return cls.__name__
    name = f"{cls.__module__}.{cls.__qualname__}"
    KINDS[name] = cls
    return name


def from_outline(made: tuple[Any, ...], leaves: Iterator[Tensor]) -> Any:
    """Return the map of an outline with the next leaves as its tensors."""
    what, *rest = made
    if what == "leaf":
        return next(leaves)
    if what == "float":
        return float(rest[0])
    if what == "value":
        return rest[0]
    if what == "list":
        return [from_outline(each, leaves) for each in rest]
    if what == "one to one":
        return OneToOne(from_outline(rest[0], leaves))
    if what == "held":
        return HELD[rest[0]]
    name, *held = rest
    cls = KINDS.get(name) or getattr(torch.distributions.transforms, name)
    values = {key: from_outline(value, leaves) for key, value in held}
    if name == "_InverseTransform":
        return values["_inv"].inv
    part = cls.__new__(cls)
    Transform.__init__(part)
    vars(part).update(values)
    return part


__all__ = ["Absolute", "Branched", "OneToOne", "Square", "branched", "from_outline", "outline"]
