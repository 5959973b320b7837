"""Counts and grids: exact probabilities, draws that invert the distribution function, both tails."""

import math

import pytest
import scipy.stats
import torch

import reparam as rp
from reparam import distributions as D

NOISE = rp.Noise(20260803)
F64 = torch.float64


def f64(*values):
    return torch.tensor(values, dtype=F64)


# name, parameters, scipy's frozen law of each entry
CASES = [
    ("Geometric", {"probs": f64(0.3, 0.01, 0.999)}, lambda p: scipy.stats.geom(p, loc=-1)),
    (
        "Geometric",
        {"logits": f64(-20.0, 0.0, 2.0)},
        lambda l: scipy.stats.geom(1 / (1 + math.exp(-l)), loc=-1),
    ),
    ("Poisson", {"rate": f64(0.0, 1e-3, 0.7, 30.0, 1e4)}, scipy.stats.poisson),
    (
        "Binomial",
        {"total_count": f64(0, 1, 10, 10, 3000, 7), "probs": f64(0.3, 0.5, 0.05, 1.0, 0.7, 0.0)},
        scipy.stats.binom,
    ),
    (
        "NegativeBinomial",
        {"total_count": f64(0.1, 1.0, 12.5, 300.0, 0.0), "probs": f64(0.9, 0.5, 0.2, 0.97, 0.5)},
        lambda r, p: scipy.stats.nbinom(r, 1 - p) if r else scipy.stats.randint(0, 1),
    ),
]
EVERY = pytest.mark.parametrize(
    ("name", "params", "law"), CASES, ids=[f"{c[0]}-{list(c[1])[-1]}" for c in CASES]
)


def make(name, params, **options):
    return getattr(D, name)(**params, **options)


def frozen(params, law):
    return [law(*(v.item() for v in row)) for row in zip(*params.values())]


@EVERY
def test_draws_are_the_quantiles(name, params, law):
    q = make(name, params)
    spec = q.noise_spec((200,))
    eps = torch.cat((NOISE.draw(spec), NOISE.draw(spec).sign() * 6.0))
    if q.base_law == "exponential":
        eps = eps.abs()
    k = q.push(eps)
    assert (k == k.floor()).all()
    for i, right in enumerate(frozen(params, law)):
        here, e = k[:, i].numpy(), eps[:, i].numpy()
        if q.base_law == "exponential":  # S(k) = (1 - p)^(k + 1) <= e^-eps < S(k - 1)
            assert (right.logsf(here) <= -e + 1e-9).all()
            assert ((right.logsf(here - 1) >= -e - 1e-9) | (here == 0)).all()
            continue
        low, high = scipy.stats.norm.logcdf(e), scipy.stats.norm.logsf(e)
        tail = e > 0
        reached = (right.logsf(here) <= high + 1e-8) | ~tail, (right.logcdf(here) >= low - 1e-8) | tail
        before = (right.logsf(here - 1) >= high - 1e-8) | ~tail, (right.logcdf(here - 1) <= low + 1e-8) | tail
        assert reached[0].all()
        assert reached[1].all()
        assert (before[0] | (here == 0)).all()
        assert (before[1] | (here == 0)).all()


@EVERY
def test_probabilities_and_moments(name, params, law):
    q = make(name, params)
    k = q.sample((300,), noise=NOISE)
    for i, right in enumerate(frozen(params, law)):
        ours, theirs = q.log_prob(k)[:, i], torch.from_numpy(right.logpmf(k[:, i].numpy()))
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
        ours, theirs = q.cdf(k)[:, i], torch.from_numpy(right.cdf(k[:, i].numpy()))
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    assert (q.cdf(torch.full(q.batch_shape, -1.0, dtype=F64)) == 0).all()


@EVERY
def test_the_law_of_the_draws(name, params, law):
    """n = 20,000; mean and variance of 21 laws: 42 statistics against 5.5 standard errors: false alarm 2e-6."""
    n = 20_000
    q = make(name, params)
    k = q.sample((n,), noise=NOISE)
    for value, right in ((k, q.mean), ((k - q.mean) ** 2, q.variance)):
        error = (value.mean(0) - right) / (value.std(0) / n**0.5).clamp(min=1e-2 * n**-0.5)
        assert error.abs().max() < 5.5


