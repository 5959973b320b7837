"""The torch references agree with the fast kernels: velocities, tails, quantiles, slopes."""

import numpy as np
import pytest
import torch

from reparam.kernels import cpu, reference

SPANS = {
    "gamma": [(1e-4, 1e7)],
    "beta": [(1e-3, 40.0)] * 2,
    "student": [(1e-2, 1e6)],
    "vonmises": [(1e-3, 1e6)],
}


@pytest.mark.parametrize("name", SPANS)
def test_reference_and_fast_kernel_agree(name):
    rng = np.random.default_rng(11)
    parameters = [torch.tensor(np.exp(rng.uniform(*np.log(span), 24))) for span in SPANS[name]]
    eps = torch.tensor(rng.normal(size=24))
    y = getattr(cpu, f"{name}_quantile")(*parameters, eps)
    slow = getattr(reference, f"{name}_quantile")(*parameters, eps)
    assert torch.allclose(y, slow, rtol=2e-12, atol=1e-13)
    for v, right in zip(*(getattr(m, f"{name}_velocity")(*parameters, y) for m in (cpu, reference))):
        assert torch.allclose(v, right, rtol=1e-12, atol=0.0)
    for tail, right in zip(*(getattr(m, f"{name}_tails")(*parameters, y) for m in (cpu, reference))):
        assert torch.allclose(tail, right, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", SPANS)
def test_slopes_agree(name):
    rng = np.random.default_rng(12)
    parameters = [torch.tensor(np.exp(rng.uniform(-1.0, 3.0, 8))) for _ in SPANS[name]]
    y = getattr(cpu, f"{name}_quantile")(*parameters, torch.tensor(rng.normal(size=8)))
    fast = getattr(cpu, f"{name}_velocity")(*parameters, y, order=2)
    slow = getattr(reference, f"{name}_velocity")(*parameters, y, order=2)
    exact = {"gamma"}  # the others' are differences of the velocities
    rtol, atol = (2e-12, 0.0) if name in exact else (1e-10, 1e-11)
    for v, right in zip(fast, slow):
        assert torch.allclose(v, right, rtol=rtol, atol=atol)
