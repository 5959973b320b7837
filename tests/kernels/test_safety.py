"""Draws in real programs: forked and spawned workers, concurrent threads, no folder to write; in all the same."""

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import reparam as rp
from reparam.kernels.cpu import threads

LARGE = 1 << 18  # above the size from which the pool of threads is used
CONTEXTS = [c for c in ("fork", "spawn") if c in multiprocessing.get_all_start_methods()]


def large(k):
    return rp.Noise(5).at(k).normal((LARGE,))


class Draws(torch.utils.data.Dataset):
    """Example k is a draw at step k, made in whatever process asks for it."""

    def __len__(self):
        return 4

    def __getitem__(self, k):
        return large(k)[::4096]


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("context", CONTEXTS)
def test_loader_workers_draw_the_numbers_of_the_parent(context, two_threads):
    wanted = torch.stack([large(k)[::4096] for k in range(4)])  # the pool has run in the parent
    loader = torch.utils.data.DataLoader(
        Draws(), batch_size=2, num_workers=1, multiprocessing_context=context
    )
    assert torch.equal(torch.cat(list(loader)), wanted)


def _in_child(queue):
    torch.set_num_threads(2)
    queue.put(large(3)[::4096].tolist())


@pytest.mark.skipif("fork" not in CONTEXTS, reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_starts_a_pool_of_its_own(two_threads):
    wanted = large(3)[::4096].tolist()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=120) == wanted
    child.join(60)
    assert child.exitcode == 0


def test_concurrent_python_threads(two_threads):
    wanted = [large(k) for k in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for made, k in zip(pool.map(large, [k % 4 for k in range(16)]), [k % 4 for k in range(16)]):
            assert torch.equal(made, wanted[k])


def test_an_error_in_a_chunk_is_raised_after_all_threads_are_done(two_threads, monkeypatch):
    monkeypatch.setattr(threads, "thread_count", lambda: 2)
    done = []

    def work(k):
        if k == 1:
            raise ValueError("chunk 1")
        done.append(k)

    with pytest.raises(ValueError, match="chunk 1"):
        threads.run_chunks(work, 6, True)
    threads.run_chunks(done.append, 6, True)
    assert set(range(6)) <= set(done)


CODE = """
import torch, reparam as rp
print(rp.Noise(5).uniform((5,)).tolist())
"""


@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform == "win32", reason="needs a folder that cannot be written")
def test_no_home_and_no_cache_folder(tmp_path):
    source = Path(rp.__file__).parents[1]
    sealed = tmp_path / "sealed"
    sealed.mkdir()
    sealed.chmod(0o555)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "NUMBA_CACHE_DIR": str(sealed / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(source),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(rp.Noise(5).uniform((5,)).tolist())