@EVERY
def test_derivatives_shapes_and_conversion(name, params, law):
    q = make(name, params)
    assert q.rule == "none"
    assert not q.has_rsample
    with pytest.raises(NotImplementedError, match="no derivative"):
        q.rsample(noise=NOISE)
    size = q.batch_shape
    assert q.expand((4, *size)).sample((2,), noise=NOISE).shape == (2, 4, *size)
    whole = q.sample((3,), noise=NOISE.rows(torch.arange(*size)))
    one = make(name, {key: value[1:2] for key, value in params.items()})
    assert torch.equal(one.sample((3,), noise=NOISE.rows([1])), whole[:, 1:2])
    theirs = getattr(torch.distributions, name)(**params)
    assert torch.equal(D.convert(theirs).sample((3,), noise=NOISE), q.sample((3,), noise=NOISE))
    assert isinstance(q, type(theirs))
    for dtype in (torch.float32, torch.bfloat16):
        narrow = make(name, {key: value.to(dtype) for key, value in params.items()}, validate_args=False)
        assert narrow.sample((2,), noise=NOISE).dtype == dtype
    assert torch.equal(
        torch.func.vmap(q.push, randomness="error")(NOISE.draw(q.noise_spec((3,)))),
        q.sample((3,), noise=NOISE),
    )


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("Geometric", {"logits": f64(-0.4, 1.0)}),
        ("Poisson", {"rate": f64(0.3, 40.0)}),
        ("Binomial", {"logits": f64(-0.4, 1.0), "total_count": f64(5, 70)}),
        ("NegativeBinomial", {"total_count": f64(0.4, 30.0), "logits": f64(-0.4, 1.0)}),
    ],
)
def test_log_prob_and_cdf_differentiate(name, params):
    k = make(name, params).sample((4,), noise=NOISE)
    real = [key for key in params if not (name == "Binomial" and key == "total_count")]

    def both(*values):
        q = make(name, {**params, **dict(zip(real, values))}, validate_args=False)
        return q.log_prob(k), q.cdf(k)

    values = tuple(params[key].clone().requires_grad_() for key in real)
    assert torch.autograd.gradcheck(both, values, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(both, values, atol=1e-4)


def test_large_counts_do_not_cancel():
    """log P(rate; rate) = -log(2 pi rate)/2 - 1/(12 rate) to the last digits."""
    rate = f64(1e6, 1e7)
    right = -0.5 * torch.log(2 * torch.pi * rate) - 1 / (12 * rate)
    torch.testing.assert_close(D.Poisson(rate).log_prob(rate), right, rtol=1e-13, atol=0)
    k = D.Poisson(f64(1e7)).sample((1000,), noise=NOISE)
    assert ((k - 1e7).abs() < 6 * 1e7**0.5).all()


def test_zero_inflated():
    """n = 20,000; two statistics of 3 laws against 5 standard errors: false alarm 4e-6."""
    base = torch.distributions.NegativeBinomial(f64(2.0, 5.0, 0.5), probs=f64(0.5, 0.3, 0.9))
    logits = f64(-1.0, 2.0, 0.0).requires_grad_()
    q = D.ZeroInflated(base, logits)
    k = torch.arange(3000, dtype=F64)[:, None].expand(-1, 3)
    torch.testing.assert_close(q.log_prob(k).exp().sum(0), torch.ones(3, dtype=F64))
    torch.testing.assert_close((k * q.log_prob(k).exp()).sum(0), q.mean)
    torch.testing.assert_close(((k - q.mean) ** 2 * q.log_prob(k).exp()).sum(0), q.variance)
    n = 20_000
    z = q.sample((n,), noise=NOISE)
    for value, right in ((z, q.mean), ((z == 0).to(F64), q.log_prob(torch.zeros(3, dtype=F64)).exp())):
        assert ((value.mean(0) - right) / (value.std(0) / n**0.5)).abs().max() < 5
    assert torch.autograd.gradcheck(lambda l: D.ZeroInflated(base, l).log_prob(k[:4]), (logits,))
    assert q.expand((2, 3)).sample(noise=NOISE).shape == (2, 3)
    for other in (
        D.Geometric(f64(0.5)),
        D.Bernoulli(f64(0.5)),
        D.DiscretizedLogistic(f64(0.0), f64(1.0), 0, 3, 4),
    ):
        assert D.ZeroInflated(other, 0.0).sample((2,), noise=NOISE).shape == (2, 1)
    with pytest.raises(TypeError, match="ZeroInflated: base must be a law of scalar counts; got Normal"):
        D.ZeroInflated(D.Normal(0.0, 1.0), 0.0)


def test_discretized_logistic():
    """Sums to one, draws follow it (n = 20,000, 256 cells, chi2 below its 1 - 1e-6 quantile), far tails are finite."""
    loc, scale = f64(100.0, -50.0, 254.8, 3.0).requires_grad_(), f64(8.0, 30.0, 0.05, 1e-3).requires_grad_()
    q = D.DiscretizedLogistic(loc, scale, 0, 255, 256)
    grid = q.enumerate_support()
    torch.testing.assert_close(q.log_prob(grid).exp().sum(0), torch.ones(4, dtype=F64), rtol=1e-12, atol=0)
    torch.testing.assert_close(q.log_prob(grid).exp().cumsum(0), q.cdf(grid), rtol=1e-10, atol=1e-13)
    n = 20_000
    z = q.sample((n,), noise=NOISE)
    assert q.support.check(z).all()
    for i in range(2):
        seen = torch.bincount(z[:, i].long(), minlength=256)
        expected = n * q.log_prob(grid)[:, i].exp().detach()
        many = expected > 5
        chi2 = ((seen - expected)[many] ** 2 / expected[many]).sum()
        assert chi2 < scipy.stats.chi2.isf(1e-6, int(many.sum()))
    first = torch.autograd.grad(q.log_prob(grid).sum(), (loc, scale))
    assert all(g.isfinite().all() for g in first)
    mid = f64(100.0, 0.0, 255.0, 5.0)

    def log_prob(loc, scale):
        return D.DiscretizedLogistic(loc, scale, 0, 255, 256).log_prob(mid)

    values = (f64(100.3, -50.0, 254.8, 3.0).requires_grad_(), f64(8.0, 30.0, 0.5, 1.0).requires_grad_())
    assert torch.autograd.gradcheck(log_prob, values, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(log_prob, values)
    # 1e3 scales away: log P = -(x - w/2 - loc)/scale + log(1 - e^(-w/scale)), slope 1/scale in loc
    far = D.DiscretizedLogistic(torch.tensor(0.0, requires_grad=True), torch.tensor(0.1), 0, 255, 256)
    value = far.log_prob(torch.tensor(100.0))
    torch.testing.assert_close(value, torch.tensor(-995.0) + math.log(-math.expm1(-10)))
    torch.testing.assert_close(torch.autograd.grad(value, far.loc)[0], torch.tensor(10.0))
    mixture = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(torch.ones(4)), q)
    torch.testing.assert_close(mixture.log_prob(grid[:, 0]).exp().sum(), torch.tensor(1.0, dtype=F64))
    assert q.expand((2, 4)).sample(noise=NOISE).shape == (2, 4)
    with pytest.raises(ValueError, match="bins must be an int of 2 or more"):
        D.DiscretizedLogistic(0.0, 1.0, 0, 255, 1)
    with pytest.raises(ValueError, match="low must be below high"):
        D.DiscretizedLogistic(0.0, 1.0, 255, 0, 256)
    with pytest.raises(ValueError, match="support"):
        D.DiscretizedLogistic(0.0, 1.0, 0, 255, 256).log_prob(torch.tensor(0.5))
