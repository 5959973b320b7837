"""The laws of one-dimensional families at parameters that hypothesis picks, the same ones in each run.

Parameters are drawn over several powers of ten, noise in both tails to 5.5 normal scores. x is one rounding away from
the exact number, which moves F by q |x| eps: tolerances say so.
"""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import HealthCheck, given, settings

import reparam as rp
from distributions.cases import CASES

F64 = torch.float64
NOISE = rp.Noise(20260902)
SLOW = ("Folded(StudentT)", "Pushforward(square)")
EVERY = pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.stats if case.name in SLOW else ()) for case in CASES],
    ids=lambda case: case.name,
)
SCORES = torch.tensor([-5.5, -3.0, -1.1, -0.2, 0.3, 1.7, 4.0, 5.5], dtype=F64)
EPS = 2.3e-16


def powers(low, high):
    return st.floats(low, high).map(lambda e: float(torch.tensor(10.0**e).float()))


REAL, SCALE = st.floats(-50, 50, width=32), powers(-3, 3)
SHAPE = powers(-1, 4)
# by family and parameter, where the default for the name is too wide or not allowed
RANGES = {
    "loc": REAL,
    "scale": SCALE,
    "rate": SCALE,
    "concentration": SHAPE,
    "df": powers(-1, 5),
    "df1": powers(-0.5, 4),
    "df2": powers(-0.5, 4),
    "alpha": powers(-0.5, 3),
    "concentration1": SHAPE,
    "concentration0": SHAPE,
    "logits": st.floats(-30, 30, width=32),
    "probs": st.floats(0.015625, 0.984375, width=32),
    "l0": st.floats(-3, 3, width=32),
    "l1": st.floats(-3, 3, width=32),
    **{f"m{k}": st.floats(-5, 5, width=32) for k in range(2)},
    **{f"s{k}": powers(-1, 1) for k in range(2)},
}
OWN = {
    "LogNormal": {"loc": st.floats(-20, 20, width=32), "scale": powers(-2, 0.5)},
    "Weibull": {"concentration": powers(-0.7, 2)},
    "GeneralizedPareto": {"concentration": st.floats(-2, 1, width=32), "loc": st.floats(-2, 2, width=32)},
    "Kumaraswamy": {"concentration1": powers(-0.7, 1.5), "concentration0": powers(-0.7, 1.5)},
    "VonMises": {"loc": st.floats(-0.5, 0.5, width=32), "concentration": powers(-2, 4)},
    "InverseGaussian": {"loc": powers(-1, 1), "concentration": powers(-1, 3)},
    "Mixture(Normal, Gamma)": {
        "loc": st.floats(-5, 5, width=32),
        "scale": powers(-1, 1),
        "concentration": powers(-0.3, 2),
        "rate": powers(-1, 1),
    },
    "TruncatedNormal": {"low": st.floats(-4, 12, width=32), "high": powers(-1.5, 1)},
    "Truncated(Gumbel)": {"low": st.floats(-1, 12, width=32), "high": powers(-1.5, 1)},
    "Truncated(Exponential)": {"low": st.floats(-1, 12, width=32), "high": powers(-1.5, 1)},
    "Uniform": {"low": REAL, "high": SCALE},
    "Folded(Normal)": {"loc": st.floats(-3, 3, width=32), "scale": powers(-1, 1)},
    "Folded(StudentT)": {"df": powers(0, 3), "loc": st.floats(-3, 3, width=32), "scale": powers(-1, 1)},
    "Pushforward(square)": {"loc": st.floats(-3, 3, width=32), "scale": powers(-1, 1)},
    "Pushforward(exp of falling)": {"loc": st.floats(-5, 5, width=32), "scale": powers(-1, 0.5)},
}
MANY, FEW = 10, 4  # examples; few for the families whose quantiles are roots or whose masses are integrals
PROFILE = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def parameters(case):
    """A strategy of one parameter set, as tensors of shape (1,); of bounds, `high` is drawn as low + a width."""
    ranges = {name: OWN.get(case.name, {}).get(name, RANGES.get(name)) for name in case.params}

    def tensors(values):
        if "high" in values:  # both bounds in units of the law: its loc and scale, or 1/rate
            scale = values.get("scale", 1 / values.get("rate", 1.0)) if case.name != "Uniform" else 1.0
            start = values.get("loc", 0.0) if case.name != "Uniform" else 0.0
            values = values | {
                "low": start + scale * values["low"],
                "high": start + scale * (values["low"] + values["high"]),
            }
        return {name: torch.tensor([values[name]], dtype=F64) for name in case.params}

    return st.fixed_dictionaries(ranges).map(tensors)


def run(case, law):
    examples = FEW if case.name.startswith(("Folded", "Truncated", "Pushforward(sq")) or case.costly else MANY

    @settings(PROFILE, max_examples=examples)
    @given(parameters(case))
    def hold(params):
        law(case, params, case.make(params))

    hold()


