"""Draws with a kernel each way: the bits of `push`, the derivatives of plain torch, second ones too."""

import functools

import mpmath
import pytest
import torch

import reparam as rp
from reparam import distributions as D
from reparam.transforms.affine import LEAST
from reparam.transforms.noise_maps import EXPONENTIAL, INTERVAL, KUMARASWAMY, PARETO, WEIBULL
from reparam.transforms.relaxation import relaxed_one_hot
from reparam.transforms.truncated_normal import truncated_normal_quantile
from reparam.transforms.vonmises import vonmises_draw_quantile

NOISE = rp.Noise(20261125)
F64 = torch.float64


@pytest.mark.parametrize("name", ["Normal", "Laplace", "Gumbel", "Logistic", "Cauchy"])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_location_scale_draws_have_the_bits_of_push(name, dtype):
    size = LEAST + 3
    loc, scale = NOISE.child("l").normal((size,), dtype=dtype), NOISE.child("s").uniform((size,), dtype=dtype)
    loc, scale = loc.requires_grad_(), scale.requires_grad_()
    for q, shape in (
        (getattr(D, name)(loc, scale), ()),
        (getattr(D, name)(loc[0], scale[0]), (size,)),
        (getattr(D, name)(loc[:2], scale[:2]), (LEAST,)),
    ):
        eps = NOISE.draw(q.noise_spec(shape))
        z, right = q.rsample(shape, noise=NOISE), q.push(eps)
        assert torch.equal(z, right)
        assert torch.equal(q.sample(shape, noise=NOISE), right)
        weights = NOISE.child("w").normal(z.shape, dtype=dtype)
        ours, theirs = (
            torch.autograd.grad((weights * y).sum(), (loc, scale), retain_graph=True) for y in (z, right)
        )
        for a, b in zip(ours, theirs):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-3)


def test_location_scale_draws_differentiate_twice():
    loc, scale = (torch.full((LEAST,), v, dtype=F64, requires_grad=True) for v in (0.3, 1.2))
    z = D.Normal(loc, scale).rsample(noise=NOISE)
    (first,) = torch.autograd.grad((z**3).sum(), scale, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), scale)
    eps = NOISE.normal((LEAST,), dtype=F64)
    torch.testing.assert_close(second, 6 * z.detach() * eps**2)


OF_NOISE = {
    "Exponential": (EXPONENTIAL, 1),
    "Weibull": (WEIBULL, 2),
    "Kumaraswamy": (KUMARASWAMY, 2),
    "GeneralizedPareto": (PARETO, 3),
    "ContinuousBernoulli": (INTERVAL, 1),
}


def family(name):
    return (
        functools.partial(D.ContinuousBernoulli, None) if name == "ContinuousBernoulli" else getattr(D, name)
    )


def of_noise(name, size, dtype):
    """Parameters from .05 to 400, moving; logits from -30 to 30, tail indices from -6 to 3."""
    spread = [NOISE.child(str(k)).uniform((size,), dtype=F64) for k in range(OF_NOISE[name][1])]
    made = [(9 * u - 3).exp() for u in spread]
    if name == "ContinuousBernoulli":
        made[0] = 60 * spread[0] - 30
    if name == "GeneralizedPareto":
        made[2] = 9 * spread[2] - 6
    return [p.to(dtype).requires_grad_() for p in made]


@pytest.mark.parametrize("name", OF_NOISE)
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_draws_of_one_number_have_the_bits_of_push(name, dtype):
    size = 4099
    leaves = of_noise(name, size, dtype)
    whole, one = family(name)(*leaves), family(name)(*(p[7] for p in leaves))
    some = family(name)(*(p[:2] for p in leaves))
    for q, shape in ((whole, ()), (one, (size,)), (some, (size,)), (whole, (2,))):
        eps = NOISE.draw(q.noise_spec(shape))
        z, right = q.rsample(shape, noise=NOISE), q.push(eps)
        assert torch.equal(z, right)
        assert torch.equal(q.sample(shape, noise=NOISE), right)
        rowed = NOISE.rows(torch.arange(z.shape[len(shape)])) if z.ndim > len(shape) else NOISE
        assert torch.equal(q.rsample(shape, noise=rowed), q.push(rowed.draw(q.noise_spec(shape))))
        weights = NOISE.child("w").normal(z.shape, dtype=dtype)
        map_, points = OF_NOISE[name][0], [p.double() for p in q.parameters().values()]
        plain = map_.plain(eps.double(), *points)
        for y in (z, right):
            ours = torch.autograd.grad((weights * y).sum(), leaves, retain_graph=True)
            theirs = torch.autograd.grad((weights.double() * plain).sum(), leaves, retain_graph=True)
            for a, b in zip(ours, theirs):
                loose = 2e-5 if dtype == torch.float32 else 1e-11
                torch.testing.assert_close(a, b, rtol=loose, atol=loose * float(b.abs().max()) / 100)


