"""Noise is a value with an address: the same address gives the same numbers, anywhere and in any order.

    Noise(seed).child("encoder").at(step).rows(index).normal(shape)

An address is a seed, a path of names, a step and row numbers. It is mapped onto the counter-based generator
Philox4x32-10: key = first 64 bits of Philox(key = seed, counter = BLAKE2b-128(path)); counter = (row, step,
block within the row). Nothing is global and nothing has a state: a draw is a pure function.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from reparam.kernels import select
from reparam.kernels.reference.laws import UNIFORM_BITS
from reparam.kernels.reference.philox import NEST_DOMAIN, int64, multiply_high

LAWS = ("uniform", "normal", "gumbel", "exponential", "logistic", "laplace", "cauchy", "rademacher")
BIT_TYPES = (torch.int64, torch.int32, torch.uint32)
SEED_LIMIT = 1 << 64


@dataclass(frozen=True)
class NoiseSpec:
    """What noise a map eats: a base law, a shape, how many leading axes are sample axes, dtype and device."""

    law: str
    shape: tuple[int, ...]
    sample_ndim: int = 0
    dtype: torch.dtype = torch.float32
    device: torch.device | str = "cpu"

    def place(self, noise: "Noise") -> "Noise":
        """Return where to draw, from the noise that is given: there; `layers.tape.Site` knows a way from it."""
        return noise


@lru_cache(maxsize=4096)
def path_digest(path: tuple[str | int, ...]) -> tuple[int, int, int, int]:
    """Return BLAKE2b-128 of a path as four 32-bit words; names, splits and steps cannot be confused."""
    encoded = b""
    for part in path:
        kind, text = (b"n", part.encode()) if isinstance(part, str) else (b"i", str(part).encode())
        encoded += kind + len(text).to_bytes(8, "little") + text
    digest = hashlib.blake2b(encoded, digest_size=16).digest()
    first, second, third, fourth = (int.from_bytes(digest[k : k + 4], "little") for k in (0, 4, 8, 12))
    return first, second, third, fourth


@lru_cache(maxsize=4096)
def integer_key(seed: int, path: tuple[str | int, ...]) -> int:
    """Return the 64-bit key of an integer seed and a path."""
    return select.integer_key(seed, path_digest(path))


@torch.compiler.assume_constant_result
def traced_digest(path: tuple[str | int, ...]) -> tuple[int, int, int, int]:
    """Return `path_digest(path)` as a constant of the graph: a path names parts of a program, not data."""
    return path_digest(path)


AT = -1  # the part of a path that says "a step follows", so that n and n.at(0) differ


@dataclass(frozen=True, eq=False)
class Noise:
    """An immutable address of noise.

    Args:
        seed: 64 bits: an int in [0, 2^64), or a 0-d int64 tensor, whose 64 bits all matter.

    Draws have independent entries of the named law, exact up to the grid of the words: 32 bits for float32
    and narrower types, 64 bits for float64, so that |normal| < 6.34 in float32 and < 9.16 in float64.

    Example:
        >>> noise = Noise(0).child("encoder")
        >>> bool((noise.normal((2, 3)) == noise.normal((5, 3))[:2]).all())
        True
    """

    seed: int | Tensor
    path: tuple[str | int, ...] = ()
    step: int | Tensor = 0
    index: Tensor | None = None

    def __post_init__(self) -> None:
        _check_integer("Noise", "seed", self.seed)

    @classmethod
    def from_generator(cls, generator: torch.Generator) -> "Noise":
        """Return noise whose seed is the next 64 bits of a torch generator, which moves on."""
        if not isinstance(generator, torch.Generator):
            raise TypeError(
                f"Noise.from_generator: generator must be a torch.Generator; got {type(generator).__name__}; "
                "for an integer seed write Noise(seed)"
            )
        return cls(_random_seed(generator))

    def child(self, name: str) -> "Noise":
        """Return the noise of a named part; different names are independent streams."""
        if not isinstance(name, str):
            raise TypeError(
                f"Noise.child: name must be a string; got {type(name).__name__}; for a number write at(k) or split(n)"
            )
        return self._extend(name)

    def at(self, step: int | Tensor) -> "Noise":
        """Return the noise of a step (0 <= step < 2^64, or an int64 tensor); steps nest: at(i).at(k)."""
        _check_integer("Noise.at", "step", step)
        if self.path[-1:] == (AT,):
            further = self._extend(AT)
            return self._moved(further.seed, further.path, step, further.index)
        return self._moved(self.seed, (*self.path, AT), step, self.index)

    def split(self, n: int) -> tuple["Noise", ...]:
        """Return n independent children; a larger n keeps the first ones."""
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise ValueError(f"Noise.split: n must be a count of children, 0 or more; got {n!r}")
        return tuple(self._extend(k) for k in range(n))

    def rows(self, index: Tensor | Sequence[int]) -> "Noise":
        """Return noise whose draws are labelled, along the first batch axis, by the row numbers `index`.

        Row i holds the same numbers in whatever batch it stands. `index` is int64 of shape (B,), or () when a
        whole draw is one row.
        """
        if self.index is not None:
            raise ValueError(
                "Noise.rows: this noise has rows already; got a second `rows`; label the rows once, "
                "after the children and steps"
            )
        index = index if isinstance(index, Tensor) else torch.as_tensor(index, device="cpu")
        if index.dtype != torch.int64 or index.ndim > 1:
            raise TypeError(
                f"Noise.rows: index must be int64 of shape (B,) or (); got {index.dtype} of shape "
                f"{tuple(index.shape)}; convert it with index.long()"
            )
        return self._moved(self.seed, self.path, self.step, index)

    def without_rows(self) -> "Noise":
        """Return the noise without row labels, for what a whole batch shares."""
        return self if self.index is None else self._moved(self.seed, self.path, self.step, None)

    def _extend(self, part: str | int) -> "Noise":
        """Return the address one part further; a step that another part follows moves into the seed."""
        if self.path[-1:] == (AT,):
            nested = select.derive(self._path_key(), self.step, NEST_DOMAIN)
            return self._moved(nested, (part,), 0, self.index)
        return self._moved(self.seed, (*self.path, part), self.step, self.index)

    def _moved(self, seed: Any, path: tuple[str | int, ...], step: Any, index: Tensor | None) -> "Noise":
        if torch.compiler.is_compiling():
            return Noise(seed, path, step, index)
        moved = object.__new__(Noise)  # what is valid already is not checked again
        moved.__dict__.update(seed=seed, path=path, step=step, index=index)
        return moved

    def _path_key(self) -> int | Tensor:
        if torch.compiler.is_compiling():
            seed = self.seed if isinstance(self.seed, Tensor) else int64(self.seed)
            return select.path_key(seed, traced_digest(self.path))
        if isinstance(self.seed, int):
            return integer_key(self.seed, self.path)
        return select.path_key(self.seed, path_digest(self.path))

    def antithetic(self) -> "Noise":
        """Return noise whose samples come in pairs u, 1 - u; of an odd number the last stands alone."""
        return _scheme(self, "antithetic")

    def stratified(self) -> "Noise":
        """Return noise whose samples are a Latin hypercube: one in each S-th of the law, in every coordinate."""
        return _scheme(self, "stratified")

    def sobol(self) -> "Noise":
        """Return noise whose samples are a randomly shifted Sobol sequence, best where S is a power of two."""
        return _scheme(self, "sobol")

    def bits(
        self,
        shape: Sequence[int] | int = (),
        *,
        dtype: torch.dtype = torch.int64,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Draw raw 32-bit words, one per element; in [0, 2^32) as int64 (default) or uint32, or as int32."""
        if dtype not in BIT_TYPES:
            raise TypeError(f"Noise.bits: dtype must be int64, uint32 or int32; got {dtype}")
        return self._draw("bits", shape, dtype, device)

    def uniform(self, shape: Sequence[int] | int = (), *, dtype: Any = None, device: Any = "cpu") -> Tensor:
        """Draw from the uniform law on the open interval (0, 1)."""
        return self._draw("uniform", shape, dtype, device)

    def normal(self, shape: Sequence[int] | int = (), *, dtype: Any = None, device: Any = "cpu") -> Tensor:
        """Draw from the standard normal law N(0, 1), as Phi^{-1}(u)."""
        return self._draw("normal", shape, dtype, device)

    def gumbel(self, shape: Sequence[int] | int = (), *, dtype: Any = None, device: Any = "cpu") -> Tensor:
        """Draw from the standard Gumbel law, -log(-log u)."""
        return self._draw("gumbel", shape, dtype, device)

    def exponential(
        self, shape: Sequence[int] | int = (), *, dtype: Any = None, device: Any = "cpu"
    ) -> Tensor:
        """Draw from the exponential law of rate 1, -log(1 - u)."""
        return self._draw("exponential", shape, dtype, device)

    def logistic(self, shape: Sequence[int] | int = (), *, dtype: Any = None, device: Any = "cpu") -> Tensor:
        """Draw from the standard logistic law, log(u / (1 - u))."""
        return self._draw("logistic", shape, dtype, device)

    def laplace(self, shape: Sequence[int] | int = (), *, dtype: Any = None, device: Any = "cpu") -> Tensor:
        """Draw from the Laplace law of location 0 and scale 1."""
        return self._draw("laplace", shape, dtype, device)

    def cauchy(self, shape: Sequence[int] | int = (), *, dtype: Any = None, device: Any = "cpu") -> Tensor:
        """Draw from the standard Cauchy law, tan(pi (u - 1/2))."""
        return self._draw("cauchy", shape, dtype, device)

    def rademacher(
        self, shape: Sequence[int] | int = (), *, dtype: Any = None, device: Any = "cpu"
    ) -> Tensor:
        """Draw -1 or +1 with probability 1/2 each."""
        return self._draw("rademacher", shape, dtype, device)

    def randint(
        self,
        low: int,
        high: int,
        shape: Sequence[int] | int = (),
        *,
        dtype: Any = torch.int64,
        device: Any = "cpu",
    ) -> Tensor:
        """Draw integers in [low, high), floor(w (high - low) / 2^64) + low for a 64-bit word w.

        The probability of a value differs from 1 / (high - low) by at most 2^-64.
        """
        if not (isinstance(low, int) and isinstance(high, int) and -(1 << 63) <= low < high <= 1 << 63):
            raise ValueError(
                f"Noise.randint: low, high must be ints, -2^63 <= low < high <= 2^63; got {low!r}, {high!r}"
            )
        if high - low >= 1 << 63:
            raise ValueError(f"Noise.randint: high - low must be below 2^63; got {high - low}")
        info = torch.iinfo(dtype) if not dtype.is_floating_point and dtype != torch.bool else None
        if info is None or low < info.min or high - 1 > info.max:
            raise TypeError(
                f"Noise.randint: dtype must be an integer type that holds [{low}, {high}); got {dtype}"
            )
        words = self._draw("bits64", shape, torch.int64, device)
        return (multiply_high(words, high - low) + low).to(dtype)

    def permutation(self, n: int, *, device: torch.device | str = "cpu") -> Tensor:
        """Draw a permutation of 0 .. n-1 (int64): the order of n 64-bit words."""
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise ValueError(f"Noise.permutation: n must be a length, 0 or more; got {n!r}")
        if self.index is not None:
            raise ValueError(
                "Noise.permutation: a permutation has no rows; got noise with rows; draw it without"
            )
        return torch.argsort(self._draw("bits64", (n,), torch.int64, device), stable=True)

    def draw(self, spec: NoiseSpec) -> Tensor:
        """Draw what a noise spec asks for; with rows, `index` labels the first axis after the sample axes."""
        noise = spec.place(self)
        if spec.law == "bits":
            return noise.bits(spec.shape, dtype=spec.dtype, device=spec.device)
        if spec.law not in LAWS and (spec.law, spec.dtype) != ("bits64", torch.int64):
            raise ValueError(f"Noise.draw: law must be one of {', '.join(LAWS)}; got {spec.law!r}")
        return noise._draw(spec.law, spec.shape, spec.dtype, spec.device, spec.sample_ndim)

    def _draw(
        self,
        law: str,
        shape: Sequence[int] | int,
        dtype: torch.dtype | None,
        device: torch.device | str,
        sample_ndim: int = 0,
    ) -> Tensor:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        dtype = torch.get_default_dtype() if dtype is None else dtype
        if law in LAWS and dtype not in UNIFORM_BITS:
            raise TypeError(
                f"Noise.{law}: dtype must be float64, float32, float16 or bfloat16; got {dtype}; "
                "draw float32 and round"
            )
        if self.index is not None:
            check_rows(law, shape, sample_ndim, self.index)
        device = device if isinstance(device, torch.device) else torch.device(device)
        return select.draw(law, self._path_key(), self.step, self.index, shape, sample_ndim, dtype, device)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Noise):
            return NotImplemented
        if type(self) is not type(other):
            return False
        pairs = ((self.seed, other.seed), (self.step, other.step), (self.index, other.index))
        return self.path == other.path and all(_same(a, b) for a, b in pairs)

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        text = f"Noise({_short(self.seed)})"
        for part in self.path:
            if part == AT:
                text += f".at({_short(self.step)})"
            else:
                text += f".child({part!r})" if isinstance(part, str) else f".split(...)[{part}]"
        return text if self.index is None else f"{text}.rows(<{tuple(self.index.shape)}>)"


