"""Every family and wrapper under torch.compile(fullgraph=True): values, first and second derivatives are eager mode's.

The backend aot_eager traces one graph with the operators' shapes and autograd through them; inductor also writes and
runs code. The suite takes one family for each way in which draws and distribution functions are made; `make stats`
takes all of them.
"""

import pytest
import torch
from torch.func import grad, jvp, vmap

from distributions.differentiated import (
    ALL,
    SMOOTH,
    directions,
    functions,
    more,
    parameters,
    weighted,
)
from distributions.table import DISCRETE, MANY, close

# explicit, drawn by an operator, truncated, a root, a mixture, a vector, relaxed, spherical, a wrapper
MECHANISMS = [
    "Normal",
    "Gamma",
    "TruncatedNormal",
    "Folded(Normal)",
    "MixtureSameFamily(Gamma)",
    "MVN(L)",
    "Dirichlet",
    "RelaxedOneHotCategorical",
    "PowerSpherical",
]


def suite(names, chosen):
    """The chosen names for `make test`, the others for `make stats`."""
    marks = [pytest.mark.stats, pytest.mark.timeout(1200)]
    return [pytest.param(name, marks=() if name in chosen else marks) for name in names]


@pytest.fixture(autouse=True)
def fresh():
    torch.compiler.reset()


def compare_gradients(name, backend):
    """Values and gradients of every function, from outside of the compiled region."""
    given = {key: (lambda *v, at=at, f=f: f(at, *v)) for key, (at, f) in functions(name).items()} | more(name)
    values = [value.requires_grad_() for value in parameters(name)]

    def everything(*values):
        return {key: f(*values) for key, f in given.items()}

    compiled = torch.compile(everything, fullgraph=True, backend=backend)(*values)
    for key, right in everything(*values).items():
        close(compiled[key], right, 1e-10, floor=1e-6)
        pairs = [
            torch.autograd.grad(weighted(key, one), values, retain_graph=True, allow_unused=True)
            for one in (compiled[key], right)
        ]
        for ours, exact in zip(*pairs):
            if exact is None or ours is None:
                assert exact is None or not exact.any(), key
                assert ours is None or not ours.any(), key
            else:
                close(ours, exact, 1e-9, floor=1e-6)


def hessian_times_direction(key, function, mode):
    """(x, *parameters) -> H d for a sum of sines of the function, in all parameters, mixed ones included.

    "reverse" takes the gradient of <gradient, d>, "forward" the derivative of the gradient along d, "forward first" the
    gradient of the derivative along d.
    """

    def total(x, *values):
        return weighted(key, function(x, *values).sin())

    def of(x, *values):
        n = tuple(range(1, len(values) + 1))
        d = directions(values)

        def gradient(*values):
            return grad(total, n)(x, *values)

        def along(*values):
            return sum((g * t).sum() for g, t in zip(gradient(*values), d))

        if mode == "forward":
            return jvp(gradient, values, tuple(d))[1]
        if mode == "forward first":
            return grad(lambda *v: jvp(lambda *w: total(x, *w), v, tuple(d))[1], tuple(range(len(d))))(
                *values
            )
        return grad(along, tuple(range(len(d))))(*values)

    return of


def compare_second(name, backend, mode="reverse"):
    values = parameters(name)
    given = functions(name)

    def everything(*values):
        return {key: hessian_times_direction(key, f, mode)(at, *values) for key, (at, f) in given.items()}

    right = everything(*values)
    compiled = torch.compile(everything, fullgraph=True, backend=backend)(*values)
    for key, exact in right.items():
        assert any(second.any() for second in exact), key
        for ours, second in zip(compiled[key], exact):
            scale = second.abs().max().item()
            close(ours, second, 1e-9, floor=max(1e-6, 1e-3 * scale))


@pytest.mark.parametrize("name", suite(ALL, [*MECHANISMS, *MANY, *DISCRETE]))
def test_values_and_gradients(name):
    compare_gradients(name, "aot_eager")


@pytest.mark.parametrize("name", suite(SMOOTH, MECHANISMS))
def test_second_derivatives_inside_the_region(name):
    compare_second(name, "aot_eager")


@pytest.mark.parametrize("mode", ["forward", "forward first"])
@pytest.mark.parametrize("name", suite(SMOOTH, ["Gamma"]))
def test_other_ways_of_second_derivatives_inside_the_region(name, mode):
    compare_second(name, "aot_eager", mode)


@pytest.mark.parametrize("name", suite(SMOOTH, ["Gamma", "TruncatedNormal", "RelaxedOneHotCategorical"]))
def test_draws_by_inductor(name):
    """A draw and its gradients in code that inductor writes."""
    at, push = functions(name)["push"]
    values = [value.requires_grad_() for value in parameters(name)]
    pairs = []
    for f in (torch.compile(push, fullgraph=True), push):
        z = f(at, *values)
        pairs.append((z, *torch.autograd.grad(weighted("push", z), values)))
    for ours, right in zip(*pairs):
        close(ours, right, 1e-10, floor=1e-6)


@pytest.mark.parametrize("name", suite(SMOOTH, []))
def test_inductor(name):
    compare_gradients(name, "inductor")
    torch.compiler.reset()
    compare_second(name, "inductor")


@pytest.mark.parametrize("name", suite(SMOOTH, ["Truncated(Gamma)"]))
def test_gradients_of_each_draw_inside_the_region(name):
    """vmap(grad) over draws, their parameters shared, and over a batch of parameters, inside one region."""
    given, values = functions(name), parameters(name)

    def everything(*values):
        out = {}
        for key, (at, f) in given.items():
            each = grad(lambda x, *v, f=f: f(x, *v).sin().sum(), tuple(range(len(values) + 1)))
            shared = (0, *(None for _ in values))
            out[key] = vmap(each, shared, randomness="error")(at, *values)
            out[key, "parameters"] = vmap(each, randomness="error")(at[:2].mT, *values)
        return out

    compiled = torch.compile(everything, fullgraph=True, backend="aot_eager")(*values)
    for key, right in everything(*values).items():
        for ours, exact in zip(compiled[key], right):
            close(ours, exact, 1e-9, floor=1e-6 * max(1.0, exact.abs().max().item()))