@pytest.mark.parametrize("name", OF_NOISE)
def test_draws_of_one_number_in_single_precision(name):
    """Draws within half an ulp, gradients within 2 ulp of those of double precision at the same numbers."""
    leaves = of_noise(name, 20_000, torch.float32)
    eps = getattr(NOISE, OF_NOISE[name][0].law)((20_000,))
    z = OF_NOISE[name][0].push(eps, *leaves)
    wide = [p.detach().double().requires_grad_() for p in leaves]
    right = OF_NOISE[name][0].push(eps.double(), *wide)
    kept = right.detach() > 1e-37
    if name == "GeneralizedPareto":  # the upper end is the one that the dtype computes
        kept = kept & (z != leaves[0] - leaves[1] / leaves[2])
        assert kept.sum() > 15_000
    error = ((z.double() - right).abs() / right).detach()[kept].max()
    assert float(error) <= 0.51 * 2**-23
    for ours, exact in zip(torch.autograd.grad(z.sum(), leaves), torch.autograd.grad(right.sum(), wide)):
        inside = kept & (exact.abs() > 1e-37)
        assert float(((ours.double() - exact).abs() / exact.abs())[inside].max()) <= 2 * 2**-23


@pytest.mark.parametrize("t", [1e-12, 0.3, 0.6931, 0.6932, 3.0, 20.0, 36.0, 40.0, 300.0])
def test_kumaraswamy_keeps_its_digits_at_both_ends(t):
    """dz/da = -z l/a^2 and dz/db = -z t w/((1 - w) a b), w = e^-t, l = log(1 - w), where w or 1 - w rounds to 1."""
    with mpmath.workdps(200):
        w = mpmath.exp(-mpmath.mpf(t))
        l = mpmath.log(1 - w)
        z = mpmath.exp(l / 2)
        right = float(-z * l / 4), float(-z * t * w / ((1 - w) * 2 * 1))
    for function in (KUMARASWAMY.plain, KUMARASWAMY.push):
        a, b = (torch.full((3,), v, dtype=F64, requires_grad=True) for v in (2.0, 1.0))
        y = function(torch.full((3,), t, dtype=F64), a, b)
        assert float(y[0].detach()) == pytest.approx(float(z), rel=1e-14)
        for slope, exact in zip(torch.autograd.grad(y.sum(), (a, b)), right):
            assert float(slope[0]) == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("name", OF_NOISE)
def test_draws_of_one_number_differentiate_twice(name):
    leaves, made = of_noise(name, 5000, F64), []
    for z in (
        family(name)(*leaves).rsample(noise=NOISE),
        OF_NOISE[name][0].plain(getattr(NOISE, OF_NOISE[name][0].law)((5000,), dtype=F64), *leaves),
    ):
        first = torch.autograd.grad((1 + z).log().sum(), leaves, create_graph=True)
        made.append(torch.autograd.grad(sum(g.sum() for g in first), leaves))
    for ours, plain in zip(*made):
        torch.testing.assert_close(ours, plain, rtol=1e-8, atol=1e-10)


