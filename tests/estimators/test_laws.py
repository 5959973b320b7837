"""The laws of every estimator, from one table: unbiased, any order where promised, plain value, batches."""

import pytest
import torch
from torch.func import hessian

import reparam as rp
from estimators.cases import BIASED, F64, UNBIASED, Scripted, expanded
from reparam.estimators import Enumerate

EXACT = [c for c in UNBIASED if c.script is not None]
STATISTICAL = [c for c in UNBIASED if not isinstance(c.estimator, Enumerate)]
name = lambda c: c.id  # noqa: E731


def expectation(case, logits):
    """Return the estimator's expectation, the sum over all outcomes of the noise."""
    numbers, weights = case.script(case.family, case.samples)
    q = expanded(case, logits, len(weights))
    value = case.estimator(case.family.f, q, case.samples, Scripted(0, numbers=numbers))
    assert value.shape == weights.shape
    return (weights * value).sum()


@pytest.mark.parametrize("case", EXACT, ids=name)
def test_unbiased_exactly(case):
    logits = case.family.logits.clone().requires_grad_()
    value, true = expectation(case, logits), case.family.exact(logits)
    torch.testing.assert_close(value, true, rtol=case.tolerance, atol=case.tolerance)
    (gradient,), (exact,) = (
        torch.autograd.grad(value, logits, retain_graph=True),
        torch.autograd.grad(true, logits),
    )
    torch.testing.assert_close(gradient, exact, rtol=case.tolerance, atol=case.tolerance)


@pytest.mark.parametrize("case", [c for c in EXACT if c.any_order], ids=name)
def test_hessian_exactly(case):
    def hess(f):
        x = case.family.logits.clone().requires_grad_()
        (g,) = torch.autograd.grad(f(x), x, create_graph=True)
        return torch.stack([torch.autograd.grad(part, x, retain_graph=True)[0] for part in g])

    tolerance = 10 * case.tolerance
    torch.testing.assert_close(
        hess(lambda x: expectation(case, x)), hess(case.family.exact), rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("case", STATISTICAL, ids=name)
def test_unbiased_with_real_noise(case):
    """10,000 draws per case: sees a bias of .055 standard deviations; |z| < 5.5, false alarm 4e-8 per number."""
    n = 10_000
    leaf = case.family.logits.expand(n, -1).clone().requires_grad_()
    value = rp.expect(
        case.family.f,
        case.family.make(leaf),
        samples=case.samples,
        noise=rp.Noise(7),
        estimator=case.estimator,
    )
    value.sum().backward()
    logits = case.family.logits.clone().requires_grad_()
    true = case.family.exact(logits)
    (exact,) = torch.autograd.grad(true, logits)
    for got, want in ((value.detach().unsqueeze(-1), true.detach()), (leaf.grad, exact)):
        floor = 1e-12 * (1 + want.abs())
        error = got.std(0) / n**0.5 + floor
        assert ((got.mean(0) - want).abs() < 5.5 * error).all()


@pytest.mark.parametrize("case", UNBIASED + BIASED, ids=name)
def test_value_and_shapes(case):
    """Value: the mean of f over the draws, bit for bit where promised; batches of any rank; f's own parameters."""
    seen = []
    theta = torch.ones((), dtype=F64, requires_grad=True)

    def f(z):
        seen.append((case.family.f(z) * theta).detach())
        return case.family.f(z) * theta

    logits = case.family.logits.expand(2, 3, -1).clone().requires_grad_()
    q = case.family.make(logits)
    samples = 2 * case.samples if type(case.estimator).__name__ != "WithoutReplacement" else case.samples
    value = rp.expect(f, q, samples=samples, noise=rp.Noise(3), estimator=case.estimator)
    assert value.shape == (2, 3)
    again = rp.expect(f, q, samples=samples, noise=rp.Noise(3), estimator=case.estimator)
    assert torch.equal(value, again)
    if case.estimator.plain_value:
        mains = [s[:samples] for s in seen if len(s) >= samples]
        assert any(torch.equal(value, s.mean(0)) for s in mains)
    value.sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0
    assert theta.grad is not None
    assert isinstance(type(case.estimator).cost, str)
    assert isinstance(type(case.estimator).source, str)


@pytest.mark.parametrize("case", [c for c in EXACT if c.any_order], ids=name)
def test_mixed_derivatives_exactly(case):
    """With f = theta f_0: d/dl dV/dtheta and d/dtheta dV/dl both have the mean dE f_0/dl."""
    numbers, weights = case.script(case.family, case.samples)
    logits, theta = (
        case.family.logits.clone().requires_grad_(),
        torch.tensor(1.3, dtype=F64, requires_grad=True),
    )
    q = expanded(case, logits, len(weights))
    value = case.estimator(lambda z: theta * case.family.f(z), q, case.samples, Scripted(0, numbers=numbers))
    of_logits, of_theta = torch.autograd.grad((weights * value).sum(), (logits, theta), create_graph=True)
    (exact,) = torch.autograd.grad(case.family.exact(logits), logits)
    (first,) = torch.autograd.grad(of_theta, logits, retain_graph=True)
    second = torch.stack([torch.autograd.grad(part, theta, retain_graph=True)[0] for part in of_logits])
    for got in (first, second):
        torch.testing.assert_close(got, exact, rtol=10 * case.tolerance, atol=10 * case.tolerance)


def test_hessian_helper_agrees_with_functorch():
    """The exact values themselves: two ways of differentiating the sum over states."""
    case = EXACT[0]
    torch.testing.assert_close(
        hessian(case.family.exact)(case.family.logits).diagonal().sum(), hessian_trace(case)
    )


def hessian_trace(case):
    x = case.family.logits.clone().requires_grad_()
    (g,) = torch.autograd.grad(case.family.exact(x), x, create_graph=True)
    return sum(torch.autograd.grad(g[i], x, retain_graph=True)[0][i] for i in range(len(x)))
