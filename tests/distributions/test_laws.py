"""The laws that every one-dimensional family obeys, over the table of cases."""

import pytest
import torch

import reparam as rp
from distributions.cases import CASES
from reparam import distributions as D

NOISE = rp.Noise(20260731)
F64 = torch.float64
EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
CASES_BY_NAME = {case.name: case for case in CASES}
GRID = torch.tensor([1e-6, 1e-3, 0.03, 0.2, 0.45, 0.55, 0.8, 0.97, 0.999], dtype=F64)[:, None]


def close(ours, right, tolerance, floor=0.0):
    """Relative error below the tolerance; `floor` is the scale under which the error is read as absolute."""
    error = (ours - right).abs() / torch.maximum(right.abs(), torch.tensor(floor, dtype=right.dtype))
    error = torch.where(ours == right, 0.0, error)
    assert (error <= tolerance).all(), (error, ours, right)


def at(case, name, **options):
    """The push as a function of one parameter, the others fixed."""
    params = case.batch()
    return lambda value, eps: case.make({**params, name: value}, validate_args=False, **options).push(eps)


@EVERY
def test_a_draw_is_a_push_of_addressed_noise(case):
    q = case.make(case.batch())
    z = q.rsample((4,), noise=NOISE)
    assert torch.equal(z, q.sample((4,), noise=NOISE))
    assert torch.equal(z, q.push(NOISE.draw(q.noise_spec((4,)))))
    close(
        q.rsample((2,), noise=NOISE), z[:2], 1e-12
    )  # the noise is the same; vector loops may round differently
    assert q.has_rsample
    assert not q.sample(noise=NOISE).requires_grad


@EVERY
def test_rows_do_not_depend_on_the_batch(case):
    q = case.make(case.batch())
    (size,) = q.batch_shape
    whole = q.rsample((3,), noise=NOISE.rows(torch.arange(size)))
    for i in range(size):
        one = case.make({name: value[i : i + 1] for name, value in case.batch().items()})
        close(one.rsample((3,), noise=NOISE.rows([i])), whole[:, i : i + 1], 1e-12)


@EVERY
def test_shapes_and_dtypes(case):
    for dtype in (torch.float32, F64, torch.bfloat16, torch.float16):
        q = case.make(case.batch(dtype))
        size = q.batch_shape
        z = q.rsample((2,), noise=NOISE)
        assert z.dtype == dtype
        assert z.shape == (2, *size)
        assert q.log_prob(z).dtype == dtype
        assert q.cdf(z).dtype == q.icdf(q.cdf(z)).dtype == dtype
        wide = q.expand((5, *size))
        assert type(wide) is type(q)
        assert torch.equal(wide.sample((2,), noise=NOISE), wide.push(NOISE.draw(wide.noise_spec((2,)))))
        assert wide.batch_shape == (5, *size)
        assert wide.log_prob(z[:1]).shape == (5, *size)
    empty = case.make({name: value[:0] for name, value in case.batch().items()})
    assert empty.rsample((3,), noise=NOISE).shape == (3, 0)
    assert empty.rsample((0,), noise=NOISE).shape == (0, 0)
    scalar = case.make({name: value[0].item() for name, value in case.batch().items()})
    assert scalar.rsample(noise=NOISE).shape == ()
    assert scalar.rsample(noise=NOISE).dtype == torch.get_default_dtype()


@EVERY
def test_narrow_floats_are_float32_rounded_once(case):
    for dtype in (torch.bfloat16, torch.float16):
        q = case.make(case.batch(dtype))
        wide = q._as(torch.float32)
        assert torch.equal(q.sample((9,), noise=NOISE), wide.sample((9,), noise=NOISE).to(dtype))


@EVERY
def test_distribution_functions_invert_in_both_tails(case):
    q = case.make(case.batch())
    for there, back in ((q.icdf, q.cdf), (q.isf, q.survival)):
        x = there(GRID)
        rounding = (
            4e-16 * (x.abs() + case.grain) * torch.exp(q.log_prob(x))
        )  # what one rounding of x does to the probability
        assert ((back(x) - GRID).abs() <= 1e-10 * GRID + rounding).all()
    close(q.survival(x) + q.cdf(x), torch.ones_like(x), 1e-14)


