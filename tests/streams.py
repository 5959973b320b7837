"""Streams of 32-bit words along every coordinate of the address: what the tests of randomness read.

Neighbours in a stream are neighbours in one coordinate, everything else held fixed, so that a weakness of the
address map (rows that overlap, seeds that correlate) shows as a weakness of a stream. Coordinates that the
library draws one at a time are drawn here in one call by the definition, `kernels.reference.philox`, which the
tests compare with the library word by word.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

import reparam as rp
from reparam.kernels.reference import philox
from reparam.noise import AT, path_digest

SEED = 20_260_101
CHUNK = 1 << 18  # addresses made at a time
ROOT = rp.Noise(SEED).child("quality")


def key_words(keys: Tensor, step: Tensor | int = 0, row: Tensor | int = 0) -> Tensor:
    """Return the four words of block 0 of each key, step and row, one after another."""
    low, high = philox.halves(keys)
    counter = (torch.zeros_like(low), torch.as_tensor(step), *map(torch.as_tensor, philox.halves(row)))
    return torch.stack(torch.broadcast_tensors(*philox.philox4x32(counter, (low, high))), -1).flatten()


def root_key(path: tuple[str | int, ...]) -> Tensor:
    return philox.int64(philox.path_key(SEED, path_digest(path)))


def positions(start: int) -> Tensor:
    """Positions within one row: the words of one long draw, a new step every CHUNK blocks."""
    return ROOT.at(start // CHUNK).bits((4 * CHUNK,))


def rows(start: int) -> Tensor:
    """Adjacent rows, four words each."""
    return ROOT.rows(torch.arange(start, start + CHUNK)).bits((CHUNK, 4)).flatten()


def first_words(start: int) -> Tensor:
    """Adjacent rows, only the first word of each."""
    return ROOT.rows(torch.arange(4 * start, 4 * (start + CHUNK))).bits((4 * CHUNK, 1)).flatten()


def steps(start: int) -> Tensor:
    """Adjacent steps, four words each: noise.at(0), noise.at(1), ..."""
    return key_words(root_key(("quality", AT)), step=torch.arange(start, start + CHUNK))


def nested_steps(start: int) -> Tensor:
    """The outer of two steps: noise.at(0).at(7), noise.at(1).at(7), ..."""
    outer = philox.derive(root_key(("quality", AT)), torch.arange(start, start + CHUNK), philox.NEST_DOMAIN)
    return key_words(philox.path_key(outer, path_digest((AT,))), step=7)


def seeds(start: int) -> Tensor:
    """Adjacent seeds: Noise(0).child("quality"), Noise(1).child("quality"), ..."""
    return key_words(philox.path_key(torch.arange(start, start + CHUNK), path_digest(("quality",))))


def siblings(start: int) -> Tensor:
    """Sibling names: noise.child("0"), noise.child("1"), ..."""
    parent = hashlib.blake2b(part("quality"), digest_size=16)  # the common beginning of all paths
    digests = np.frombuffer(
        b"".join(digest_after(parent, str(k)) for k in range(start, start + CHUNK)), "<u4"
    )
    return key_words(
        philox.path_key(torch.tensor(SEED), tuple(torch.from_numpy(digests.astype("i8")).view(-1, 4).T))
    )


def part(name: str) -> bytes:
    """The name of a child as the hash of a path reads it: `noise.path_digest`."""
    return b"n" + len(name).to_bytes(8, "little") + name.encode()


def digest_after(parent: Any, name: str) -> bytes:
    state = parent.copy()
    state.update(part(name))
    return state.digest()


STREAMS: dict[str, Callable[[int], Tensor]] = {
    "positions": positions,
    "rows": rows,
    "first_words": first_words,
    "steps": steps,
    "nested_steps": nested_steps,
    "seeds": seeds,
    "siblings": siblings,
}


def broken(start: int) -> Tensor:
    """Positions of a row under Philox with 2 rounds for 10: every battery must refuse it."""
    blocks = torch.arange(start, start + CHUNK)
    counter = (blocks, torch.zeros_like(blocks), torch.zeros_like(blocks), torch.zeros_like(blocks))
    with mock.patch.object(philox, "ROUNDS", 2):
        words = philox.philox4x32(counter, philox.halves(root_key(("quality",))))
    return torch.stack(words, -1).flatten()


API = {  # the library's own words of address k, for the coordinates that are made in bulk above
    "steps": lambda k: ROOT.at(k).bits((4,)),
    "nested_steps": lambda k: ROOT.at(k).at(7).bits((4,)),
    "seeds": lambda k: rp.Noise(k).child("quality").bits((4,)),
    "siblings": lambda k: ROOT.child(str(k)).bits((4,)),
}


def make(name: str, start: int = 0) -> Tensor:
    """Return 4 CHUNK words (int64) of a stream, or of the broken generator, from address `start` on."""
    return broken(start) if name == "broken" else STREAMS[name](start)


def chunks(name: str) -> Iterator[np.ndarray]:
    """Yield the words of a stream as uint32 arrays, without end."""
    start = 0
    while True:
        yield make(name, start).numpy().astype(np.uint32)
        start += CHUNK