def test_maps_at_the_ends_of_the_noise():
    one = torch.ones(()).requires_grad_()
    for map_, count in OF_NOISE.values():
        last = 1.0 if map_.law == "uniform" else torch.inf
        ends = torch.tensor([0.0, last, torch.nan]).repeat(2000)
        kernel = map_.push(ends, *[one] * count)
        assert type(kernel.grad_fn).__name__ == "_ApplyBackward"
        plain = map_.plain(ends, *[one] * count)
        if map_ is PARETO:  # (e^t - 1)/t at infinity is a quotient of infinities there
            plain = torch.tensor([1.0, torch.inf, torch.nan]).repeat(2000)
        torch.testing.assert_close(kernel, plain, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("c", [-5.0, -0.3, -1e-3, -1e-9, 0.0, 1e-12, 2e-3, 0.7, 3.0])
def test_generalized_pareto_keeps_its_digits(c):
    """y = (e^(c eps) - 1)/c and dy/dc = (eps e^(c eps) - y)/c, whose terms cancel near c eps = 0."""
    eps = torch.tensor([1e-9, 1e-3, 0.4, 1.0, 7.0, 35.0], dtype=F64)
    values, slopes = [], []
    with mpmath.workdps(120):
        for e in map(mpmath.mpf, eps.tolist()):
            w = mpmath.mpf(c or 1e-40)
            y = mpmath.expm1(w * e) / w
            values.append(float(y))
            slopes.append(float((e * mpmath.exp(w * e) - y) / w))
    zero, one, tail = (torch.full((6,), v, dtype=F64, requires_grad=True) for v in (0.0, 1.0, c))
    z = PARETO.push(eps, zero, one, tail)
    found = z.detach(), *torch.autograd.grad(z.sum(), (zero, one, tail))
    for ours, right in zip(found, (values, [1.0] * 6, values, slopes)):
        torch.testing.assert_close(ours, torch.tensor(right, dtype=F64), rtol=2e-15, atol=0)


@pytest.mark.parametrize("l", [-800.0, -30.0, -2.0, -0.7, -1e-3, -1e-12, 0.0, 1e-6, 0.9, 1.1, 5.0, 200.0])
def test_continuous_bernoulli_keeps_its_digits(l):
    """z = log(1 + u (e^l - 1))/l and dz/dl = (u e^l/(1 + u (e^l - 1)) - z)/l in 60 digits and more."""
    u = torch.tensor([1e-12, 1e-3, 0.3, 0.5, 0.9, 0.999, 1 - 2**-40], dtype=F64)
    values, slopes = [], []
    with mpmath.workdps(800):
        for p in map(mpmath.mpf, u.tolist()):
            w = mpmath.mpf(l or 1e-60)
            e = mpmath.exp(w)
            z = mpmath.log(1 + p * (e - 1)) / w
            values.append(float(z))
            slopes.append(float((p * e / (1 + p * (e - 1)) - z) / w))
    logits = torch.full((7,), l, dtype=F64, requires_grad=True)
    z = INTERVAL.push(u, logits)
    torch.testing.assert_close(z.detach(), torch.tensor(values, dtype=F64), rtol=2e-15, atol=0)
    slope = torch.autograd.grad(z.sum(), logits)[0]
    torch.testing.assert_close(slope, torch.tensor(slopes, dtype=F64), rtol=2e-14, atol=0)


@pytest.mark.parametrize("name", OF_NOISE)
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_draws_of_one_number_do_not_depend_on_the_batch(name, dtype):
    """A loop in vector code leaves some numbers over; they have the bits of the others."""
    leaves, weights = of_noise(name, 8192 + 77, dtype), NOISE.child("w").normal((8192 + 77,), dtype=dtype)

    def made(n):
        some = [p[:n].detach().requires_grad_() for p in leaves]
        z = family(name)(*some).rsample(noise=NOISE)
        return z.detach(), *torch.autograd.grad((weights[:n] * z).sum(), some)

    whole = made(8192 + 77)
    for n in (1, 2, 3, 7, 31, 64, 65, 129, 4095, 4097, 8191, 8193):
        for part, right in zip(made(n), whole):
            assert torch.equal(part, right[:n])


MAPS = {
    "truncated": (
        truncated_normal_quantile,
        [[0.3, -2.0], [0.1, 0.0], [1.0, 2.0], [-1.0, 3.0], [2.0, torch.inf]],
    ),
    "softmax": (relaxed_one_hot, [[[0.1, -0.4, 2.0]], [[1.0, 0.2, -0.3]], 0.7]),
}


@pytest.mark.parametrize("name", MAPS)
def test_fused_maps_equal_plain_torch_to_second_order(name):
    function, values = MAPS[name]
    values = [torch.tensor(v, dtype=F64) for v in values]
    leaves = [v.clone().requires_grad_(bool(v.isfinite().all()) and v.ndim > 0) for v in values]
    moved = [v for v in leaves if v.requires_grad]
    plain = torch.func.vmap(lambda _: function(*values))(torch.zeros(1))[0]
    z = function(*leaves)
    torch.testing.assert_close(z.detach(), plain, rtol=1e-12, atol=1e-14)
    weights = torch.linspace(0.5, 2.0, z.numel(), dtype=F64).view(z.shape)
    first = torch.autograd.grad((weights * z.sin()).sum(), moved, create_graph=True)
    places = [k for k, v in enumerate(leaves) if v.requires_grad]

    def loss(*args):
        given = list(values)
        for k, a in zip(places, args):
            given[k] = a
        return (weights * function(*given).sin()).sum()

    right = torch.func.grad(loss, argnums=tuple(range(len(places))))(*(values[k] for k in places))
    for a, b in zip(first, right):
        torch.testing.assert_close(a.detach(), b, rtol=1e-10, atol=1e-12)
    assert torch.autograd.gradgradcheck(loss, moved, atol=1e-4)
    eager = torch.autograd.grad(loss(*moved), moved)
    compiled = torch.autograd.grad(torch.compile(loss, fullgraph=True, backend="aot_eager")(*moved), moved)
    for a, b in zip(eager, compiled):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kappa", [1e-3, 0.3, 2.0, 8.0, 29.0, 31.0, 1e4])
def test_von_mises_in_single_precision(kappa):
    """Value and velocity of the draw to 2 ulp of the exact ones at the noise given, the far tail included."""
    eps = torch.cat((NOISE.normal((500,)), torch.tensor([-6.3, -4.61, -4.59, 1e-6, 4.7, 6.3])))
    concentration = torch.full_like(eps, kappa, requires_grad=True)
    z = vonmises_draw_quantile(concentration, eps)
    wide = concentration.detach().double().requires_grad_()
    right = vonmises_draw_quantile(wide, eps.double())
    slopes = [torch.autograd.grad(y.sum(), k)[0].double() for y, k in ((z, concentration), (right, wide))]
    for ours, exact in ((z.double(), right), slopes):
        assert ((ours - exact).abs() <= 2.4e-7 * exact.abs() + 1e-30).all()


def test_relaxed_rows_in_single_precision():
    q = D.RelaxedOneHotCategorical(torch.tensor(0.5), logits=2 * NOISE.normal((4000, 10)))
    eps = NOISE.draw(q.noise_spec(()))
    z = q.rsample(noise=NOISE)
    assert torch.equal(z, q.push(eps))
    right = torch.softmax((q.logits.double() + eps.double()) / 0.5, -1)
    torch.testing.assert_close(z.double(), right, rtol=2e-5, atol=1e-12)
    torch.testing.assert_close(z.sum(-1), torch.ones(4000))


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("given", ["logits", "probs"])
def test_relaxed_one_hot_draws_are_push_of_their_noise_with_its_derivatives(dtype, given):
    value = 2 * NOISE.normal((5003, 7), dtype=dtype)
    value = (value.exp() if given == "probs" else value).requires_grad_()
    t = torch.tensor(0.5, dtype=dtype)
    for shape in ((), (3,)):
        q = D.RelaxedOneHotCategorical(t, **{given: value})
        eps = NOISE.draw(q.noise_spec(shape))
        z, right = q.rsample(shape, noise=NOISE), q.push(eps)
        assert torch.equal(z, right)
        assert torch.equal(q.sample(shape, noise=NOISE), right)
        labels = torch.arange(len(eps)) if not shape else torch.arange(5003)
        rowed = NOISE.rows(labels)
        assert torch.equal(q.rsample(shape, noise=rowed), q.push(rowed.draw(q.noise_spec(shape))))
        log_probs = torch.log_softmax(value, -1) if given == "logits" else q.probs.log()
        plain = torch.softmax((log_probs + eps) / t, -1)
        weights = NOISE.child("w").normal(z.shape, dtype=dtype)
        first = [
            torch.autograd.grad((weights * y.sin()).sum(), value, create_graph=True)[0] for y in (z, plain)
        ]
        second = [torch.autograd.grad(g.square().sum(), value, retain_graph=True)[0] for g in first]
        loose = {"rtol": 1e-3, "atol": 1e-3} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-9}
        torch.testing.assert_close(*first, **loose)
        torch.testing.assert_close(*second, **loose)


