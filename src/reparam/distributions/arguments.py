"""What every constructor does first: parameters of one floating dtype, and no check of a batch that is empty."""

import inspect
from collections.abc import Callable
from functools import lru_cache, wraps
from numbers import Number
from typing import Any

import torch
from torch import Tensor
from torch.distributions.constraints import is_dependent
from torch.distributions.utils import broadcast_all

INTEGERS = ("total_count",)  # parameters that may be integer tensors
signature = lru_cache(inspect.signature)


def prepared(init: Callable[..., None]) -> Callable[..., None]:
    """Return the constructor with its tensor parameters promoted to the widest of their dtypes.

    A parameter is an argument that is named in `arg_constraints` or `own`. Where all are of one floating dtype and
    none is empty, which costs a microsecond to see, nothing is done.
    """

    @wraps(init)
    def constructor(self: Any, *args: Any, **kwargs: Any) -> None:
        dtype = None
        try:
            for value in (*args, *kwargs.values()) if kwargs else args:
                if isinstance(value, Tensor):
                    if dtype is None:
                        dtype = value.dtype
                    if value.dtype is not dtype or not dtype.is_floating_point or not value.numel():
                        return _prepare(init, self, args, kwargs)
            return init(self, *args, **kwargs)
        except (RuntimeError, ValueError, AttributeError, TypeError) as error:
            _explain(error, init, self, args, kwargs)
            raise

    return constructor


def _explain(
    error: Exception, init: Callable[..., None], self: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Raise what is wrong with the arguments of a constructor that failed, where it is their kind or their shapes."""
    who = type(self).__name__
    try:
        given = signature(init).bind(self, *args, **kwargs).arguments
    except TypeError:  # a wrong number or name of arguments: Python's own message says which
        return
    legal = type(self).arg_constraints
    if not isinstance(legal, dict):
        return
    named = {*legal, *type(self).own}
    parameters = {name: value for name, value in given.items() if name in named and value is not None}
    for name, value in parameters.items():
        if not isinstance(value, (Number, Tensor)):
            raise TypeError(
                f"{who}: {name} must be a tensor or a number; got {type(value).__name__}; write torch.tensor(..)"
            ) from error
    shapes = {name: tuple(value.shape) for name, value in parameters.items() if isinstance(value, Tensor)}
    if any(not is_dependent(constraint) and constraint.event_dim for constraint in legal.values()):
        return
    try:
        torch.broadcast_shapes(*shapes.values())
    except RuntimeError:
        sizes = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"{who}: the shapes of the parameters must broadcast; got {sizes}") from error


def _prepare(init: Callable[..., None], self: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Promote, refuse integers, and validate nothing where there is nothing."""
    bound = signature(init).bind(self, *args, **kwargs)
    given, names = bound.arguments, _names(type(self), bound.arguments)
    tensors = {name: v for name, v in given.items() if name in names and isinstance(v, Tensor)}
    floats = {name: v for name, v in tensors.items() if _floating(type(self).__name__, name, v)}
    dtype = widest(*(v.dtype for v in floats.values()))
    given.update({name: value.to(dtype) for name, value in floats.items()})
    if all(value.numel() for value in tensors.values()):
        return init(*bound.args, **bound.kwargs)
    asked = given.get("validate_args")
    given["validate_args"] = False  # torch's checks cannot reshape a tensor without elements
    init(*bound.args, **bound.kwargs)
    self._validate_args = torch.distributions.Distribution._validate_args if asked is None else asked
    return None


def _names(family: Any, given: dict[str, Any]) -> set[str]:
    """Return which arguments are parameters; where torch computes the constraints from the parameters, all."""
    constraints = family.arg_constraints
    return {*(constraints if isinstance(constraints, dict) else given), *family.own}


def widest(*dtypes: torch.dtype) -> torch.dtype:
    """Return the dtype that holds all of these; torch's default one for none."""
    result = dtypes[0] if dtypes else torch.get_default_dtype()
    for dtype in dtypes[1:]:
        result = torch.promote_types(result, dtype)
    return result


def _floating(who: str, name: str, value: Tensor) -> bool:
    if value.is_floating_point():
        return True
    if name in INTEGERS:
        return False
    raise TypeError(
        f"{who}: {name} must be a tensor of floating point numbers; got {value.dtype}; "
        f"convert it with .to(torch.get_default_dtype())"
    )


def holds(condition: Tensor) -> bool:
    """Return whether all are true, under vmap too, as torch asks it of its own constraints."""
    return bool(torch._is_all_true(condition))


def joined(*values: Any) -> tuple[Tensor, ...]:
    """Return parameters of one shape: torch's `broadcast_all`, without views of tensors that have it already."""
    first = values[0]
    if all(isinstance(v, Tensor) and v.shape == first.shape for v in values):
        return values
    return tuple(broadcast_all(*values))


def checked_shape(value: Tensor, batch: torch.Size, event: torch.Size) -> None:
    """Raise where the shape of a value without elements does not fit a law: the rest of torch's check fails on it."""
    lead = value.ndim - len(event)
    if lead < 0 or value.shape[lead:] != event:
        raise ValueError(
            f"log_prob: value must end with the event shape {tuple(event)}; got {tuple(value.shape)}"
        )
    try:
        torch.broadcast_shapes(value.shape[:lead], batch)
    except RuntimeError as error:
        raise ValueError(
            f"log_prob: value must broadcast with the batch shape {tuple(batch)}; got {tuple(value.shape)}"
        ) from error
