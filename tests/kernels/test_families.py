"""Velocities, tails and quantiles of the implicit families against many-digit references at the very floats."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from reparam import special
from reparam.kernels import cpu

REFERENCES = json.loads((Path(__file__).parent.parent / "references/implicit.json").read_text())
FAMILIES = {  # name: (worst relative error of the velocity in float64, span of each parameter)
    "gamma": (2e-13, [(1e-4, 1e7)]),
    "beta": (1e-12, [(1e-3, 1e6), (1e-3, 1e6)]),
    "student": (1e-12, [(1e-2, 1e6)]),
    "vonmises": (1e-12, [(1e-3, 1e6)]),
}
F64 = torch.float64


def points(name, dtype=F64):
    rows = REFERENCES[name]
    y = torch.tensor([r["y"] for r in rows], dtype=dtype)
    columns = zip(*(r["parameters"] for r in rows))
    return rows, y, [torch.tensor(c, dtype=dtype) for c in columns]


def kernel(name, kind):
    return getattr(cpu, f"{name}_{kind}")


@pytest.mark.parametrize("name", FAMILIES)
def test_velocity_in_double(name):
    rows, y, parameters = points(name)
    right = np.array([r["velocity"] for r in rows])
    for j, v in enumerate(kernel(name, "velocity")(*parameters, y)):
        error = np.abs(v.numpy() / right[:, j] - 1.0)
        assert error.max() < FAMILIES[name][0], (j, error.max(), rows[error.argmax()])


@pytest.mark.parametrize("name", FAMILIES)
def test_velocity_in_single_is_rounded_once(name):
    rows, y, parameters = points(name, torch.float32)
    right = np.array([r["velocity"] for r in rows])
    for j, v in enumerate(kernel(name, "velocity")(*parameters, y)):
        ulp = np.spacing(np.abs(right[:, j]).astype(np.float32)).astype(np.float64)
        error = np.abs(v.numpy().astype(np.float64) - right[:, j]) / ulp
        assert error.max() < 1.0, (j, error.max(), rows[error.argmax()])


@pytest.mark.parametrize("name", FAMILIES)
def test_tails(name):
    rows, y, parameters = points(name)
    lower, upper = kernel(name, "tails")(*parameters, y)
    got = torch.where(torch.tensor([r["lower"] for r in rows]), lower, upper).numpy()
    right = np.array([r["log_tail"] for r in rows])
    error = np.abs(got - right) / np.maximum(1.0, np.abs(right))
    assert error.max() < 5e-12, (error.max(), rows[error.argmax()])


def drawn(name, count, dtype, seed=3):
    rng = np.random.default_rng(seed)
    spans = FAMILIES[name][1]
    parameters = [torch.tensor(np.exp(rng.uniform(*np.log(s), count))).to(dtype) for s in spans]
    eps = np.where(np.arange(count) % 4 == 0, rng.uniform(-8, 8, count), rng.normal(size=count))
    return parameters, torch.tensor(eps).to(dtype)


@pytest.mark.parametrize("name", FAMILIES)
def test_quantile_inverts_the_tails(name):
    """eps -> y -> eps. The rounding of y itself moves eps by |y| 2^-53 dy/deps^-1, which is allowed for."""
    parameters, eps = drawn(name, 1500, F64)
    y = kernel(name, "quantile")(*parameters, eps)
    lower, upper = kernel(name, "tails")(*parameters, y)
    near = torch.where(eps < 0, lower, upper)
    right = special.log_ndtr(-eps.abs())
    hazard = torch.exp(-0.5 * eps * eps - 0.9189385332046727 - right)
    density = torch.exp(special.implicit.FAMILIES[name].log_density(y, *parameters))
    slope = density / torch.exp(-0.5 * eps * eps - 0.9189385332046727)
    error = ((near - right) / hazard).abs()
    rounding = 3e-16 * y.abs() * slope
    excess = torch.where(y.isfinite(), error - 2.0 * rounding, torch.zeros_like(error))
    worst = int(excess.nan_to_num(nan=1e9).argmax())
    assert excess.nan_to_num(nan=1e9).max() < 5e-11, (
        excess[worst],
        [p[worst] for p in parameters],
        eps[worst],
    )
    assert excess.nanquantile(0.98) < 5e-13


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_extremes_are_finite(name, dtype):
    parameters, eps = drawn(name, 3000, dtype, seed=4)
    y = kernel(name, "quantile")(*parameters, eps)
    assert not y.isnan().any()
    inside = y.isfinite()
    assert name == "student" or inside.all()
    for v in kernel(name, "velocity")(*(p[inside] for p in parameters), y[inside]):
        assert not v.isnan().any()


@pytest.mark.parametrize("name", FAMILIES)
def test_far_outside_the_quantiles_nothing_is_nan(name):
    y = torch.tensor([-1e4, -700.0, -30.0, -3.0, 3.0, 30.0, 700.0, 1e4], dtype=F64)
    y = y.clamp(-3.14159, 3.14159) if name == "vonmises" else y
    for size in (1e-3, 1.0, 15.0, 1e3, 1e6):
        parameters = [torch.full_like(y, size) for _ in FAMILIES[name][1]]
        for value in (*kernel(name, "velocity")(*parameters, y), *kernel(name, "tails")(*parameters, y)):
            assert not value.isnan().any(), (size, value)


@pytest.mark.parametrize("name", FAMILIES)
def test_slopes_satisfy_the_continuity_equation(name):
    """dv_j/dy = -d log f/dtheta_j - v_j d log f/dy, at sizes where the right side keeps its digits."""
    rng = np.random.default_rng(5)
    eps = torch.tensor(rng.normal(size=60))
    parameters = [
        torch.tensor(np.exp(rng.uniform(-2.0, 4.0, 60))).requires_grad_() for _ in FAMILIES[name][1]
    ]
    y = kernel(name, "quantile")(*(p.detach() for p in parameters), eps).requires_grad_()
    log_density = special.implicit.FAMILIES[name].log_density(y, *parameters)
    slope, *scores = torch.autograd.grad(log_density.sum(), [y, *parameters])
    count = len(parameters)
    out = kernel(name, "velocity")(*(p.detach() for p in parameters), y.detach(), order=2)
    for j in range(count):
        right = -scores[j] - out[j] * slope
        error = (out[count + j * (count + 1)] - right).abs() / (
            scores[j].abs() + (out[j] * slope).abs() + out[j].abs()
        )
        assert error.max() < 2e-12


@pytest.mark.parametrize("name", FAMILIES)
def test_slopes_in_the_parameters(name):
    """Order 2 against differences of order 1 over a coarser step, and the symmetry of second derivatives."""
    parameters, eps = drawn(name, 40, F64, seed=6)
    parameters = [p.clamp(0.05, 300.0) for p in parameters]
    y = kernel(name, "quantile")(*parameters, eps.clamp(-4, 4))
    count = len(parameters)
    out = kernel(name, "velocity")(*parameters, y, order=2)
    for k in range(count):
        h = 1e-4 * parameters[k]
        values = []
        for sign in (1, -1):
            moved = list(parameters)
            moved[k] = parameters[k] + sign * h
            values.append(kernel(name, "velocity")(*moved, y))
        for j in range(count):
            slope = (values[0][j] - values[1][j]) / (2 * h)
            scale = slope.abs() + out[j].abs() / parameters[k]
            assert ((out[count + j * (count + 1) + 1 + k] - slope).abs() / scale).max() < 1e-7


def test_half_precisions_come_from_single():
    alpha, eps = torch.tensor([2.0, 30.0]), torch.tensor([0.5, -1.0])
    for dtype in (torch.bfloat16, torch.float16):
        got = cpu.gamma_quantile(alpha.to(dtype), eps.to(dtype))
        assert got.dtype == dtype
        assert torch.equal(got, cpu.gamma_quantile(alpha, eps).to(dtype))


def test_broadcasting_and_empty():
    assert cpu.beta_quantile(torch.ones(3, 1), torch.ones(4), torch.zeros(2, 1, 1)).shape == (2, 3, 4)
    assert cpu.gamma_quantile(torch.ones(0), torch.zeros(0)).shape == (0,)
    with pytest.raises(TypeError, match="floating point"):
        cpu.gamma_quantile(torch.ones(2, dtype=torch.int64), torch.zeros(2, dtype=torch.int64))