def test_truncated_normal_derivatives_at_its_bounds():
    """dz/dlow = 1 and the others 0 at z = low, alike at high, also one-sided and far out."""
    q = CASES_BY_NAME["TruncatedNormal"].make(CASES_BY_NAME["TruncatedNormal"].batch())
    for end, own in ((q.low, "low"), (q.high, "high")):
        for name, slope in q.pathwise(end).items():
            right = torch.full_like(slope, float(name == own))
            assert torch.equal(slope[end.isfinite()], right[end.isfinite()]), (own, name, slope)


@EVERY
def test_the_median_is_one_number(case):
    for extreme in (False, True):
        q = case.make(case.batch(extreme=extreme))
        half = torch.full(q.batch_shape, 0.5, dtype=F64)
        close(q.icdf(half), q.isf(half), 1e-12, floor=1e-12)
    if case.name in ("Normal", "Laplace", "StudentT", "VonMises"):
        close(q.icdf(half), q.loc, 1e-15)


@EVERY
def test_density_is_the_slope_of_the_distribution_function(case):
    q = case.make(case.batch())
    x = q.icdf(GRID).requires_grad_()
    (slope,) = torch.autograd.grad(q.cdf(x).sum(), x)
    close(slope.log(), q.log_prob(x), 1e-9, floor=1.0)
    u = GRID.expand_as(x).clone().requires_grad_()
    (rise,) = torch.autograd.grad(q.icdf(u).sum(), u)
    close(rise.log(), -q.log_prob(q.icdf(u)), 1e-9, floor=1.0)


@EVERY
def test_pathwise_is_the_implicit_formula_and_the_derivative_of_the_draw(case):
    params = {name: value.requires_grad_() for name, value in case.batch().items()}
    q = case.make(params)
    for x in (q.icdf(GRID).detach(), q.isf(GRID[:3]).detach()):
        velocity = case.rename(q.pathwise(x))
        assert set(velocity) == set(params)
        for side in ("cdf", "survival"):
            # each side where it is the smaller one: 1 - F has lost the derivative in the other tail
            mass = getattr(q, side)(x)
            for name, value in params.items():
                rows = [torch.autograd.grad(row.sum(), value, retain_graph=True)[0] for row in mass]
                implicit = torch.stack(rows) / torch.exp(q.log_prob(x))
                implicit = -implicit if side == "cdf" else implicit
                near = mass < 0.6
                close(velocity[name][near], implicit[near], 1e-7, floor=1e-5)
    if not case.exact:
        return
    eps = NOISE.draw(q.noise_spec((50,)))
    x = q.push(eps)
    velocity = case.rename(q.pathwise(x.detach()))
    for name, value in params.items():
        rows = [torch.autograd.grad(row.sum(), value, retain_graph=True)[0] for row in x]
        close(velocity[name], torch.stack(rows), 1e-8, floor=1e-6)


