"""Run the user's loss: at an address of noise, at displaced parameters, and leave everything as it was found.

Draw k of `loss(noise)` gets noise.at(k); a callable without parameters draws from torch's global generator, which is
forked and seeded from the same address. The same k means the same randomness, at whatever parameters.
"""

import functools
import inspect
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reparam.check.wide import Twin
from reparam.noise import Noise, reseed_torch

Loss = Callable[..., Tensor]
Params = Tensor | Sequence[Tensor] | Mapping[str, Tensor] | nn.Module
DISPLACED = (ValueError, ArithmeticError, RuntimeError)  # what a loss may raise outside its domain
AGREE = 1e-4  # largest difference of the values of a loss and its float64 twin, in units of the value
DRAWS_OF_TWIN = 3  # draws at which they are compared


class OutOfTime(Exception):
    """The time of the check is over."""


def named_parameters(params: Params, who: str) -> dict[str, Tensor]:
    """Return the leaves to be checked by name, or raise."""
    if isinstance(params, nn.Module):
        named: dict[str, Any] = {name: p for name, p in params.named_parameters() if p.requires_grad}
    elif isinstance(params, Tensor):
        named = {"params": params}
    elif isinstance(params, Mapping):
        named = {str(name): p for name, p in params.items()}
    elif isinstance(params, Sequence) and not isinstance(params, str):
        named = {str(i): p for i, p in enumerate(params)}
    else:
        raise TypeError(
            f"{who}: params must be a tensor, a sequence or dict of tensors, or a Module; got "
            f"{type(params).__name__}; pass the leaves that the loss depends on"
        )
    if not named:
        raise ValueError(f"{who}: params must hold a parameter that requires grad; got none")
    for name, p in named.items():
        _check_leaf(name, p, who)
    if len({id(p) for p in named.values()}) < len(named):
        raise ValueError(f"{who}: params must be different tensors; got one tensor under two names")
    return named


def _check_leaf(name: str, p: Any, who: str) -> None:
    if not isinstance(p, Tensor):
        raise TypeError(f"{who}: params[{name}] must be a tensor; got {type(p).__name__}")
    if not p.is_floating_point():
        raise TypeError(f"{who}: params[{name}] must be real floating point; got {p.dtype}")
    if not p.requires_grad:
        raise ValueError(
            f"{who}: params[{name}] must require grad; got requires_grad=False; "
            "call requires_grad_() on it, or leave it out"
        )
    if not p.is_leaf:
        raise ValueError(
            f"{who}: params[{name}] must be a leaf; got the result of {p.grad_fn}; "
            "pass the tensor that it was computed from, or detach().requires_grad_() before the loss uses it"
        )
    if p.numel() == 0 or not bool(torch.isfinite(p).all()):
        raise ValueError(f"{who}: params[{name}] must be finite and not empty; got shape {tuple(p.shape)}")


def takes_noise(loss: Loss, who: str) -> bool:
    """Say whether a loss is called as loss(noise) rather than loss()."""
    if not callable(loss):
        raise TypeError(f"{who}: loss must be callable, loss(noise) or loss(); got {type(loss).__name__}")
    try:
        function = loss.forward if isinstance(loss, nn.Module) else loss
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return True
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [p.name for p in parameters.values() if p.kind in kinds and p.default is p.empty]
    if len(required) > 1:
        raise TypeError(
            f"{who}: loss must take the noise and nothing else; got required parameters {', '.join(required)}; "
            "bind the others with functools.partial or a lambda"
        )
    return bool(required) or "noise" in parameters


