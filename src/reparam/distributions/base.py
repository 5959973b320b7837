"""The contract of a distribution: a map of noise, z = g(eps; phi), with everything torch.distributions promises."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from reparam.distributions.arguments import checked_shape, prepared
from reparam.distributions.narrow import METHODS, cast, round_once, settled, single
from reparam.noise import Noise, NoiseSpec, given


class Distribution(torch.distributions.Distribution):
    """A distribution that says what noise it eats and pushes it: mix in before torch's class of the family.

    Tensor parameters are promoted to the widest of their dtypes, also those without dimensions; numbers follow them.
    bfloat16 and float16 laws compute in float32, on float32 noise, and round once.

    A family gives `rule`, `base_law` and `push`; where its noise is not one number per element also `noise_spec`;
    and, unless its rule is "none", `pathwise`.

        rule "explicit"   g is a formula in eps and phi
             "implicit"   g is a quantile, differentiated by dz/dphi = -(dF/dphi) / p
             "relaxed"    the draw is a continuous stand-in for a discrete one
             "none"       draws cannot be differentiated; gradients come from an estimator
    """

    rule: str = "none"
    base_law: ClassVar[str] = "normal"
    own: ClassVar[tuple[str, ...]] = ()  # parameters that `arg_constraints` does not name
    through_float32: ClassVar[tuple[str, ...]] = METHODS  # what a float32 twin does in half precision

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if isinstance(cls.__dict__.get("rule"), str):
            cls.has_rsample = cls.rule != "none"
        init = next(parent.__dict__["__init__"] for parent in cls.__mro__ if "__init__" in parent.__dict__)
        if init is not torch.distributions.Distribution.__init__:
            cls.__init__ = prepared(init)  # type: ignore[method-assign]
        round_once(cls, cls.through_float32)

    def parameters(self) -> dict[str, Tensor]:
        """Return the parameters that the constructor was given, by name."""
        return {name: self.__dict__[name] for name in self.arg_constraints if name in self.__dict__}

    def noise_spec(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> NoiseSpec:
        """Return the base noise that `push` eats for draws of a sample shape."""
        like = next(iter(self.parameters().values()))
        shape = tuple(self._extended_shape(torch.Size(sample_shape)))
        return NoiseSpec(self.base_law, shape, len(sample_shape), like.dtype, like.device)

    def push(self, eps: Tensor) -> Tensor:
        """Return z = g(eps; phi), a pure function of the noise and the parameters."""
        raise TypeError(f"{type(self).__name__}.push: this family defines no map of noise")

    def rsample(
        self, sample_shape: torch.Size | tuple[int, ...] = (), *, noise: Noise | None = None
    ) -> Tensor:
        """Draw z = g(eps; phi), differentiable in phi; the same numbers as `sample` for the same noise."""
        if self.rule == "none":
            raise NotImplementedError(
                f"{type(self).__name__}.rsample: draws of this family have no derivative; "
                "use sample(), or reparam.expect with an estimator"
            )
        return self.push(self._eps(sample_shape, noise))

    def sample(
        self, sample_shape: torch.Size | tuple[int, ...] = (), *, noise: Noise | None = None
    ) -> Tensor:
        """Draw z = g(eps; phi) without a graph."""
        with torch.no_grad():
            return self.push(self._eps(sample_shape, noise)).detach()  # no_grad leaves forward tangents

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/dphi at fixed noise, evaluated at z = x, for each parameter that was given (shape of x)."""
        raise NotImplementedError(
            f"{type(self).__name__}.pathwise: the rule of this family is {self.rule!r}, so its draws have no "
            "pathwise derivative; use an estimator"
        )

    def _get_checked_instance(self, cls: Any, _instance: Any = None) -> Any:
        # torch compares constructors; ours is the same one, prepared
        if _instance is None and _bare(type(self).__init__) is _bare(cls.__init__):
            return type(self).__new__(type(self))
        return super()._get_checked_instance(cls, _instance)  # type: ignore[no-untyped-call]

    def _as(self, dtype: torch.dtype) -> Any:
        return cast(self, dtype)

    def _point(self, value: Any, method: str) -> Any:
        """Return what a method of the float32 twin reads for a value in half precision."""
        return single(value)

    def _check(self, value: Tensor) -> None:
        if self._validate_args:
            self._validate_sample(value)

    def _validate_sample(self, value: Tensor) -> None:
        if isinstance(value, Tensor) and not value.numel():
            checked_shape(value, self.batch_shape, self.event_shape)
        else:
            super()._validate_sample(settled(value, self.support))  # type: ignore[no-untyped-call]

    def _eps(self, sample_shape: torch.Size | tuple[int, ...], noise: Noise | None) -> Tensor:
        if isinstance(sample_shape, int):
            raise TypeError(
                f"{type(self).__name__}: sample_shape must be a shape; got the int {sample_shape}; "
                f"write ({sample_shape},)"
            )
        return given(noise, type(self).__name__).draw(self.noise_spec(sample_shape))


def _bare(init: Any) -> Any:
    """Return a constructor without its preparations, one for each class on the way."""
    while hasattr(init, "__wrapped__"):
        init = init.__wrapped__
    return init


def result_dtype(a: Tensor, b: Tensor) -> torch.dtype:
    """Return torch.result_type of two tensors of which the first is floating; this one can be traced by a compiler."""
    if a.dtype == b.dtype or not b.is_floating_point():
        return a.dtype
    if (a.ndim == 0) != (b.ndim == 0):
        return b.dtype if a.ndim == 0 else a.dtype
    return torch.promote_types(a.dtype, b.dtype)