def _scheme(noise: Noise, kind: str) -> Noise:
    schemes = import_module("reparam.schemes")  # when asked for: it builds on this module
    return schemes.Scheme(noise.seed, noise.path, noise.step, noise.index, kind)


def given(noise: Noise | None, who: str) -> Noise:
    """Return the caller's noise, or, when there is none, fresh noise seeded by torch's global generator."""
    if noise is None:
        return Noise(_random_seed(None))
    if not isinstance(noise, Noise):
        raise TypeError(
            f"{who}: noise must be a reparam.Noise or None; got {type(noise).__name__}; write reparam.Noise(seed)"
        )
    return noise


@contextmanager
def seeded_torch(noise: Noise) -> Iterator[None]:
    """Run a block with torch's global generator seeded from the noise, and put the generator back as it was.

    This is how modules are built: torch.nn.init draws from the global generator and knows nothing else.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(noise.bits(()).item()) << 31 ^ int(noise.child("high").bits(()).item()))
        yield


def reseed_torch(seed: int) -> None:
    """Seed torch's global generators in place, for code that draws from them; the caller puts their state back."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


def _random_seed(generator: torch.Generator | None) -> int:
    device = "cpu" if generator is None else generator.device
    low, high = torch.randint(
        0, 1 << 32, (2,), dtype=torch.int64, generator=generator, device=device
    ).tolist()
    return high << 32 | low