def at_scores(q):
    """x at the scores from the nearer tail, with p and the side; only numbers inside the open support."""
    upper = SCORES[:, None] > 0
    p = torch.special.ndtr(-SCORES.abs())[:, None]
    x = torch.where(upper, q.isf(p), q.icdf(p))
    low, high = (
        torch.as_tensor(getattr(q.support, name, limit))
        for name, limit in (("lower_bound", -torch.inf), ("upper_bound", torch.inf))
    )
    inside = (x > low) & (x < high) & x.isfinite() & (x.abs() > 1e-290)
    return x, p.expand_as(x), upper.expand_as(x), inside


def grain(case, params, x):
    """The spacing of the floats that x is made of: its own, and those of what it is a sum or a difference of."""
    size = x.abs() + case.grain
    for name in ("loc", "low", "high"):
        size = size + (params[name].abs() if name in params and case.name != "LogNormal" else 0.0)
    return 4 * EPS * size


def inverse_in_both_tails(case, params, q):
    x, p, upper, inside = at_scores(q)
    back = torch.where(upper, q.survival(x), q.cdf(x))
    rounding = grain(case, params, x) * torch.exp(q.log_prob(x))
    bad = inside & ~((back - p).abs() <= 1e-11 * p + rounding)
    assert not bad.any(), (params, x[bad], back[bad], p[bad])
    again = torch.where(upper, q.isf(back.clamp(max=0.999)), q.icdf(back.clamp(max=0.999)))
    moved = 1e-11 * p / torch.exp(q.log_prob(x))
    near = (again - x).abs() <= moved + 2 * grain(case, params, x)
    assert (near | ~inside).all(), (params, x, again)
    assert ((q.cdf(x) + q.survival(x) - 1).abs() < 1e-13).all()


def monotone(case, params, q):
    eps = torch.linspace(0.01, 0.99, 60, dtype=F64)[:, None]
    if case.name != "Uniform" and q.base_law != "uniform":
        scores = torch.special.ndtri(eps)
        eps = -torch.log1p(-eps) if q.noise_spec(()).law == "exponential" else scores
        eps = eps.abs().sort(0).values if case.kinks else eps
    if case.name == "VonMises":  # about 0: a law on the circle wraps
        q = case.make(params | {"loc": torch.zeros_like(params["loc"])})
    if case.kinks and not case.exact:
        return  # a fold of a law that is not even about it is not monotone in the base's noise
    z = q.push(eps)
    steps = z.diff(dim=0)
    slack = grain(case, params, z[1:])
    assert (steps >= -slack).all() or (steps <= slack).all(), (params, steps)


def density_is_the_slope(case, params, q):
    x, _, upper, inside = at_scores(q)
    x = x.detach().requires_grad_()
    mass = torch.where(upper, -q.survival(x), q.cdf(x))
    (slope,) = torch.autograd.grad(mass[inside].sum(), x)
    right = q.log_prob(x).detach()
    error = (slope.log() - right).abs() / right.abs().clamp(min=1.0)
    assert (error[inside] < 1e-9).all(), (params, x[inside], slope[inside], right[inside])


def pathwise_is_the_slope_of_the_draw(case, params, q):
    if not case.exact:
        return
    params = {name: value.clone().requires_grad_() for name, value in params.items()}
    moving = case.make(params)
    eps = NOISE.draw(moving.noise_spec((6,)))
    z = moving.push(eps)
    inside = (z != 0) & z.isfinite()
    names = case.rename(moving.pathwise(z.detach()))
    natural = torch.minimum(q.cdf(z.detach()), q.survival(z.detach())) / torch.exp(q.log_prob(z.detach()))
    for name, value in params.items():
        rows = torch.stack([torch.autograd.grad(row.sum(), value, retain_graph=True)[0] for row in z])
        # one rounding of z moves its derivative by d(dz/dphi)/dz eps |z|, of the order of the second term
        scale = rows.abs() + natural / value.abs().clamp(min=1e-3)
        bad = inside & ~((names[name] - rows).abs() <= 1e-8 * scale + 1e-290)
        assert not bad.any(), (name, params, z[bad], names[name][bad], rows[bad])


def draws_are_the_same_numbers(case, params, q):
    assert torch.equal(q.rsample((5,), noise=NOISE), q.sample((5,), noise=NOISE))
    moving = case.make({name: value.clone().requires_grad_() for name, value in params.items()})
    drawn = moving.rsample((5,), noise=NOISE).detach()
    torch.testing.assert_close(drawn, q.sample((5,), noise=NOISE), rtol=1e-12, atol=1e-13)


LAWS = [
    inverse_in_both_tails,
    monotone,
    density_is_the_slope,
    pathwise_is_the_slope_of_the_draw,
    draws_are_the_same_numbers,
]


@EVERY
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(case, law):
    run(case, law)
