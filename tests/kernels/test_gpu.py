"""Triton's kernels: by the interpreter, by the compiler, and on a GPU where there is one."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

import reparam as rp
from reparam.kernels import select
from reparam.layers import gaussian
from reparam.noise import LAWS, NoiseSpec

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
HERE = Path(__file__).parent


def run(arguments, **environment):
    """Run Python in a process of its own: how triton works is settled when it is imported."""
    paths = os.pathsep.join([str(HERE.parents[1] / "src"), str(HERE.parent), *sys.path])
    base = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**base, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@needs_triton
def test_interpreted_kernels_are_the_reference():
    path = str(HERE / "gpu_interpreted.py")
    assert "passed" in run(["-m", "pytest", "-p", "no:cacheprovider", path], TRITON_INTERPRET="1")


@needs_triton
def test_kernels_compile_for_gpus_that_are_not_here():
    assert "compiled" in run([str(HERE / "gpu_compiled.py")])


def test_the_back_end_is_named():
    assert select.describe() == select.describe("cpu") == "numba"
    assert select.describe("meta") == "reference"
    assert select.describe("cuda:1") == ("reference" if find_spec("triton") is None else "triton")


@needs_gpu
@pytest.mark.parametrize("law", LAWS)
def test_a_gpu_draws_the_numbers_of_the_cpu(law):
    noise = rp.Noise(3).child("gpu").at(1 << 40)
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        for rows, shape in ((None, (4097,)), (torch.tensor([3, 1 << 40, 5]), (2, 3, 7))):
            n = noise if rows is None else noise.rows(rows)
            spec = NoiseSpec(law, shape, 0 if rows is None else 1, dtype)
            made = n.draw(NoiseSpec(law, shape, spec.sample_ndim, dtype, "cuda")).cpu()
            wanted = n.draw(spec)
            if law in ("uniform", "rademacher"):
                assert torch.equal(made, wanted)
            size = wanted.abs()
            ulp = (torch.nextafter(size, torch.tensor(torch.inf, dtype=dtype)) - size).double()
            assert bool(((made.double() - wanted.double()).abs() <= 4 * ulp + 1e-15).all())


@needs_gpu
def test_a_gpu_draws_without_waiting():
    noise = rp.Noise(3)
    noise.normal((8,), device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        noise.at(5).normal((8,), device="cuda")
        noise.rows(torch.arange(8, device="cuda")).normal((8,), device="cuda")
    finally:
        torch.cuda.set_sync_debug_mode("default")


@needs_gpu
def test_a_gpu_draws_the_same_inside_a_graph():
    noise = rp.Noise(3).child("a")
    compiled = torch.compile(lambda x: x + noise.normal(x.shape, device="cuda"), backend="aot_eager")
    x = torch.zeros(100, device="cuda")
    assert torch.equal(compiled(x), noise.normal((100,), device="cuda"))


@needs_gpu
def test_the_fused_layer_on_a_gpu():
    noise = rp.Noise(4).rows(torch.arange(37))
    on_cpu = [rp.Noise(1).child(k).normal((37, 20)).requires_grad_() for k in "ab"]
    on_gpu = [t.detach().cuda().requires_grad_() for t in on_cpu]
    results = [gaussian(*inputs, noise=noise) for inputs in (on_cpu, on_gpu)]
    grads = [
        torch.autograd.grad(z.square().sum() + kl.sum(), inputs)
        for (z, kl), inputs in zip(results, (on_cpu, on_gpu))
    ]
    torch.testing.assert_close(results[0], tuple(t.cpu() for t in results[1]), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(grads[0], tuple(t.cpu() for t in grads[1]), rtol=1e-5, atol=1e-5)
