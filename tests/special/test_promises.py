"""What the functions of `special` promise together: digits over wide ranges, every argument, every mode, float32."""

import mpmath as mp
import numpy as np
import pytest
import torch
from torch.func import grad, jacfwd, jacrev, vmap

from reparam import special as S

F64 = torch.float64


def t(*values):
    return torch.tensor(values, dtype=F64)


# points in the middle of each argument's range, one in each regime of the gamma functions, for the modes
POINTS = {
    "gammainc": (t(0.4, 6.0, 30.0, 2.0), t(0.7, 4.0, 25.0, 0.05)),
    "gammaincc": (t(0.4, 6.0, 30.0, 2.0), t(0.7, 4.0, 25.0, 0.05)),
    "gammaincinv": (t(0.4, 6.0, 30.0, 1.5), t(0.2, 0.7, 0.4, 0.004)),
    "gammainccinv": (t(0.4, 6.0, 30.0, 1.5), t(0.2, 0.7, 0.4, 0.996)),
    "betainc": (t(0.4, 6.0), t(2.0, 0.6), t(0.3, 0.8)),
    "betaincinv": (t(0.4, 6.0), t(2.0, 0.6), t(0.2, 0.7)),
    "log_ndtr": (t(-4.0, 1.5),),
    "ndtr": (t(-4.0, 1.5),),
    "ndtri": (t(0.01, 0.7),),
    "ndtri_exp": (t(-5.0, -0.3),),
    "bessel_ratio": (t(0.6, 30.0), t(0.3, 50.0)),
    "log_iv": (t(0.6, 30.0), t(0.3, 50.0)),
    "log_ive": (t(0.6, 30.0), t(0.3, 50.0)),
}
EVERY = pytest.mark.parametrize("name", POINTS)


@EVERY
def test_derivatives_in_every_argument_and_mode(name):
    function, values = getattr(S, name), POINTS[name]
    leaves = tuple(value.clone().requires_grad_() for value in values)
    assert torch.autograd.gradcheck(function, leaves, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, leaves)

    def total(*values):
        return (function(*values) ** 2).sum()

    for n in range(len(values)):
        modes = [
            f(g(total, argnums=n), argnums=n)(*values) for f in (jacfwd, jacrev) for g in (jacfwd, jacrev)
        ]
        for other in modes[1:]:
            torch.testing.assert_close(other, modes[0], rtol=1e-9, atol=1e-11)
        rows = vmap(grad(total, argnums=n))(*values)
        torch.testing.assert_close(rows, grad(total, argnums=n)(*values), rtol=1e-12, atol=1e-14)


@EVERY
def test_compile_and_export(name):
    function, values = getattr(S, name), POINTS[name]

    class Module(torch.nn.Module):
        def forward(self, *values):
            return function(*values)

    torch.compiler.reset()  # one lambda for all functions: each would count as a recompilation
    right = function(*values)
    program = torch.export.export(Module(), values)
    torch.testing.assert_close(program.module()(*values), right, rtol=1e-14, atol=0)
    leaves = [value.clone().requires_grad_() for value in values]
    eager = torch.autograd.grad(function(*leaves).sum(), leaves)
    compiled = torch.compile(lambda *v: function(*v).sum(), fullgraph=True, backend="aot_eager")
    for a, b in zip(torch.autograd.grad(compiled(*leaves), leaves), eager):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.stats
@pytest.mark.timeout(900)
@EVERY
def test_second_derivatives_inside_a_compiled_region(name):
    """The gradient of the sum of a gradient, all of it traced: some 20 seconds each."""
    function, values = getattr(S, name), POINTS[name]
    last = len(values) - 1

    def slope(*values):
        return grad(lambda *v: function(*v).sum(), argnums=0)(*values)

    def curve(*values):
        return grad(lambda *v: slope(*v).sum(), argnums=last)(*values)

    torch.compiler.reset()
    compiled = torch.compile(curve, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*values), curve(*values), rtol=1e-12, atol=1e-14)
    assert curve(*values).abs().min() > 0


@EVERY
def test_float32_is_the_exact_number_rounded(name):
    function = getattr(S, name)
    narrow = tuple(value.float() for value in POINTS[name])
    assert torch.equal(function(*narrow), function(*(value.double() for value in narrow)).float())


@EVERY
def test_shapes(name):
    """Broadcasting, no elements, no dimensions, strides: the numbers as one by one."""
    function, values = getattr(S, name), POINTS[name]
    size = len(values[0])
    columns = [v.reshape([size if i == j else 1 for i in range(len(values))]) for j, v in enumerate(values)]
    table = function(*columns)
    assert table.shape == (size,) * len(values)
    at = tuple(0 for _ in values)
    one = function(*(v[0] for v in values))  # vector lanes round their exp differently
    torch.testing.assert_close(table[at], one, rtol=1e-15, atol=0)
    assert function(*(v[:0] for v in values)).shape == (0,)
    strided = [v.repeat_interleave(2)[::2] for v in values]
    assert not strided[0].is_contiguous()
    torch.testing.assert_close(function(*strided), function(*values), rtol=1e-15, atol=0)
    empty = [v[:0].clone().requires_grad_() for v in values]
    assert all(g.shape == (0,) for g in torch.autograd.grad(function(*empty).sum(), empty))


def worst(ours, right):
    return np.abs(ours.detach().numpy() / np.array([float(v) for v in right]) - 1).max()


def test_incomplete_gamma_over_the_promised_range():
    """F, S and both slopes at alpha from 1e-4 to 1e6, at points four scores apart, to 5e-12 (aim 1e-12)."""
    shapes = [1e-4, 0.03, 0.9, 11.9, 12.1, 400.0, 1e4, 1e6]
    pairs = [(a, x) for a in shapes for x in (a * 0.3, a + 2 * a**0.5, max(a, 1.0) + 4 * a**0.5)]
    pairs = [(a, x) for a, x in pairs if not (a > 1e3 and x < 0.5 * a)] + [(1e4, 9.7e3), (1e6, 9.97e5)]
    a, x = (t(*column).requires_grad_() for column in zip(*pairs))
    with mp.workdps(40):
        lower = [tail(mp.mpf(p), mp.mpf(q)) for p, q in pairs]
        steps = [mp.mpf(10) ** -12 * mp.mpf(p) for p, _ in pairs]
        moved = [
            (tail(p + h, mp.mpf(q)) - tail(p - h, mp.mpf(q))) / (2 * h) for (p, q), h in zip(pairs, steps)
        ]
    P, Q = S.gammainc(a, x), S.gammaincc(a, x)
    assert worst(P, lower) < 5e-12
    assert worst(Q, [1 - v for v in lower]) < 5e-12
    (slope,) = torch.autograd.grad(P.sum(), a)
    assert worst(slope, moved) < 5e-12


def tail(a, x):
    """P(a, x) by its series, all terms positive."""
    term = total = mp.mpf(1)
    n = 0
    while term > mp.eps * total:
        n += 1
        term *= x / (a + n)
        total += term
    return mp.exp(a * mp.log(x) - x - mp.loggamma(a + 1)) * total