@EVERY
def test_first_and_second_derivatives(case):
    few = slice(0, 1) if case.costly else slice(None)
    params = [value[few].requires_grad_() for value in case.batch().values()]
    eps = NOISE.draw(case.make(case.batch()).noise_spec((2,)))[:, few]
    if case.kinks:
        eps = eps.abs() + 0.1

    def push(eps, *values):
        return case.make(dict(zip(case.params, values)), validate_args=False).push(eps)

    assert torch.autograd.gradcheck(push, (eps.requires_grad_(), *params), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(push, (eps, *params), atol=1e-4)


@EVERY
def test_torch_func_transforms(case):
    params = case.batch()
    name, value = next(iter(params.items()))
    push = at(case, name)
    eps = NOISE.draw(case.make(params).noise_spec((3,)))

    def total(value):
        return push(value, eps).sin().sum()

    reverse = torch.func.grad(total)(value)
    forward = torch.func.jvp(total, (value,), (torch.ones_like(value),))[1]
    close(forward, reverse.sum(), 1e-9, floor=1.0)
    rows = torch.func.vmap(lambda e: push(value, e), randomness="error")(eps)
    close(rows, push(value, eps), 1e-12)
    second = torch.func.jacrev(torch.func.grad(total))(value)
    close(torch.func.jacfwd(torch.func.grad(total))(value), second, 1e-9, floor=1.0)
    close(torch.func.jacfwd(torch.func.jacfwd(total))(value), second, 1e-9, floor=1.0)
    single = torch.func.vmap(torch.func.grad(lambda e: push(value, e).sin().sum()))(eps)
    assert single.shape == eps.shape


@EVERY
def test_convert_and_detach(case):
    params = {name: value.requires_grad_() for name, value in case.batch().items()}
    q = case.make(params)
    cut = rp.detach(q)
    assert not cut.rsample(noise=NOISE).requires_grad
    assert torch.equal(cut.sample((3,), noise=NOISE), q.sample((3,), noise=NOISE))
    if case.torch_family is None:
        return
    theirs = getattr(torch.distributions, case.torch_family)
    ours = D.convert(theirs(**params))
    assert type(ours) is type(q)
    assert isinstance(q, theirs)
    assert torch.equal(ours.sample((3,), noise=NOISE), q.sample((3,), noise=NOISE))
    assert set(ours.pathwise(ours.rsample((1,), noise=NOISE))) == set(params)
    assert not case.make(params, validate_args=False)._validate_args


@EVERY
def test_the_law_of_the_draws(case):
    """n = 20,000 (costly families: 4,000) draws per parameter set; U = F(z) is uniform.

    Six functions of U and up to three closed forms, about 60 sets: 600 statistics of standard error 1; the threshold
    5.5 gives a false alarm in 600 * 4e-8 = 2e-5 of all suites, and sees a shift of .04 standard deviations.
    """
    n = 4_000 if case.costly else 20_000
    q = case.make(case.batch())
    z = q.sample((n,), noise=NOISE)
    u, s = q.cdf(z), q.survival(z)
    turn = 2 * torch.pi * u
    zero_mean = [
        (u - 1 / 2) * 12**0.5,
        (u * u - 1 / 3) / (4 / 45) ** 0.5,
        turn.cos() * 2**0.5,
        turn.sin() * 2**0.5,
        -u.log() - 1,
        -s.log() - 1,
    ]
    for statistic in zero_mean:
        assert (statistic.mean(0) * n**0.5).abs().max() < 5.5
    for name in case.moments:
        value = getattr(q, name)
        value = value() if callable(value) else value
        estimate = {
            "mean": lambda: z,
            "variance": lambda: (z - q.mean) ** 2,
            "entropy": lambda: -q.log_prob(z),
        }[name]()
        score = (estimate.mean(0) - value) / (estimate.std(0) / n**0.5 + 1e-12 * (1 + value.abs()))
        assert score.abs().max() < 5.5, (name, score)


@pytest.mark.parametrize("name", ["Normal", "Laplace", "GeneralizedPareto", "ContinuousBernoulli"])
def test_compiles_into_one_graph(name):
    case = next(c for c in CASES if c.name == name)
    params = case.batch()
    eps = NOISE.draw(case.make(params).noise_spec((3,)))

    def total(eps, *values):
        q = case.make(dict(zip(params, values)), validate_args=False)
        z = q.push(eps)
        return z.sum() + q.log_prob(z).sum()

    values = [value.requires_grad_() for value in params.values()]
    eager = torch.autograd.grad(total(eps, *values), values)
    compiled = torch.autograd.grad(
        torch.compile(total, fullgraph=True, backend="aot_eager")(eps, *values), values
    )
    for a, b in zip(eager, compiled):
        close(b, a, 1e-12, floor=1e-3)
