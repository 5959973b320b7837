"""Results in memory that released results left behind: never two results on one block, in any thread or process."""

import gc
import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from reparam.kernels.cpu import memory
from reparam.kernels.cpu.memory import KEPT, LEAST, empty

SIZE = 3 * LEAST // 4  # float32 numbers: large enough to be lent
F32 = torch.float32


@pytest.fixture(autouse=True)
def nothing_kept():
    gc.collect()
    memory._blocks.clear()
    yield
    memory._blocks.clear()


def test_released_memory_serves_the_next_result():
    place = empty((SIZE,), F32).data_ptr()
    assert len(memory._blocks) == 1
    again = empty((3, SIZE // 3), F32)
    assert again.data_ptr() == place
    assert not memory._blocks
    assert empty((SIZE,), F32).data_ptr() != place


@pytest.mark.parametrize(
    "hold",
    [
        lambda x: x[5:9],
        lambda x: x.numpy(),
        lambda x: x.numpy()[3:].view("int32"),
        lambda x: x.view(-1, 2).T,
        lambda x: x.untyped_storage(),
        lambda x: torch.utils.dlpack.to_dlpack(x),
        lambda x: memoryview(x.numpy()),
    ],
)
def test_memory_is_released_with_its_last_view(hold):
    x = empty((SIZE,), F32)
    view = hold(x)
    del x
    gc.collect()
    assert not memory._blocks
    del view
    gc.collect()
    assert len(memory._blocks) == 1


def test_small_results_and_other_dtypes_are_not_lent():
    for x in (empty((5,), F32), empty((SIZE,), torch.float16), empty((0, 3), torch.float64)):
        del x
    assert not memory._blocks


def test_no_more_is_kept_than_said():
    many = [empty((SIZE + 4096 * k,), F32) for k in range(2 * KEPT // (4 * SIZE))]
    del many
    gc.collect()
    assert KEPT // 2 < sum(b.nbytes for b in memory._blocks.values()) <= KEPT


def test_threads_never_share_a_block():
    def fill(k):
        for _ in range(20):
            x = empty((SIZE,), F32).fill_(k)
            assert bool((x == k).all())
        return x

    with ThreadPoolExecutor(4) as pool:
        kept = list(pool.map(fill, range(8)))
    assert all(bool((x == k).all()) for k, x in enumerate(kept))
    assert len({x.data_ptr() for x in kept}) == 8


def _child(queue, x):
    y = empty((SIZE,), F32).fill_(2.0)
    queue.put((float(x.min()), float(x.max()), float(y.sum())))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_memory_of_its_own():
    context = multiprocessing.get_context("fork")
    queue, x = context.Queue(), empty((SIZE,), F32).fill_(1.0)
    del_me = empty((SIZE,), F32)
    del del_me  # a block is kept in both processes
    child = context.Process(target=_child, args=(queue, x))
    child.start()
    y = empty((SIZE,), F32).fill_(3.0)
    assert queue.get(timeout=60) == (1.0, 1.0, 2.0 * SIZE)
    child.join(60)
    assert child.exitcode == 0
    assert float(y.sum()) == 3.0 * SIZE
