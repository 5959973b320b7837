"""What only the Dirichlet and the matrix families promise."""

import warnings

import pytest
import torch

import reparam as rp
from reparam import distributions as D
from reparam import special

NOISE = rp.Noise(20260802)
F64 = torch.float64


@pytest.mark.parametrize(("concentration", "right"), [(1e-3, 0.9934), (2e-3, 0.9871)])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_tiny_concentrations_keep_their_law(concentration, right, dtype):
    """n = 40,000: standard error 4e-4 to 6e-4; 4 statistics against 5 of them: false alarm 2e-6."""
    n = 40_000
    x = D.Dirichlet(torch.full((4,), concentration, dtype=dtype)).sample((n,), noise=NOISE)
    share = (x.amax(-1) > 0.9).to(F64).mean()
    assert abs(share - right) < 5 * (right * (1 - right) / n) ** 0.5 + 5e-5
    assert not x.isnan().any()


def test_two_coordinates_are_a_beta_law_with_its_second_derivatives():
    a = torch.tensor([[0.4, 3.0], [2.0, 0.5], [40.0, 900.0]], dtype=F64, requires_grad=True)
    x = D.Dirichlet(a).rsample((5,), noise=NOISE)[..., 0]
    xi = torch.logit(x.detach())
    y = torch.sigmoid(special.attach(special.BETA, xi, a[:, 0], a[:, 1]))
    for ours, right in zip(slopes(x, a), slopes(y, a)):
        torch.testing.assert_close(ours, right, rtol=1e-8, atol=1e-10)


def slopes(x, a):
    (first,) = torch.autograd.grad(x.sum(), a, create_graph=True)
    return (
        first,
        torch.autograd.grad(first[:, 0].sum(), a, retain_graph=True)[0],
        *torch.autograd.grad(first[:, 1].sum(), a),
    )


def test_dirichlet_hessian_of_an_expectation():
    """E x_0^2 = a (a + 1)/(A (A + 1)): gradient and Hessian over n = 100,000 draws, within 5 standard errors."""
    n = 100_000
    a = torch.tensor([0.7, 2.0, 1.5], dtype=F64)

    def exact(a):
        total = a.sum()
        return a[0] * (a[0] + 1) / (total * (total + 1))

    wide = a.expand(n, 3).clone().requires_grad_()
    x = D.Dirichlet(wide).rsample(noise=NOISE)
    (first,) = torch.autograd.grad((x[:, 0] ** 2).sum(), wide, create_graph=True)
    rows = [torch.autograd.grad(first[:, k].sum(), wide, retain_graph=True)[0] for k in range(3)]
    second = torch.stack(rows, 1).detach()
    second = (second + second.mT) / 2
    for value, right in ((first.detach(), torch.func.grad(exact)(a)), (second, torch.func.hessian(exact)(a))):
        assert ((value.mean(0) - right) / (value.std(0) / n**0.5)).abs().max() < 5


def test_dirichlet_extremes():
    for dtype in (torch.float32, F64):
        a = torch.tensor(
            [[1e-4, 1e-4, 1e-4], [1e7, 1e7, 1e-3], [1e-3, 1.0, 1e6], [65536.0 + 1039, 1.5, 1.0]], dtype=dtype
        ).requires_grad_()
        x = D.Dirichlet(a).rsample((20_000,), noise=NOISE)
        assert D.Dirichlet(a).support.check(x).all()
        (gradient,) = torch.autograd.grad((x * x).sum(), a)
        assert gradient.isfinite().all()
        assert all(
            v.isfinite().all() for v in D.Dirichlet(a).pathwise(x[:50].detach().clamp(min=1e-30)).values()
        )


def test_wishart_draws_once_without_a_warning():
    df = torch.tensor([1.05, 5.0, 30.0], dtype=F64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        q = D.Wishart(df, covariance_matrix=torch.eye(2, dtype=F64))
        x = q.rsample((20_000,), noise=NOISE)
    # log det X = log chi2(df) + log chi2(df - 1): mean psi(df/2) + psi((df - 1)/2) + 2 log 2
    log_det = torch.linalg.slogdet(x)[1]
    right = torch.digamma(df / 2) + torch.digamma((df - 1) / 2) + 2 * torch.log(torch.tensor(2.0, dtype=F64))
    near = df > 2  # below, a determinant is often smaller than the rounding of the product
    score = (log_det.mean(0) - right) / (log_det.std(0) / 20_000**0.5)
    assert score[near].abs().max() < 5
    assert not x.isnan().any()


@pytest.mark.parametrize("name", ["scale_tril", "covariance_matrix", "precision_matrix"])
def test_wishart_converts_with_the_matrix_that_was_given(name):
    matrix = torch.tensor([[2.0, 0.0], [0.0, 3.0]], dtype=F64, requires_grad=True)
    theirs = torch.distributions.Wishart(torch.tensor(4.0, dtype=F64), **{name: matrix})
    ours = D.convert(theirs)
    assert isinstance(ours, torch.distributions.Wishart)
    x = ours.rsample((3,), noise=NOISE)
    assert ours.pathwise(x.detach()).keys() == {"df", name}
    torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x))
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.entropy(), theirs.entropy())


def test_wrong_parameters_are_named():
    with pytest.raises(ValueError, match="Wishart: exactly one of covariance_matrix"):
        D.Wishart(torch.tensor(3.0))
    with pytest.raises(ValueError, match="must have shape"):
        D.Wishart(torch.tensor(3.0), scale_tril=torch.ones(2, 3))
    with pytest.raises(ValueError, match="exactly one"):
        D.MultivariateNormal(torch.zeros(2), torch.eye(2), scale_tril=torch.eye(2))
