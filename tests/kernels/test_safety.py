"""Draws in real programs: forked and spawned workers, concurrent threads, no folder to write; in all the same."""

import multiprocessing
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

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


@pytest.fixture(params=["torch's threads", "the pool"])
def two_threads(request, monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(threads.config, "NUMBA_NUM_THREADS", 2)
    if request.param == "the pool":
        monkeypatch.setattr(threads.openmp, "region", lambda: None)
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


def test_a_thread_that_comes_too_late_does_not_work(monkeypatch):
    """The memory of a draw is the caller's as soon as it returns: work that is over must not be begun anew."""
    monkeypatch.setattr(threads, "_pool", lambda: late)
    late, done = SimpleQueue(), []
    threads.pooled(lambda: done.append(0), 3)  # nobody serves the queue, nobody is waited for
    assert late.qsize() == 2
    late.get()()
    assert done == [0]


SEED = torch.tensor(5)
WIDE = torch.full((64, 70), 0.3)  # enough for the kernels that take over from torch
HERE = {
    "small": lambda: rp.Noise(0).normal((5,)),
    "large": lambda: rp.Noise(0).normal((LARGE,)),
    "bits": lambda: rp.Noise(0).bits((5,)),
    "16 bits": lambda: rp.Noise(0).uniform((5,), dtype=torch.bfloat16),
    "listed rows": lambda: rp.Noise(SEED).rows([4, 1]).normal((2,)),
    "nested steps": lambda: rp.Noise(3).at(SEED).child("b").normal((4,)),
    "integers": lambda: rp.Noise(0).randint(0, 9, (5,)) + rp.Noise(1).permutation(5),
    "vmap": lambda: torch.func.vmap(lambda s: rp.Noise(s).bits((3,)))(SEED.expand(2)),
    "antithetic": lambda: rp.Noise(0).antithetic().normal((4, 3)),
    "stratified": lambda: rp.Noise(0).stratified().normal((4, 3)),
    "sobol": lambda: rp.Noise(0).sobol().normal((4, 3)),
    "gaussian layer": lambda: torch.cat(rp.layers.gaussian(WIDE, WIDE, noise=rp.Noise(0), event_ndim=0)),
    "affine": lambda: rp.distributions.Normal(WIDE, WIDE).rsample((4,), noise=rp.Noise(0)),
    "elementwise": lambda: rp.distributions.Gamma(WIDE, WIDE).rsample(noise=rp.Noise(0)),
    "log prob": lambda: rp.distributions.Bernoulli(logits=WIDE, validate_args=False).log_prob(WIDE),
}


@pytest.mark.parametrize("name", HERE)
def test_torch_s_default_device_is_no_input(name):
    """A program may have set another default device: what was asked for on the CPU stays there."""
    wanted = HERE[name]()
    with torch.device("meta"):
        made = HERE[name]()
    assert made.device.type == "cpu"
    assert torch.equal(made, wanted)


COUNTED = """
import torch, reparam as rp
from reparam.kernels.cpu import threads
torch.set_num_threads(3)
made = rp.Noise(5).at(2).normal((1 << 18,))[::4096].tolist()
print(threads.thread_count(), made)
"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("numba", "count"), [("1", 1), ("4", 3)])
def test_the_smaller_number_of_threads_counts_and_changes_no_number(numba, count):
    environment = {**os.environ, "NUMBA_NUM_THREADS": numba, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", COUNTED], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{count} {large(2)[::4096].tolist()}"


CODE = """
import reparam as rp
from reparam.kernels.cpu import fill
print(rp.Noise(5).uniform((5,)).tolist())
print(type(fill.one_row._cache).__name__)
"""


@pytest.mark.timeout(300)
def test_no_folder_for_the_cache(tmp_path):
    """Below a plain file no folder can be made, not even by root."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    package = tmp_path / "site" / "reparam"
    shutil.copytree(Path(rp.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "kernels" / "cpu" / "__pycache__").write_text("")  # where Numba looks first
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(blocked / "home"),
        "XDG_CACHE_HOME": str(blocked / "cache"),
        "NUMBA_CACHE_DIR": str(blocked / "numba"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(package.parent),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    numbers, cache = done.stdout.splitlines()
    assert numbers == str(rp.Noise(5).uniform((5,)).tolist())
    assert cache == "NullCache"  # there was indeed no folder
