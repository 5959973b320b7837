"""Distribution functions and quantiles are differentiable in x and in every parameter, twice where they are smooth."""

import pytest
import torch

from distributions.cases import CASES

F64 = torch.float64
SLOW = ("Folded(StudentT)", "Pushforward(square)")  # roots of integrals: a minute each
EVERY = pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.stats if case.name in SLOW else ()) for case in CASES],
    ids=lambda case: case.name,
)
P = torch.tensor([0.05, 0.4], dtype=F64)[:, None]


def finite_leaves(case, size):
    """Leaves for the finite parameters; infinite bounds stay where they are."""
    batch = {name: value[:size] for name, value in case.batch().items()}
    leaves = tuple(torch.where(value.isinf(), 0.0, value).requires_grad_() for value in batch.values())

    def build(*values):
        mixed = [torch.where(fixed.isinf(), fixed, value) for fixed, value in zip(batch.values(), values)]
        return case.make(dict(zip(batch, mixed)), validate_args=False)

    return leaves, build


@EVERY
@pytest.mark.parametrize("method", ["cdf", "survival", "icdf", "isf"])
def test_first_and_second_derivatives_in_everything(case, method):
    size = 2 if case.costly or case.kinks else 5
    leaves, build = finite_leaves(case, size)
    q = build(*(leaf.detach() for leaf in leaves))
    at = q.icdf(P).detach() if method in ("cdf", "survival") else P.expand(2, *q.batch_shape).clone()

    def function(at, *values):
        return getattr(build(*values), method)(at)

    # parameters and x of any size: differences by a step that fits all of them need values of order one
    inputs = (at.requires_grad_(), *leaves)
    scaled, sizes = zip(*(relative(value) for value in inputs))

    def of_scaled(*values):
        return function(*(value * size for value, size in zip(values, sizes)))

    assert torch.autograd.gradcheck(of_scaled, scaled, check_forward_ad=True, atol=1e-6, fast_mode=True)
    assert torch.autograd.gradgradcheck(of_scaled, scaled, atol=1e-4, fast_mode=True)


def relative(value):
    size = torch.where(value == 0, 1.0, value.abs()).detach()
    return (value / size).detach().requires_grad_(), size
