"""The split and the order of batches are pure functions of their addresses."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reparam.data import DataError, batch_indices, batches_per_epoch, epoch_order, locate, split
from reparam.noise import Noise


@settings(max_examples=40, deadline=None)
@given(n=st.integers(3, 400), seed=st.integers(0, 2**64 - 1))
def test_the_parts_cover_everything_once(n, seed):
    parts = split(n, seed)
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(n))
    train, validation, test = map(len, parts)
    assert validation == test == max(1, round(n / 10))
    assert train >= 1
    assert all(part.dtype == torch.int64 and torch.equal(part, part.sort().values) for part in parts)


def test_the_split_is_fixed_by_the_seed_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = split(1797, 3)
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(first, split(1797, Noise(3)), strict=True))
    assert not torch.equal(first[2], split(1797, 4)[2])
    torch.manual_seed(1)
    split(1797, 3)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_examples_are_refused(n):
    with pytest.raises(DataError, match=f"at least 3 examples.*got {n}"):
        split(n, 0)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 300), size=st.integers(1, 64), epoch=st.integers(0, 2**33))
def test_batches_are_the_epochs_order_in_pieces(n, size, epoch):
    pieces = list(batch_indices(n, size, 7, epoch))
    assert torch.equal(torch.cat(pieces), epoch_order(n, 7, epoch))
    assert torch.equal(torch.cat(pieces).sort().values, torch.arange(n))
    assert len(pieces) == batches_per_epoch(n, size)
    assert all(len(p) == size for p in pieces[:-1])
    assert 1 <= len(pieces[-1]) <= size


def test_epochs_and_seeds_differ():
    orders = [epoch_order(50, seed, epoch) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert len({tuple(order.tolist()) for order in orders}) == 6
    assert not torch.equal(epoch_order(50, 0, 0), torch.arange(50))


def test_resuming_anywhere_sees_the_same_batches():
    n, size, epochs = 50, 8, 3
    whole = [index for epoch in range(epochs) for index in batch_indices(n, size, 0, epoch)]
    for step in range(len(whole) + 1):
        epoch, first = locate(step, n, size)
        rest = [
            index
            for e in range(epoch, epochs)
            for index in batch_indices(n, size, 0, e, first=first if e == epoch else 0)
        ]
        assert len(rest) == len(whole) - step
        assert all(torch.equal(a, b) for a, b in zip(whole[step:], rest, strict=True))


def test_bad_counts_are_refused():
    for call in (
        lambda: batches_per_epoch(0, 4),
        lambda: batches_per_epoch(4, 0),
        lambda: batch_indices(10, 4, 0, 0, first=4),
        lambda: batch_indices(10, 4, 0, 0, first=-1),
        lambda: epoch_order(10, 0, -1),
        lambda: locate(-1, 10, 4),
    ):
        with pytest.raises(DataError, match="got"):
            call()