def test_logits_are_normalised_when_asked_for():
    logits = NOISE.normal((4, 3)).requires_grad_()
    ours, theirs = D.Categorical(logits=logits), torch.distributions.Categorical(logits=logits)
    relaxed = D.RelaxedOneHotCategorical(torch.tensor(0.5), logits=logits)
    for q in (ours, relaxed, ours.expand((2, 4)), relaxed.expand((2, 4))):
        torch.testing.assert_close(q.logits, theirs.logits.expand(q.logits.shape), rtol=0, atol=0)
        torch.testing.assert_close(q.probs, theirs.probs.expand(q.probs.shape), rtol=0, atol=0)
    assert torch.equal(ours.parameters()["logits"], theirs.logits)
    with torch.no_grad():
        fresh = D.Categorical(logits=logits)
        fresh.noise_spec()
        assert fresh.logits.requires_grad  # asked for without a graph, of use with one
    for bad in ([0.0, torch.nan], [0.0, torch.inf], [-torch.inf, -torch.inf]):
        for family in (D.Categorical, torch.distributions.Categorical):
            with pytest.raises(ValueError, match="logits"):
                family(logits=torch.tensor(bad), validate_args=True)
    with pytest.raises(ValueError, match="at least one-dimensional"):
        D.Categorical(logits=torch.tensor(0.0))
    with pytest.raises(ValueError, match="not both"):
        D.Categorical()


