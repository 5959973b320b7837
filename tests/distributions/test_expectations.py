"""Gradients of expectations: the mean over draws against quadrature, and the continuity equation on the sphere.

dE f/dphi = int f'(x) v(x) q(x) dx with v = -F_phi/q: by the trapezoid rule in the normal score of x on one side, by the
derivatives of n draws on the other. Five functions of y = asinh((x - median)/spread): three cosines at random shifts,
y^2, and the log density. About 1,300 statistics of standard error 1; the threshold 5.5 gives a false alarm in 5e-5 of
all suites, and sees a bias of 5.5/sqrt(n) = .05 standard deviations of the gradient at n = 12,000.
"""

import math

import pytest
import torch

import reparam as rp
from distributions.cases import CASES
from reparam import distributions as D

F64 = torch.float64
NOISE = rp.Noise(20260904)
EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
SHIFTS = NOISE.child("shifts").uniform((3,), dtype=F64) * 2 * math.pi
SCORES = torch.linspace(-8.0, 8.0, 3201, dtype=F64)[:, None]


def functions(case, q):
    """The five functions of the draws of q, whose parameters they hold fixed."""
    fixed = rp.detach(q)
    half = torch.full(q.batch_shape, 0.5, dtype=F64)
    middle, spread = fixed.icdf(half), fixed.icdf(half + 0.25) - fixed.icdf(half - 0.25)

    def log_density(z):
        return case.make(fixed_parameters, validate_args=False).log_prob(z) + 0 * z

    fixed_parameters = {name: value.detach() for name, value in case.batch().items()}
    if case.name == "VonMises":  # periodic ones
        waves = [lambda z, k=k, s=s: torch.cos(k * z + s) for k, s in zip((1, 2, 3), SHIFTS)]
        return [*waves, lambda z: torch.sin(z) ** 2, log_density]

    def feature(z):
        return torch.asinh((z - middle) / spread)

    waves = [lambda z, w=w, s=s: torch.cos(w * feature(z) + s) for w, s in zip((0.7, 1.5, 3.0), SHIFTS)]
    return [*waves, lambda z: feature(z) ** 2, log_density]


@EVERY
def test_gradients_of_expectations(case):
    n = 1_500 if case.costly else 12_000
    params = case.batch()
    q = case.make(params)
    x = q.at_score(SCORES)
    weight = torch.exp(-SCORES * SCORES / 2)
    inside = (x > getattr(q.support, "lower_bound", -torch.inf)) & (
        x < getattr(q.support, "upper_bound", torch.inf)
    )
    assert ((weight * ~inside).sum(0) < 1e-6 * weight.sum()).all()  # x rounds to an end of the support there
    velocity = case.rename(q.pathwise(x))
    wide = {name: value.expand(n, *value.shape).clone().requires_grad_() for name, value in params.items()}
    z = case.make(wide, validate_args=False).rsample(noise=NOISE.child(case.name))
    for f in functions(case, q):
        point = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(f(point).sum(), point)
        draws = torch.autograd.grad(f(z).sum(), list(wide.values()), retain_graph=True, allow_unused=True)
        for name, each in zip(params, draws):
            known = torch.isfinite(params[name])
            terms = torch.where(inside & (slope != 0), weight * slope * velocity[name], 0.0)
            right = terms.sum(0) / weight.sum()
            error = each.std(0) / n**0.5 + 1e-6 * right.abs() + 1e-12
            score = (each.mean(0) - right) / error
            assert (score.abs()[known] < 5.5).all(), (name, score, each.mean(0), right)


@pytest.mark.parametrize("family", [D.VonMisesFisher, D.PowerSpherical])
@pytest.mark.parametrize("d", [2, 3, 5])
def test_fields_on_the_sphere_solve_the_continuity_equation(family, d):
    """d log q/dphi + div v + v . grad log q = 0 on the sphere, with v(x/|x|) as its extension to space."""
    mu = torch.nn.functional.normalize(torch.arange(1.0, d + 1, dtype=F64), dim=0)
    kappa = torch.tensor(2.3, dtype=F64)
    tangent = torch.nn.functional.normalize(torch.eye(d, dtype=F64)[0] - mu[0] * mu, dim=0)
    q = family(mu, kappa)

    def unit(x):
        return x / x.norm()

    fields = {
        "concentration": (
            lambda x: q.pathwise(unit(x))["concentration"],
            lambda t, x: family(mu, kappa + t, validate_args=False).log_prob(x),
        ),
        "loc": (  # along a direction on the sphere: mu cos t + tangent sin t
            lambda x: (q.pathwise(unit(x))["loc"] * tangent).sum(-1),
            lambda t, x: family(
                mu * torch.cos(t) + tangent * torch.sin(t), kappa, validate_args=False
            ).log_prob(x),
        ),
    }
    free = family(mu, kappa, validate_args=False)
    for x in q.sample((4,), noise=NOISE):
        score = torch.func.grad(lambda x: free.log_prob(unit(x)))(x)
        for name, (field, log_q) in fields.items():
            v = field(x)
            assert abs((v * x).sum().item()) < 1e-12 * (1 + v.norm().item()), name
            moved = torch.func.grad(log_q)(torch.zeros((), dtype=F64), x)
            divergence = torch.func.jacrev(field)(x).trace()
            total = moved + divergence + (v * score).sum()
            assert abs(total.item()) < 1e-8 * (1 + moved.abs().item() + divergence.abs().item()), (
                name,
                total,
            )