def _check_integer(who: str, what: str, value: object) -> None:
    if isinstance(value, Tensor):
        if value.dtype != torch.int64 or value.ndim != 0:
            raise TypeError(
                f"{who}: a tensor {what} must be int64 of shape (); got {value.dtype} of "
                f"shape {tuple(value.shape)}"
            )
    elif isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{who}: {what} must be an int or a 0-d int64 tensor; got {type(value).__name__}")
    elif not 0 <= value < SEED_LIMIT:
        raise ValueError(f"{who}: {what} must be in [0, 2^64); got {value}")


def check_rows(law: str, shape: tuple[int, ...], sample_ndim: int, index: Tensor) -> None:
    if index.ndim == 0:
        return
    if len(shape) <= sample_ndim:
        raise ValueError(
            f"Noise.{law}: with rows, a draw needs a batch axis; got shape {shape} with {sample_ndim} "
            "sample axes; draw noise that the whole batch shares without rows"
        )
    if shape[sample_ndim] != len(index):
        raise ValueError(
            f"Noise.{law}: the first batch axis must have one entry per row number; got shape {shape} "
            f"(batch axis {sample_ndim}) for {len(index)} rows; pass the indices of this batch to rows()"
        )


def _same(a: object, b: object) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.equal(a, b)
    return not isinstance(a, Tensor) and not isinstance(b, Tensor) and a == b


def _short(value: int | Tensor) -> str:
    return "<tensor>" if isinstance(value, Tensor) else str(value)


__all__ = ["Noise", "NoiseSpec", "given", "reseed_torch", "seeded_torch"]
