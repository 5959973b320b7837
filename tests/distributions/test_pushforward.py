"""Folds and other maps with branches: closed forms, the mean over the preimages, and what is refused."""

import math

import pytest
import torch
from torch.distributions.transforms import (
    AbsTransform,
    AffineTransform,
    ExpTransform,
    PowerTransform,
    SigmoidTransform,
)

import reparam as rp
from reparam import distributions as D
from reparam.transforms.branches import Absolute, Branched, Square

NOISE = rp.Noise(20260811)
F64 = torch.float64
LOC = torch.tensor([0.0, 1.0, -3.0], dtype=F64)
SCALE = torch.tensor([1.0, 2.0, 0.5], dtype=F64)
X = torch.tensor([0.01, 0.5, 2.0, 7.0], dtype=F64)[:, None]


def test_folded_normal_has_its_closed_form():
    """log q(x) = log(2/pi)/2 - log s - (x^2 + m^2)/(2 s^2) + log cosh(m x/s^2)."""
    q = D.Folded(D.Normal(LOC, SCALE))
    right = 0.5 * math.log(2 / math.pi) - SCALE.log() - (X**2 + LOC**2) / (2 * SCALE**2)
    t = LOC * X / SCALE**2
    right = right + t.abs() + torch.log1p(torch.exp(-2 * t.abs())) - math.log(2)
    torch.testing.assert_close(q.log_prob(X), right, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(
        q.cdf(X), torch.special.ndtr((X - LOC) / SCALE) - torch.special.ndtr((-X - LOC) / SCALE)
    )
    half = D.HalfNormal(SCALE[:1])
    same = D.Folded(D.Normal(LOC[:1], SCALE[:1]))
    torch.testing.assert_close(same.log_prob(X), half.log_prob(X))
    torch.testing.assert_close(same.icdf(X / 8), half.icdf(X / 8))
    assert torch.equal(same.sample((5,), noise=NOISE), half.sample((5,), noise=NOISE))


def test_square_of_a_normal_is_chi2():
    one = torch.ones(1, dtype=F64)
    q, right = D.Pushforward(D.Normal(0 * one, one), Square()), D.Chi2(one)
    torch.testing.assert_close(q.log_prob(X), right.log_prob(X))
    torch.testing.assert_close(q.cdf(X), right.cdf(X))
    torch.testing.assert_close(q.survival(50 * X), right.survival(50 * X), rtol=1e-12, atol=0)
    torch.testing.assert_close(q.isf(1e-9 * X), right.isf(1e-9 * X))


@pytest.mark.parametrize(
    "maps",
    [
        [ExpTransform()],
        [AffineTransform(2.0, -0.5)],
        [SigmoidTransform()],
        [AffineTransform(0.0, 0.3), ExpTransform()],
    ],
)
def test_one_to_one_maps_agree_with_torch(maps):
    base = D.Normal(LOC, SCALE)
    q, theirs = D.Pushforward(base, maps), torch.distributions.TransformedDistribution(base, maps)
    z = q.rsample((7,), noise=NOISE)
    torch.testing.assert_close(q.log_prob(z), theirs.log_prob(z))
    torch.testing.assert_close(q.cdf(z), theirs.cdf(z))
    u = torch.tensor([0.1, 0.6], dtype=F64)[:, None]
    torch.testing.assert_close(q.icdf(u), theirs.icdf(u))


@pytest.mark.parametrize("map_", [Absolute(), Square(), AbsTransform()], ids=["absolute", "square", "torch"])
def test_pathwise_is_the_mean_over_the_preimages(map_):
    """-F_phi/q = sum over b of q_b T'(b) db/dphi / sum over b of q_b, with q_b = q_base(b)/|T'(b)|."""
    base = D.Normal(LOC, SCALE)
    q = D.Pushforward(base, map_)
    velocity = q.pathwise(X.expand(4, 3))
    root = X.sqrt() if isinstance(map_, Square) else X
    slope = 2 * root if isinstance(map_, Square) else torch.ones_like(root)
    total, moved = 0.0, dict.fromkeys(velocity, 0.0)
    for b, s in ((root, slope), (-root, -slope)):
        weight = torch.exp(base.log_prob(b)) / s.abs()
        total = total + weight
        for name, v in base.pathwise(b).items():
            moved[name] = moved[name] + weight * s * v
    for name, v in velocity.items():
        torch.testing.assert_close(v, moved[name] / total, rtol=1e-10, atol=1e-12)


def test_gradient_of_an_expectation_through_the_fold():
    """E |x| of N(m, s^2) is s sqrt(2/pi) e^(-m^2/2s^2) + m erf(m/(s sqrt 2)): its slope in m, n = 40,000, 5 errors."""
    loc, n = LOC.clone().requires_grad_(), 40_000
    wide = loc.expand(n, 3)
    z = D.Folded(D.Normal(wide, SCALE)).rsample(noise=NOISE)
    grads = torch.autograd.grad(z.sum(), wide)[0]
    right = torch.erf(LOC / SCALE / math.sqrt(2))
    assert ((grads.mean(0) - right).abs() <= 5 * grads.std(0) / n**0.5 + 1e-6).all()


def test_parameters_of_the_transforms_have_gradients():
    shift = torch.tensor(0.3, dtype=F64, requires_grad=True)
    q = D.Pushforward(D.Normal(LOC, SCALE), [AffineTransform(shift, 2.0), Square()])
    x = X.expand(4, 3)
    for value in (
        q.rsample(noise=NOISE).sum(),
        q.log_prob(x).sum(),
        q.cdf(x).sum(),
        q.icdf(q.cdf(x).detach()).sum(),
    ):
        (grad,) = torch.autograd.grad(value, shift)
        assert torch.isfinite(grad)
        assert grad != 0
    assert not rp.detach(q).rsample(noise=NOISE).requires_grad


def test_a_map_of_ones_own():
    class Cosh(Branched):
        def _call(self, x):
            return torch.cosh(x) - 1

        def root(self, y):
            return torch.acosh(1 + y)

        def log_slope(self, x):
            return torch.log(torch.sinh(x).abs())

    q = D.Pushforward(D.Normal(LOC, SCALE), Cosh())
    z = q.rsample((9,), noise=NOISE)
    torch.testing.assert_close(q.icdf(q.cdf(z)), z, rtol=1e-9, atol=1e-12)
    u = ((torch.arange(2000, dtype=F64) + 0.5) / 2000)[:, None]
    torch.testing.assert_close(
        torch.exp(q.log_prob(z)), torch.autograd.functional.jvp(q.cdf, z, torch.ones_like(z))[1]
    )
    assert q.icdf(u).isfinite().all()


def test_what_is_refused():
    with pytest.raises(TypeError, match="Pushforward: base must be a one-dimensional family"):
        D.Pushforward(D.Dirichlet(torch.ones(3)), Square())
    with pytest.raises(TypeError, match="law on the circle"):
        D.Folded(D.VonMises(torch.zeros(1), torch.ones(1)))
    with pytest.raises(ValueError, match="defined on the support before it"):
        D.Pushforward(D.Normal(LOC, SCALE), PowerTransform(2.0))
    with pytest.raises(TypeError, match="Pushforward: transforms must be monotone"):
        D.Pushforward(D.Normal(LOC, SCALE), torch.distributions.transforms.SoftmaxTransform())
    with pytest.raises(ValueError, match="support"):
        D.Folded(D.Normal(LOC, SCALE)).log_prob(torch.tensor(-1.0, dtype=F64))


def test_a_law_built_inside_a_compiled_region():
    """A map of one's own and torch's, with a tensor each; one that holds a function says what to do."""

    class Scaled(Branched):
        def __init__(self, scale, of=None):
            super().__init__()
            self.scale, self.of = scale, of

        def _call(self, x):
            return self.scale * x * x

        def root(self, y):
            return torch.sqrt(y / self.scale)

        def log_slope(self, x):
            return torch.log(2 * self.scale * x.abs())

    u = torch.tensor([0.1, 0.6], dtype=F64)[:, None]

    def law(shift, scale, of=None):
        maps = [AffineTransform(shift, 2.0), Scaled(scale, of), ExpTransform()]
        base = D.Normal(LOC, SCALE, validate_args=False)
        return D.Pushforward(base, maps, validate_args=False)

    def quantile(*values):
        return law(*values).icdf(u)

    values = [torch.tensor(v, dtype=F64, requires_grad=True) for v in (0.3, 1.5)]
    compiled = torch.compile(quantile, fullgraph=True, backend="aot_eager")(*values)
    right = quantile(*values)
    torch.testing.assert_close(compiled, right, rtol=1e-12, atol=0)
    pairs = [torch.autograd.grad(x.sum(), values) for x in (compiled, right)]
    torch.testing.assert_close(*pairs, rtol=1e-10, atol=1e-12)
    inside = torch.compile(lambda *v: law(*v, torch.sin).cdf(2 + u), fullgraph=True, backend="aot_eager")
    with pytest.raises(Exception, match="outside of the compiled region"):
        inside(*values)
