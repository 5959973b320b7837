"""Every family and wrapper under torch.func, in all its parameters: the modes agree with each other."""

import pytest
import torch
from torch.func import grad, jacrev, jvp, vmap

from distributions.differentiated import ALL, NOISE, SMOOTH, directions, functions, parameters, weighted
from distributions.table import close

SLOW = (  # roots and integrals, seconds each
    "MixtureSameFamily(Truncated)",
    "Truncated(Folded)",
    "Mixture(Independent Gamma)",
    "Pushforward(own tensor)",
    "Folded(StudentT)",
    "Pushforward(square)",
    "Mixture(Normal, Gamma)",
    "Mixture(Folded, Exponential)",
    "Truncated(StudentT)",
    "Truncated(Mixture)",
    "Folded(Laplace)",
)


def suite(names):
    return [pytest.param(name, marks=pytest.mark.stats if name in SLOW else ()) for name in names]


@pytest.mark.parametrize("name", suite(ALL))
def test_rows_and_first_derivatives(name):
    """vmap(randomness="error") over rows is the batch; jvp along d is the jacobian by reverse mode times d."""
    values = parameters(name)
    n = tuple(range(len(values)))
    d = directions(values)
    for key, (at, f) in functions(name).items():
        whole = f(at, *values)
        rows = vmap(lambda x, f=f: f(x, *values), randomness="error")(at)
        close(rows, whole, 1e-10, floor=1e-3)

        def total(*values, key=key, f=f, at=at):
            return weighted(key, f(at, *values).sin())

        slopes = jacrev(total, n)(*values)
        eager = [value.clone().requires_grad_() for value in values]
        for ours, right in zip(slopes, torch.autograd.grad(total(*eager), eager, allow_unused=True)):
            close(ours, torch.zeros_like(ours) if right is None else right, 1e-9, floor=1e-3)
        along = sum((slope * t).sum() for slope, t in zip(slopes, d))
        size = sum((slope * t).abs().sum() for slope, t in zip(slopes, d)).item()
        close(jvp(total, values, tuple(d))[1], along, 1e-9, floor=size)


@pytest.mark.parametrize("name", ALL)
def test_a_sample_does_not_move(name):
    """In forward mode too, which no_grad leaves on: `sample` has no tangent."""
    values = parameters(name)
    z, moved = jvp(lambda *v: ALL[name].at(v).sample((2,), noise=NOISE), values, tuple(directions(values)))
    assert not moved.any()
    close(z, ALL[name].at(values).sample((2,), noise=NOISE), 1e-10, floor=1e-3)


@pytest.mark.parametrize("name", suite(SMOOTH))
def test_second_derivatives(name):
    """The Hessian times d: reverse over reverse and forward over reverse, mixed derivatives included.

    A Dirichlet's second derivatives J are not symmetric draw by draw: forward mode gives J d and reverse mode J' d, so
    that <e, J d> = <J' e, d> is what can be compared.
    """
    values = parameters(name)
    n = tuple(range(len(values)))
    d = directions(values)
    for key, (at, f) in functions(name).items():

        def gradient(*values, key=key, f=f, at=at):
            return grad(lambda *v: weighted(key, f(at, *v).sin()), n)(*values)

        def reverse_along(e, gradient=gradient):
            return grad(lambda *v: sum((a * t).sum() for a, t in zip(gradient(*v), e)), n)(*values)

        forward = jvp(gradient, values, tuple(d))[1]
        if name == "Dirichlet":
            e = [torch.sin(5 * t) for t in d]
            one, other = (
                sum((a * b).sum() for a, b in zip(*pair)) for pair in ((e, forward), (reverse_along(e), d))
            )
            close(one, other, 1e-8, floor=1e-3)
            continue
        reverse = reverse_along(d)
        for ours, right in zip(forward, reverse):
            close(ours, right, 1e-8, floor=max(1e-3, right.abs().max().item()))
