"""bfloat16 and float16: a law computes in float32, on float32 noise, and rounds once.

A law in half precision is its float32 twin, which `_as` makes (by `cast`, unless a family rebuilds itself);
`once_rounded` lets a method be the twin's.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution as Torch
from torch.distributions import constraints
from torch.distributions.utils import lazy_property

from reparam.noise import NoiseSpec

HALVES = (torch.bfloat16, torch.float16)
METHODS = ("noise_spec", "push", "log_prob", "entropy", "cdf", "icdf", "pathwise")
OF_A_POINT = ("log_prob", "cdf")  # a wider point gives a wider result
WEIGHTS = ("_param", "probs", "logits")  # of which one was given and the others are computed when asked for
MOMENTS = ("mean", "variance", "mode", "covariance_matrix", "precision_matrix", "scale_tril")


def mapped(value: Any, change: Callable[[Any], Any], seen: dict[int, Any]) -> Any:
    """Return a copy of a law with its tensors changed; what was one tensor under two names stays one tensor."""
    if id(value) in seen:
        return seen[id(value)]
    if isinstance(value, Tensor):
        seen[id(value)] = change(value)
        return seen[id(value)]
    if isinstance(value, Torch | torch.distributions.Transform):
        twin = copy.copy(value)
        twin.__dict__.update({name: mapped(part, change, seen) for name, part in twin.__dict__.items()})
        return twin
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        return type(value)(mapped(part, change, seen) for part in value)
    return change(value)


def cast(law: Any, dtype: torch.dtype) -> Any:
    """Return a law at its parameters in another floating dtype, in the same graph and without validation."""

    def change(value: Any) -> Any:
        floating = isinstance(value, Tensor) and value.is_floating_point()
        return value.to(dtype) if floating else value

    twin = mapped(law, change, {})
    _forget(twin)
    return twin


def _forget(law: Any) -> None:
    """Drop what a law has computed from its parameters and kept, and its validation."""
    kept = law.__dict__
    for value in list(kept.values()):
        if isinstance(value, Torch):
            _forget(value)
    given = None if "_raw" in kept else kept.get("_param")
    if "_raw" in kept or given is not None:
        for name in WEIGHTS:
            if name in kept and kept[name] is not given:
                del kept[name]
    law._validate_args = False


def half_of(law: Any) -> torch.dtype | None:
    """Return bfloat16 or float16 where the parameters of a law are, else None."""
    for value in law.__dict__.values():
        if isinstance(value, Tensor):
            if value.is_floating_point():
                return value.dtype if value.dtype in HALVES else None
        elif isinstance(value, Torch):
            return half_of(value)
    return None


def single(value: Any) -> Any:
    """Return a tensor in half precision as float32, anything else as it is."""
    return value.float() if isinstance(value, Tensor) and value.dtype in HALVES else value


def kept_narrow(law: Any, dtype: torch.dtype) -> None:
    """Round what a law keeps to the dtype of its parameters, where that is a half one: it was made in float32."""
    if dtype in HALVES:
        law.__dict__.update({n: v.to(dtype) for n, v in law.__dict__.items() if isinstance(v, Tensor)})


def rounded(value: Any, dtype: torch.dtype) -> Any:
    """Return a float32 tensor, or each of a dictionary, in another dtype."""
    if isinstance(value, dict):
        return {name: rounded(part, dtype) for name, part in value.items()}
    return value.to(dtype) if value.is_floating_point() else value


def once_rounded(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that in half precision is the float32 twin's, rounded once."""
    name = method.__name__

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        dtype = half_of(self)
        if dtype is None:
            return method(self, *args, **kwargs)
        if name in OF_A_POINT:
            (at,) = (*args, *kwargs.values())
            dtype = at.dtype if at.dtype in (torch.float32, torch.float64) else dtype
            if name == "log_prob":
                self._check(at)
        points = (self._point(value, name) for value in args)
        named = {key: self._point(value, name) for key, value in kwargs.items()}
        return rounded(getattr(self._as(torch.float32), name)(*points, **named), dtype)

    call.once_rounded = True  # type: ignore[attr-defined]
    return call


def settled(value: Any, support: Any) -> Any:
    """Return a value in half precision as torch's check can take it.

    A point of the simplex, whose sum is 1 within an ulp, is moved onto it; a matrix is taken in float32.
    """
    if not isinstance(value, Tensor) or value.dtype not in HALVES:
        return value
    if isinstance(support, type(constraints.positive_definite)):
        return value.float()
    if not isinstance(support, type(constraints.simplex)):
        return value
    total = value.float().sum(-1, keepdim=True)
    return value.float() / torch.where((total - 1).abs() <= torch.finfo(value.dtype).eps, total, 1.0)


def on_single_noise(noise_spec: Callable[..., NoiseSpec]) -> Callable[..., NoiseSpec]:
    """Return `noise_spec` asking for float32 noise where the parameters are narrower."""

    @wraps(noise_spec)
    def spec(self: Any, *args: Any, **kwargs: Any) -> NoiseSpec:
        asked = noise_spec(self, *args, **kwargs)
        return replace(asked, dtype=torch.float32) if asked.dtype in HALVES else asked

    spec.once_rounded = True  # type: ignore[attr-defined]
    return spec


def _moment(inner: property, name: str) -> property:
    """Return a property that in half precision is the float32 twin's, rounded once."""
    value: Any = inner.fget

    def moment(self: Any) -> Any:
        dtype = half_of(self)
        return value(self) if dtype is None else rounded(getattr(self._as(torch.float32), name), dtype)

    moment.__doc__ = inner.__doc__
    return property(moment)


class _Kept(lazy_property):
    """The same of a matrix that a law keeps once it is computed."""

    def __get__(self, instance: Any, obj_type: Any = None) -> Any:
        dtype = None if instance is None else half_of(instance)
        if dtype is None:
            return super().__get__(instance, obj_type)
        return rounded(getattr(instance._as(torch.float32), self.wrapped.__name__), dtype)


def round_once(cls: Any, methods: tuple[str, ...]) -> None:
    """Let methods and the moments of a family compute in float32 where its parameters are narrower."""
    for name in methods:
        method = _inherited(cls, name)
        if method is not None and not hasattr(method, "once_rounded"):
            setattr(cls, name, (on_single_noise if name == "noise_spec" else once_rounded)(method))
    for name in MOMENTS:
        inner = _inherited(cls, name)
        if isinstance(inner, lazy_property):
            setattr(cls, name, _Kept(inner.wrapped))
        elif isinstance(inner, property):
            setattr(cls, name, _moment(inner, name))


def _inherited(cls: Any, name: str) -> Any:
    """Return what a class has under a name, unless it is only that of torch's abstract base, which raises."""
    owners = (parent for parent in cls.__mro__ if name in parent.__dict__)
    owner = next(owners, Torch)
    return None if owner is Torch else owner.__dict__[name]
