"""Numbers that carry their derivatives along: forward mode for the references, which run below torch's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Dual:
    """A value and its slopes in some directions; the formulas of the references take it in place of a tensor."""

    def __init__(self, value: Tensor, slopes: Sequence[Tensor | float]):
        self.value, self.slopes = value, slopes

    def _joined(self, value: Tensor, own: Tensor | float, other: object, its: Tensor | float) -> Dual:
        """The value, with slopes own * self' + its * other'."""
        if isinstance(other, Dual):
            return Dual(value, [own * s + its * t for s, t in zip(self.slopes, other.slopes)])
        return Dual(value, [own * s for s in self.slopes])

    def __add__(self, other: Dual | Tensor | float) -> Dual:
        return self._joined(self.value + value_of(other), 1.0, other, 1.0)

    def __sub__(self, other: Dual | Tensor | float) -> Dual:
        return self._joined(self.value - value_of(other), 1.0, other, -1.0)

    def __rsub__(self, other: Tensor | float) -> Dual:
        return self._joined(other - self.value, -1.0, None, 0.0)

    def __mul__(self, other: Dual | Tensor | float) -> Dual:
        return self._joined(self.value * value_of(other), value_of(other), other, self.value)

    def __truediv__(self, other: Dual | Tensor | float) -> Dual:
        its = value_of(other)
        ratio = self.value / its
        return self._joined(ratio, 1.0 / its, other, -ratio / its)

    def __rtruediv__(self, other: Tensor | float) -> Dual:
        ratio = other / self.value
        return self._joined(ratio, -ratio / self.value, None, 0.0)

    def __pow__(self, n: int) -> Dual:
        return self._joined(self.value**n, n * self.value ** (n - 1), None, 0.0)

    def __neg__(self) -> Dual:
        return self * -1.0

    def exp(self) -> Dual:
        power = self.value.exp()
        return self._joined(power, power, None, 0.0)

    def log(self) -> Dual:
        return self._joined(self.value.log(), 1.0 / self.value, None, 0.0)

    def log1p(self) -> Dual:
        return self._joined(self.value.log1p(), 1.0 / (1.0 + self.value), None, 0.0)

    __radd__, __rmul__ = __add__, __mul__


def value_of(number: Dual | Tensor | float) -> Tensor | float:
    return number.value if isinstance(number, Dual) else number


def where(condition: Tensor, x: Any, y: Any) -> Any:
    """torch.where for both kinds of number."""
    if not isinstance(x, Dual):
        return torch.where(condition, x, y)
    slopes = [torch.where(condition, s, t) for s, t in zip(x.slopes, y.slopes)]
    return Dual(torch.where(condition, x.value, y.value), slopes)