EDGES = torch.tensor([0.0, -0.0, 1e-38, -1e-38, 1e30, -1e30])
LOGIT_GRID = torch.cat([torch.linspace(-110, 110, 20_001), torch.linspace(-2, 2, 20_001), EDGES])


@pytest.mark.parametrize("b", [0.0, 1.0])
def test_bernoulli_kernels_are_within_2_and_a_half_ulp(b):
    made, right = [], []
    for kept, logits in ((made, LOGIT_GRID), (right, LOGIT_GRID.double())):
        l = logits.clone().requires_grad_()
        value = D.Bernoulli(logits=l).log_prob(torch.full_like(l, b))
        assert (type(value.grad_fn).__name__ == "_LogProbBackward") == (kept is made)
        kept += [value.detach(), *torch.autograd.grad(value.sum(), l)]
    for ours, exact in zip(made, right):
        size = exact.float().abs()
        ulp = (torch.nextafter(size, torch.tensor(torch.inf)) - size).double()
        assert bool(((ours.double() - exact).abs() <= 2.5 * ulp).all())


def test_bernoulli_kernels_broadcast_and_differentiate_twice():
    l = NOISE.child("logits").normal((1, 64, 70)).requires_grad_()
    b, w = NOISE.child("b").uniform((64, 70)), NOISE.child("w").normal((64, 70))
    value = D.Bernoulli(logits=l, validate_args=False).log_prob(b)  # linear in b, events or not
    wide = l.detach().double().requires_grad_()
    exact = D.Bernoulli(logits=wide, validate_args=False).log_prob(b.double())
    assert value.shape == exact.shape == (1, 64, 70)
    for _ in range(2):
        torch.testing.assert_close(value.double(), exact, rtol=1e-6, atol=1e-6)
        (value,) = torch.autograd.grad((w * value).sum(), l, create_graph=True)
        (exact,) = torch.autograd.grad((w.double() * exact).sum(), wide, create_graph=True)
    torch.testing.assert_close(value.double(), exact, rtol=1e-6, atol=1e-6)
    scored = torch.func.grad(lambda l: D.Bernoulli(logits=l, validate_args=False).log_prob(b).sum())(l)
    torch.testing.assert_close(scored, b - torch.sigmoid(l))
