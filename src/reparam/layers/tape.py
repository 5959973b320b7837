"""Draws on a tape: noise that writes down what is drawn from it, or hands out what is given instead.

A module that is run with taped noise says, draw by draw, which noise it eats and where it lies. Run again with a
tape of given tensors it is a deterministic function of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from reparam.noise import Noise, NoiseSpec

Move = tuple[str, Any]  # a verb of Noise and its argument, as plain numbers and strings
WHO = "functional"


@dataclass(frozen=True)
class Site(NoiseSpec):
    """The noise of one draw of a module, and the way to its address from the noise that the module is given.

    Example:
        >>> site = Site("normal", (2,), moves=(("child", "z"), ("at", 3)))
        >>> bool((Noise(0).draw(site) == Noise(0).child("z").at(3).normal((2,))).all())
        True
    """

    moves: tuple[Move, ...] = ()

    def place(self, noise: Noise) -> Noise:
        """Return the address of the site."""
        for verb, argument in self.moves:
            noise = step_along(noise, verb, argument)
        return noise


def step_along(noise: Noise, verb: str, argument: Any) -> Noise:
    """Return the noise one move further."""
    if verb == "split":
        return noise.split(argument + 1)[argument]
    return getattr(noise, verb)(*(() if argument is None else (argument,)))


class Tape(Protocol):
    """What taped noise asks for its numbers."""

    def take(self, noise: "Taped", asked: NoiseSpec) -> Tensor:
        """Return the numbers of a draw."""


@dataclass(frozen=True, eq=False, repr=False)
class Taped(Noise):
    """Noise whose draws are taken from a tape; it behaves as `real` does, where there is one.

    Attributes:
        label: names of the moves so far, for people.
        moves: the moves so far.
    """

    seed: int | Tensor = 0
    tape: Tape | None = None
    real: Noise | None = None
    label: tuple[str, ...] = ()
    moves: tuple[Move, ...] = ()

    def child(self, name: str) -> Noise:
        """Return the noise of a named part."""
        return self._along("child", name, name)

    def at(self, step: int | Tensor) -> Noise:
        """Return the noise of a step."""
        return self._along("at", step, "step" if isinstance(step, Tensor) else f"step{step}")

    def split(self, n: int) -> tuple[Noise, ...]:
        """Return n independent children."""
        return tuple(self._along("split", k, f"split{k}") for k in range(n))

    def replicates(self, n: int) -> tuple[Noise, ...]:
        """Return n independent copies of a scheme."""
        return self.split(n)

    def rows(self, index: Tensor | Sequence[int]) -> Noise:
        """Return noise with row labels."""
        return self._along("rows", index, "", index=torch.as_tensor(index))

    def without_rows(self) -> Noise:
        """Return the noise without row labels."""
        return self._along("without_rows", None, "", index=None)

    def antithetic(self) -> Noise:
        """Return noise whose samples come in pairs."""
        return self._along("antithetic", None, "")

    def stratified(self) -> Noise:
        """Return noise whose samples are a Latin hypercube."""
        return self._along("stratified", None, "")

    def sobol(self) -> Noise:
        """Return noise whose samples are a Sobol sequence."""
        return self._along("sobol", None, "")

    def _along(self, verb: str, argument: Any, label: str, **index: Tensor | None) -> "Taped":
        real = None if self.real is None else step_along(self.real, verb, argument)
        return Taped(
            index=index.get("index", self.index),
            tape=self.tape,
            real=real,
            label=(*self.label, label) if label else self.label,
            moves=(*self.moves, (verb, argument)),
        )

    def _draw(self, law: str, shape: Any, dtype: Any, device: Any, sample_ndim: int = 0) -> Tensor:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        dtype = torch.get_default_dtype() if dtype is None else dtype
        assert self.tape is not None
        return self.tape.take(self, NoiseSpec(law, shape, sample_ndim, dtype, torch.device(device)))


@dataclass(frozen=True)
class Drawn:
    """One draw as it was recorded: the name of its noise, the label of its address, the law and the dtype."""

    name: str
    label: tuple[str, ...]
    law: str
    dtype: torch.dtype


@dataclass
class Recorder:
    """A tape that draws from real noise and writes down each draw.

    Attributes:
        sites: name -> what is drawn there. Draws that are equal in address, law, shape and dtype are one noise.
        order: every draw.
    """

    sites: dict[str, Site] = field(default_factory=dict)
    order: list[Drawn] = field(default_factory=list)

    def take(self, noise: Taped, asked: NoiseSpec) -> Tensor:
        """Return a draw from the real noise."""
        assert noise.real is not None
        value = noise.real._draw(asked.law, asked.shape, asked.dtype, asked.device, asked.sample_ndim)
        site = Site(
            asked.law, asked.shape, asked.sample_ndim, asked.dtype, asked.device, plain_moves(noise.moves)
        )
        name = next((known for known, other in self.sites.items() if other == site), None)
        if name is None:
            name = self._free(noise.label)
            self.sites[name] = site
        self.order.append(Drawn(name, noise.label, asked.law, asked.dtype))
        return value

    def _free(self, label: tuple[str, ...]) -> str:
        """Return a name for a label that no other noise has: with a number from its second use on."""
        base = ".".join(label) or "noise"
        name, count = base, 1
        while name in self.sites:
            count += 1
            name = f"{base}_{count}"
        return name


@dataclass
class Player:
    """A tape that hands out given noise, in the order that was recorded."""

    order: Sequence[Drawn]
    eps: Mapping[str, Tensor]
    position: int = 0

    def take(self, noise: Taped, asked: NoiseSpec) -> Tensor:
        """Return the noise of the next draw, as it is."""
        if self.position == len(self.order) or not self._fits(self.order[self.position], noise, asked):
            raise ValueError(
                f"{WHO}: the module must draw as it did on the example inputs; got a {asked.law} draw at "
                f"{'.'.join(noise.label) or 'the root'}, where {self._expected()}; take `functional` again for the "
                "mode or the control flow that you want"
            )
        name = self.order[self.position].name
        self.position += 1
        value = self.eps[name]
        if tuple(value.shape) != tuple(asked.shape) or value.dtype != asked.dtype:
            raise ValueError(
                f"{WHO}: eps[{name!r}] must have shape {tuple(asked.shape)} and dtype {asked.dtype}; got "
                f"{tuple(value.shape)} and {value.dtype}"
            )
        if value.device.type != torch.device(asked.device).type:
            raise ValueError(
                f"{WHO}: eps[{name!r}] must be on {asked.device}; got {value.device}; move it there"
            )
        return value

    def finish(self) -> None:
        """Raise unless every draw was made."""
        if self.position < len(self.order):
            raise ValueError(
                f"{WHO}: the module must draw as it did on the example inputs; got no draw where {self._expected()}; "
                "take `functional` again for the mode or the control flow that you want"
            )

    def _fits(self, drawn: Drawn, noise: Taped, asked: NoiseSpec) -> bool:
        return (drawn.label, drawn.law, drawn.dtype) == (noise.label, asked.law, asked.dtype)

    def _expected(self) -> str:
        if self.position == len(self.order):
            return "nothing more was drawn"
        drawn = self.order[self.position]
        return f"{drawn.law} noise was drawn for {drawn.name!r}"


def plain_moves(moves: tuple[Move, ...]) -> tuple[Move, ...]:
    """Return moves with tensors as numbers, so that they compare and hash by value."""
    return tuple((verb, _plain(verb, argument)) for verb, argument in moves)


def _plain(verb: str, argument: Any) -> Any:
    value: Any = argument.tolist() if isinstance(argument, Tensor) else argument
    if verb == "at":
        return value % (1 << 64)
    return tuple(value) if isinstance(value, list) else value
