"""From any torch distribution to ours: convert, draw, detach."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from reparam.distributions.arguments import widest
from reparam.distributions.base import Distribution
from reparam.distributions.narrow import mapped
from reparam.noise import Noise

Torch = torch.distributions.Distribution
AnyDistribution = TypeVar("AnyDistribution", bound=Torch)
CONVERSIONS: dict[type, Callable[[Any], Distribution]] = {}


def register(family: type, conversion: Callable[[Any], Distribution]) -> None:
    """Register how a torch family becomes ours."""
    CONVERSIONS[family] = conversion


def register_family(family: type, ours: type[Distribution]) -> None:
    """Register a torch family whose constructor takes the parameters by the names of its attributes."""

    def conversion(q: Any) -> Distribution:
        given = {name: getattr(q, name) for name in q.arg_constraints}
        return ours(**given, validate_args=q._validate_args)

    register(family, conversion)


def register_with_logits(family: type, ours: type[Distribution]) -> None:
    """Register a torch family that was given either probs or logits, and keep the one that was given."""

    def conversion(q: Any) -> Distribution:
        name = "probs" if q.__dict__.get("probs") is q._param else "logits"
        others = {key: getattr(q, key) for key in q.arg_constraints if key not in ("probs", "logits")}
        return ours(**others, **{name: q._param}, validate_args=q._validate_args)

    register(family, conversion)


def register_with_one_of(family: type, ours: type[Distribution], names: tuple[str, ...]) -> None:
    """Register a torch family that was given exactly one of several parameters: the first one that it holds."""

    def conversion(q: Any) -> Distribution:
        name = next(key for key in q.__dict__ if key in names)
        others = {key: getattr(q, key) for key in q.arg_constraints if key not in names}
        return ours(**others, **{name: getattr(q, name)}, validate_args=q._validate_args)

    register(family, conversion)


def convert(q: Torch) -> Distribution:
    """Return the same law, parameters and graph as one of our distributions; ours come back as they are.

    Raises:
        TypeError: for what is no distribution, or a family that has no conversion.

    Example:
        >>> convert(torch.distributions.Normal(0.0, 1.0)).rule
        'explicit'
    """
    if isinstance(q, Distribution):
        return q
    if not isinstance(q, Torch):
        raise TypeError(f"convert: q must be a torch distribution; got {type(q).__name__}")
    conversion = CONVERSIONS.get(type(q))
    if conversion is None:
        known = ", ".join(sorted(family.__name__ for family in CONVERSIONS))
        raise TypeError(
            f"convert: no conversion for {type(q).__name__}; convertible are {known}; use one of these"
        )
    return conversion(q)


def alike(*laws: Any) -> Any:
    """Return laws and tensors in the widest of their dtypes."""
    kinds = [[law.dtype] if isinstance(law, Tensor) else _dtypes(law) for law in laws]
    dtype = widest(*(kind for some in kinds for kind in some))
    same = [all(kind == dtype for kind in some) for some in kinds]
    return [law if fits else _cast(law, dtype) for law, fits in zip(laws, same)]


def _dtypes(law: Distribution) -> list[torch.dtype]:
    given = law.__dict__.get("_raw")  # logits: asking for the parameters would normalise them
    return [value.dtype for value in law.parameters().values()] if given is None else [given.dtype]


def _cast(law: Any, dtype: torch.dtype) -> Any:
    if isinstance(law, Tensor):
        return law.to(dtype)
    if isinstance(law, torch.distributions.Independent):
        ndims: Any = law.reinterpreted_batch_ndims
        return type(law)(_cast(law.base_dist, dtype), ndims, validate_args=law._validate_args)
    if hasattr(law, "_as"):
        new = law._as(dtype)
    else:
        # logits are kept as they were given: their normaliser is computed in the wider dtype
        values = {"logits": law._raw} if "_raw" in law.__dict__ else law.parameters()
        new = type(law)(**{name: value.to(dtype) for name, value in values.items()}, validate_args=False)
    new._validate_args = law._validate_args
    return new


def draw(q: Torch, sample_shape: torch.Size | tuple[int, ...] = (), *, noise: Noise | None = None) -> Tensor:
    """Draw from any torch distribution with addressed noise; differentiable where the family has a rule.

    Shape: (*sample_shape, *batch_shape, *event_shape).

    Example:
        >>> draw(torch.distributions.Normal(0.0, 1.0), (2,), noise=Noise(0)).shape
        torch.Size([2])
    """
    ours = convert(q)
    return (ours.sample if ours.rule == "none" else ours.rsample)(sample_shape, noise=noise)


def detach(q: AnyDistribution) -> AnyDistribution:
    """Return the same law with every parameter cut from the graph.

    Works for any torch distribution whose parameters are tensors, distributions or transforms, nested at will.

    Example:
        >>> loc = torch.zeros(2, requires_grad=True)
        >>> detach(torch.distributions.Normal(loc, 1.0)).loc.requires_grad
        False
    """
    if not isinstance(q, Torch):
        raise TypeError(f"detach: q must be a torch distribution; got {type(q).__name__}")
    return mapped(q, _cut, {})


def _cut(value: Any) -> Any:
    if isinstance(value, torch.nn.Module):
        raise TypeError(
            f"detach: parameters must be tensors, distributions or transforms; got the module "
            f"{type(value).__name__}; freeze it with requires_grad_(False) instead"
        )
    return value.detach() if isinstance(value, Tensor) else value