class Runner:
    """The loss of the user as a function of (draw k, displaced parameters)."""

    def __init__(self, loss: Loss, params: Params, noise: Noise, who: str):
        self.who, self.loss, self.noise = who, loss, noise
        self.named = named_parameters(params, who)
        self.names = list(self.named)
        self.tensors = list(self.named.values())
        self.data = [p.data for p in self.tensors]
        self.base = [p.detach().clone() for p in self.tensors]
        self.with_noise = {loss: takes_noise(loss, who)}
        self.buffers = [b for m in modules_of(loss, params) for b in m.buffers()]
        self.kept = [b.clone() for b in self.buffers]
        self.seed = int(noise.child("torch").bits(()).item())
        self.everywhere = False  # also seed numpy and random
        self.graph_free: dict[Loss, bool] = {}
        self.twin: Twin | None = None
        self.origin, self.moving = self.base, self.data  # displaced values: from where, and what is moved
        self.deadline = float("inf")

    @property
    def size(self) -> int:
        """Return the number of parameters."""
        return sum(p.numel() for p in self.tensors)

    def in_time(self) -> None:
        """Raise OutOfTime past the deadline."""
        if time.perf_counter() > self.deadline:
            raise OutOfTime

    def add(self, loss: Loss) -> None:
        """Admit a second objective, evaluated at the same draws."""
        self.with_noise[loss] = takes_noise(loss, self.who)
        buffers = [b for m in modules_of(loss, ()) for b in m.buffers()]
        new = [b for b in buffers if all(b is not known for known in self.buffers)]
        self.buffers += new
        self.kept += [b.clone() for b in new]

    def call(self, loss: Loss, k: int, noise: Noise | None = None) -> Tensor:
        """Return loss at draw k of the noise (its own by default), checked to be one real number."""
        for buffer, kept in zip(self.buffers, self.kept):
            buffer.data.copy_(kept)
        seed = _mixed(self.seed + k)
        reseed_torch(seed)
        if self.everywhere:
            random.seed(seed)
            np.random.seed(seed)
        value = loss((noise or self.noise).at(k)) if self.with_noise[loss] else loss()
        if not isinstance(value, Tensor) or value.numel() != 1 or not value.is_floating_point():
            got = (
                f"shape {tuple(value.shape)}, {value.dtype}"
                if isinstance(value, Tensor)
                else type(value).__name__
            )
            raise ValueError(
                f"{self.who}: loss must return one real number as a tensor; got {got}; take its mean over the batch"
            )
        return value

    def gradient(self, k: int) -> tuple[float, list[np.ndarray]]:
        """Return the value and the autograd gradient of draw k, one flat float64 array per block."""
        self.in_time()
        with torch.enable_grad():
            value = self.call(self.loss, k)
            grads = (
                torch.autograd.grad(value.reshape(()), self.tensors, allow_unused=True)
                if value.requires_grad
                else [None] * len(self.tensors)
            )
        number = value.item()
        flat = [
            np.zeros(p.numel())
            if g is None
            else g.detach().to_dense().reshape(-1).to("cpu", torch.float64).numpy()
            for g, p in zip(grads, self.tensors)
        ]
        if not np.isfinite(number):
            raise ValueError(f"{self.who}: loss must be finite; got {number} at draw {k}; look at its inputs")
        for name, g in zip(self.names, flat):
            if not np.isfinite(g).all():
                raise ValueError(
                    f"{self.who}: the gradient must be finite; got nan or inf in {name} at draw {k}; "
                    "look for a square root or a logarithm at 0"
                )
        return number, flat

    def value(self, loss: Loss, k: int) -> float:
        """Return the value of draw k, of the twin where there is one."""
        self.in_time()
        if self.twin is None:
            return self._value(loss, k, None)
        with self.twin.swapped():
            return self._value(loss, k, self.twin.noise)

    def _value(self, loss: Loss, k: int, noise: Noise | None) -> float:
        if loss not in self.graph_free:
            self.graph_free[loss] = self._same_without_graph(loss, k, noise)
        with torch.no_grad() if self.graph_free[loss] else torch.enable_grad():
            return self.call(loss, k, noise).item()

    def _same_without_graph(self, loss: Loss, k: int, noise: Noise | None) -> bool:
        with torch.enable_grad():
            expected = self.call(loss, k, noise).item()
        try:
            with torch.no_grad():
                return self.call(loss, k, noise).item() == expected
        except RuntimeError:
            return False

    def displaced(self, loss: Loss, k: int, direction: Mapping[int, Tensor], length: float) -> float:
        """Return the value of draw k with blocks moved by length times their v; nan where the loss is not defined."""
        for i, v in direction.items():
            torch.add(self.origin[i], v, alpha=length, out=self.moving[i])
        try:
            return self.value(loss, k)
        except DISPLACED:
            return float("nan")
        finally:
            for i in direction:
                self.moving[i].copy_(self.origin[i])

    def widen(self, loss: Loss) -> bool:
        """Take values from float64 twins from now on, if the twin of `loss` gives its values; say so."""
        if any(p.dtype is not torch.float32 for p in self.tensors):
            return False
        moves: list[dict[int, Tensor]] = [
            {},
            *({i: 0.1 * base if base.any() else base + 0.01} for i, base in enumerate(self.base)),
        ]
        plain = np.array(self._values_moved(loss, moves))
        self.twin = Twin(self.tensors, self.buffers, self.noise)
        self.origin, self.moving = [base.double() for base in self.base], self.twin.data
        try:
            with self.twin.swapped():
                wide = self.call(loss, 0, self.twin.noise).dtype is torch.float64
            twin = np.array(self._values_moved(loss, [{i: v.double() for i, v in m.items()} for m in moves]))
            allowed = np.minimum(AGREE * abs(plain), 0.05 * abs(plain - plain[:1]) + 1e-6 * abs(plain))
            agrees = wide and bool((abs(twin - plain)[0] <= AGREE * abs(plain[0])).all())
            agrees = agrees and bool((abs(twin - plain)[1:] <= allowed[1:]).all())
        except Exception as error:  # whatever a loss does not allow in float64, it allows in float32
            if isinstance(error, OutOfTime):
                raise
            agrees = False
        if not agrees:
            self.narrow()
        self.graph_free.clear()
        return agrees

    def narrow(self) -> None:
        """Take values from the loss itself again."""
        self.twin, self.origin, self.moving = None, self.base, self.data
        self.graph_free.clear()

    def _values_moved(self, loss: Loss, moves: list[dict[int, Tensor]]) -> list[list[float]]:
        return [[self.displaced(loss, k, move, 1.0) for k in range(DRAWS_OF_TWIN)] for move in moves]

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """Put back generators, buffers and parameters at the end, whatever happens."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        states = torch.get_rng_state(), np.random.get_state(), random.getstate()
        try:
            yield
        finally:
            torch.set_rng_state(states[0])
            np.random.set_state(states[1])
            random.setstate(states[2])
            if cuda:
                torch.cuda.set_rng_state_all(cuda)
            for buffer, kept in zip(self.buffers, self.kept):
                buffer.data.copy_(kept)
            for data, base in zip(self.data, self.base):
                data.copy_(base)

    def repeats(self) -> bool:
        """Say whether a draw has the same value twice; numpy and random are seeded too if that is what it takes."""
        for self.everywhere in (False, True):
            if self.call(self.loss, 0).item() == self.call(self.loss, 0).item():
                return True
        return False


def modules_of(loss: Any, params: Any) -> list[nn.Module]:
    """Return the modules that a call of the loss can be seen to use: their buffers are put back."""
    seen: list[Any] = [params, loss, getattr(loss, "__self__", None), getattr(loss, "__wrapped__", None)]
    if isinstance(loss, functools.partial):
        seen += [loss.func, getattr(loss.func, "__self__", None), *loss.args, *loss.keywords.values()]
    function = getattr(loss, "__func__", loss)
    for cell in getattr(function, "__closure__", None) or ():
        try:
            seen.append(cell.cell_contents)
        except ValueError:  # a name not yet bound
            continue
    code = getattr(function, "__code__", None)
    if code is not None:
        seen += [function.__globals__.get(name) for name in code.co_names]
    return list({id(m): m for m in seen if isinstance(m, nn.Module)}.values())


def _mixed(k: int) -> int:
    """Return a bijection of 32-bit words that leaves no neighbours: distinct draws have distinct, unrelated seeds."""
    k &= 0xFFFFFFFF
    k = ((k >> 16) ^ k) * 0x45D9F3B & 0xFFFFFFFF
    k = ((k >> 16) ^ k) * 0x45D9F3B & 0xFFFFFFFF
    return (k >> 16) ^ k
