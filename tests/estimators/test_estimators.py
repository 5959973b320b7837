"""What the table of laws does not say: Gaussian laws, exact variances, field faults, state, errors."""

import math

import pytest
import torch

import reparam as rp
from estimators.cases import F64, Scripted, Surrogate, legendre
from reparam import distributions as D
from reparam import estimators as E

X2 = lambda x: x**2  # noqa: E731
SIX = {
    "(x+3)^2": (lambda x: (x + 3) ** 2, 8.0, 2.0),
    "x^2": (X2, 2.0, 2.0),
    "exp(-.1x^2)": (lambda x: torch.exp(-0.1 * x**2), -0.1400, -0.1167),
    "cos(.5x)": (lambda x: torch.cos(0.5 * x), -0.2115, -0.1936),
}


def gaussian_gradients(estimator, f, samples=1, n=8_000, loc=1.0, scale=1.0):
    """Return per-draw values and gradients in loc and scale, each (n,)."""
    leaves = [torch.full((n,), x, dtype=F64, requires_grad=True) for x in (loc, scale)]
    value = rp.expect(f, D.Normal(*leaves), samples=samples, noise=rp.Noise(11), estimator=estimator)
    value.sum().backward()
    return value.detach(), *(leaf.grad for leaf in leaves)


GAUSSIAN = [
    E.Pathwise(),
    E.ScoreFunction(),
    E.ScoreFunction("constant"),
    E.LeaveOneOut(),
    E.MeasureValued(),
    E.ControlVariate(),
    E.ControlVariate(kind="quadratic", coefficient="pilot", pilot=4),
    E.ControlVariate(E.ScoreFunction(), kind="quadratic"),
]


@pytest.mark.parametrize("name", SIX)
@pytest.mark.parametrize("estimator", GAUSSIAN, ids=lambda e: type(e).__name__)
def test_gaussian_mean(estimator, name):
    """8,000 pairs: |z| < 5.5, false alarm 4e-8 per number; .0001 for the printed digits."""
    f, loc, scale = SIX[name]
    _, d_loc, d_scale = gaussian_gradients(estimator, f, samples=2)
    for got, want in ((d_loc, loc), (d_scale, scale)):
        assert (got.mean() - want).abs() < 5.5 * got.std() / 8_000**0.5 + 1e-4


def poisson_probability(z, rate):
    return torch.exp(z * rate.log() - rate - torch.lgamma(z + 1))


def gamma_density(z, a, rate):
    return torch.exp(a * rate.log() + (a - 1) * z.log() - rate * z - torch.lgamma(a))


COUNTS = torch.arange(60.0, dtype=F64)
TIMES = torch.exp(torch.linspace(-40, 5, 6_001, dtype=F64))  # the rule of equal steps in log z, exact to 1e-8
MEASURED = {
    "poisson": (D.Poisson, [2.3], COUNTS, torch.ones_like(COUNTS), poisson_probability),
    "small poisson": (D.Poisson, [0.2], COUNTS, torch.ones_like(COUNTS), poisson_probability),
    "gamma": (D.Gamma, [2.3, 1.4], TIMES, TIMES * 45 / 6_000, gamma_density),
    "small gamma": (D.Gamma, [0.4, 0.7], TIMES, TIMES * 45 / 6_000, gamma_density),
}
MEASURED_F = {
    "bend": lambda z: torch.exp(-0.5 * z) + 0.1 * z**2,
    "jump": lambda z: (z > math.exp(0.39875)).to(z.dtype) + 0 * z,  # half way between two of TIMES
}


@pytest.mark.parametrize("f", MEASURED_F)
@pytest.mark.parametrize("name", MEASURED)
def test_measure_valued_counts_and_times(name, f):
    """Two sites, f(z1) + f(z1) f(z2), against sums and quadrature; 20,000 draws, |z| < 5.5 (4e-8 per number)."""
    family, values, z, weights, density = MEASURED[name]
    exact = [torch.tensor(v, dtype=F64, requires_grad=True) for v in values]
    E1 = (weights * density(z, *exact) * MEASURED_F[f](z)).sum()
    E2 = E1.detach()
    want = (
        torch.autograd.grad(E1 * (1 + E2), exact),
        torch.autograd.grad((weights * density(z, *exact) * MEASURED_F[f](z)).sum() * E2, exact),
    )
    n = 20_000
    leaves = [torch.full((n, 2), v, dtype=F64, requires_grad=True) for v in values]
    value = rp.expect(
        lambda z: MEASURED_F[f](z[..., 0]) * (1 + MEASURED_F[f](z[..., 1])),
        D.Independent(family(*leaves), 1),
        samples=2,
        noise=rp.Noise(4),
        estimator=E.MeasureValued(),
    )
    value.sum().backward()
    assert (value.mean() - E2 * (1 + E2)).abs() < 5.5 * value.std() / n**0.5
    for leaf, first, second in zip(leaves, *want):
        error = leaf.grad.std(0) / n**0.5
        assert ((leaf.grad.mean(0) - torch.stack([first, second])).abs() < 5.5 * error).all()


@pytest.mark.parametrize("name", MEASURED)
def test_measure_valued_hessian(name):
    """Second derivatives in the parameters of one site, against sums and quadrature; 40,000 draws, |z| < 5.5."""
    family, values, z, weights, density = MEASURED[name]
    f = MEASURED_F["bend"]
    x = torch.tensor(values, dtype=F64)
    exact = torch.func.hessian(lambda x: (weights * density(z, *x) * f(z)).sum())(x)
    n = 40_000
    leaf = x.expand(n, -1).clone().requires_grad_()
    value = rp.expect(f, family(*leaf.T), samples=2, noise=rp.Noise(5), estimator=E.MeasureValued())
    (g,) = torch.autograd.grad(value.sum(), leaf, create_graph=True)
    for k, want in enumerate(exact):
        (row,) = torch.autograd.grad(g[:, k].sum(), leaf, retain_graph=True)
        assert ((row.mean(0) - want).abs() < 5.5 * row.std(0) / n**0.5).all()


def test_measure_valued_hessian_of_a_normal():
    """E exp(z / 2) = exp(loc / 2 + scale^2 / 8); 40,000 draws, |z| < 5.5."""
    x = torch.tensor([0.4, 0.7], dtype=F64)
    exact = torch.func.hessian(lambda x: torch.exp(x[0] / 2 + x[1] ** 2 / 8))(x)
    leaf = x.expand(40_000, 2).clone().requires_grad_()
    q = D.Normal(leaf[:, 0], leaf[:, 1])
    value = rp.expect(
        lambda z: torch.exp(z / 2), q, samples=2, noise=rp.Noise(5), estimator=E.MeasureValued()
    )
    (g,) = torch.autograd.grad(value.sum(), leaf, create_graph=True)
    for k, want in enumerate(exact):
        (row,) = torch.autograd.grad(g[:, k].sum(), leaf, retain_graph=True)
        assert ((row.mean(0) - want).abs() < 5.5 * row.std(0) / 200).all()


def test_quadratic_control_variate_is_exact_on_quadratics():
    """f - h is the constant E f: no variance in value, loc or scale, up to rounding; any order."""
    value, d_loc, d_scale = gaussian_gradients(
        E.ControlVariate(kind="quadratic"), lambda x: (x + 3) ** 2, n=100
    )
    for got, want in ((value, 17.0), (d_loc, 8.0), (d_scale, 2.0)):
        torch.testing.assert_close(got, torch.full_like(got, want), rtol=1e-12, atol=1e-12)
    loc = torch.tensor([0.3, -0.2], dtype=F64, requires_grad=True)
    q = D.Independent(D.Normal(loc, torch.ones(2, dtype=F64)), 1)
    estimator = E.ControlVariate(kind="quadratic")
    f = lambda z: z[..., 0] * z[..., 1] + 2 * z[..., 0] ** 2  # noqa: E731
    (g,) = torch.autograd.grad(
        rp.expect(f, q, noise=rp.Noise(0), estimator=estimator), loc, create_graph=True
    )
    hess = torch.stack([torch.autograd.grad(part, loc, retain_graph=True)[0] for part in g])
    torch.testing.assert_close(g.detach(), torch.stack([loc[1] + 4 * loc[0], loc[0]]).detach())
    torch.testing.assert_close(hess, torch.tensor([[4.0, 1.0], [1.0, 0.0]], dtype=F64))


def test_linear_control_variate_halves_the_variance_of_muprop():
    """Baseline f(p) with h = g.(z - p) on a nearly linear f of a Bernoulli site, exact variances."""
    logits = torch.tensor(0.0, dtype=F64)
    f = lambda b: b + 0.1 * b**2  # noqa: E731
    score = E.ScoreFunction(lambda q: f(q.mean))
    plain, better = (exact_variance(e, f, logits, 1) for e in (E.ScoreFunction(), E.ControlVariate(score)))
    assert better < 0.5 * plain


def exact_variance(estimator, f, logits, samples):
    """Return the variance of the gradient over all outcomes of u on a grid that holds p; u and pairs of u."""
    u = (torch.arange(200, dtype=F64) + 0.5) / 200
    draws = 1 if isinstance(estimator, E.ARM | E.DisARM) else samples
    grid = torch.cartesian_prod(*[u] * draws).reshape(-1, draws)
    eps = torch.logit(grid).T.contiguous()
    leaf = logits.expand(len(grid)).clone().requires_grad_()
    noise = Scripted(0, numbers={"": eps})
    estimator(f, D.Bernoulli(logits=leaf), samples, noise).sum().backward()
    return leaf.grad.var(correction=0)


TOY = [
    (0.5, [7.97e-3, 6.25e-4, 2.08e-4, 0.0]),
    (0.8, [3.96e-3, 5.44e-4, 3.97e-4, 3.84e-4]),
]


@pytest.mark.parametrize(("p", "expected"), TOY)
def test_published_variances_of_the_bernoulli_toy(p, expected):
    """E[(b - .45)^2] at two evaluations: score function, leave-one-out, ARM, DisARM."""
    logits = torch.logit(torch.tensor(p, dtype=F64))
    f = lambda b: (b - 0.45) ** 2  # noqa: E731
    estimators = [E.ScoreFunction(), E.LeaveOneOut(), E.ARM(), E.DisARM()]
    for estimator, want in zip(estimators, expected):
        got = exact_variance(estimator, f, logits, 2).item()
        assert got == pytest.approx(want, rel=6e-3, abs=1e-12), type(estimator).__name__


# published variances at N(1, 1): score, score with the best constant, pathwise; in loc, then in scale
PUBLISHED = {
    "(x+3)^2": (lambda x: (x + 3) ** 2, (495, 134, 4, 1546, 664, 72)),
    "x^2": (X2, (30, 14, 4, 136, 64, 12)),
    "exp(-.1x^2)": (lambda x: torch.exp(-0.1 * x**2), (0.5635, 0.0405, 0.0163, 0.9354, 0.1410, 0.0278)),
    "exp(-10x^2)": (lambda x: torch.exp(-10 * x**2), (0.0769, 0.0602, 0.9416, 0.0090, 0.0087, 0.8920)),
    "cos(.5x)": (lambda x: torch.cos(0.5 * x), (0.4552, 0.1179, 0.0393, 0.7987, 0.4601, 0.0875)),
    "cos(5x)": (lambda x: torch.cos(5 * x), (0.5, 0.5, 12.5, 1, 1, 12.5)),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_variances_of_gaussians_exactly(name):
    """Quadrature over the noise of each estimator, to the digits that were published (5e-5, or .1 %)."""
    f, published = PUBLISHED[name]
    eps = torch.linspace(-13, 13, 20_001, dtype=F64)
    w = torch.exp(-(eps**2) / 2)
    w = w / w.sum()

    def variance(estimator, k):
        leaves = [torch.ones(len(eps), dtype=F64, requires_grad=True) for _ in range(2)]
        estimator(f, D.Normal(*leaves), 1, Scripted(0, numbers={"": eps.unsqueeze(0)})).sum().backward()
        g = leaves[k].grad
        return (w * (g - (w * g).sum()) ** 2).sum().item()

    for k, score in enumerate((eps, eps**2 - 1)):
        best = ((w * f(1 + eps) * score**2).sum() / (w * score**2).sum()).item()
        for estimator, want in zip(
            (E.ScoreFunction(), E.ScoreFunction(best), E.Pathwise()), published[3 * k :]
        ):
            assert variance(estimator, k) == pytest.approx(want, abs=5.1e-5 if want < 1 else 0.02, rel=1e-3)


def test_rebar_and_relax_have_the_binary_factor_right():
    """B4: E[(b - .45)^2] at eta = .3; the factor log(1 - p), not log(1 + p). Quadrature over (u, v)."""
    logits = torch.tensor(0.3, dtype=F64)
    p = torch.sigmoid(logits)
    u, wu = legendre([0.0, 1 - p.item(), 1.0], 40)
    v, wv = legendre([0.0, 1.0], 40)
    index = torch.cartesian_prod(torch.arange(80), torch.arange(40)).T
    weight = wu[index[0]] * wv[index[1]]
    numbers = {"": torch.logit(u[index[0]]).unsqueeze(0), "given": torch.logit(v[index[1]]).unsqueeze(0)}
    for estimator in (E.REBAR(), E.RELAX(), E.RELAX(lambda z: torch.sigmoid(z) ** 3)):
        leaf = logits.clone().requires_grad_()
        q = D.Bernoulli(logits=leaf.expand(len(weight)))
        value = estimator(lambda b: (b - 0.45) ** 2, q, 1, Scripted(0, numbers=numbers))
        (weight * value).sum().backward()
        torch.testing.assert_close(leaf.grad, p * (1 - p) * (1 - 0.9), rtol=1e-11, atol=0)


def test_training_the_surrogate_lowers_the_variance():
    torch.manual_seed(0)
    surrogate = Surrogate()
    leaf = torch.zeros(512, 2, dtype=F64, requires_grad=True)
    q = D.Independent(D.Bernoulli(logits=leaf), 1)
    f = lambda b: (b.sum(-1) - 0.45) ** 2  # noqa: E731
    optimizer = torch.optim.Adam(surrogate.parameters(), lr=0.05)
    history = []
    for step in range(60):
        value = rp.expect(f, q, noise=rp.Noise(0).at(step), estimator=E.RELAX(surrogate))
        (gradient,) = torch.autograd.grad(value.sum(), leaf, create_graph=True)
        history.append(gradient.var(0).sum().item())
        optimizer.zero_grad()
        E.variance_loss(gradient).backward(inputs=list(surrogate.parameters()))
        optimizer.step()
    assert sum(history[-10:]) < 0.6 * sum(history[:10])


@pytest.mark.parametrize("samples", [1, 3])
def test_variance_loss_has_its_derivative_in_what_is_learned(samples):
    """At fixed noise, in REBAR's scale and temperature, RELAX's temperature and a module's numbers, by differences."""

    def spread(make):
        def f(a, b):
            leaf = torch.tensor([0.3, -0.4], dtype=F64).expand(5, 2).clone().requires_grad_()
            q = D.Independent(D.Bernoulli(logits=leaf), 1)
            value = rp.expect(
                lambda z: (z.sum(-1) - 0.45) ** 2, q, samples=samples, noise=rp.Noise(3), estimator=make(a, b)
            )
            (gradient,) = torch.autograd.grad(value.sum(), leaf, create_graph=True)
            return E.variance_loss(gradient)

        return f

    ways = (
        lambda a, b: E.REBAR(a, b),
        lambda a, b: E.RELAX(temperature=a + b),
        lambda a, b: E.RELAX(lambda z: a * torch.sigmoid(b * z).sum(-1)),
    )
    for make in ways:
        learned = [torch.tensor(x, dtype=F64, requires_grad=True) for x in (0.7, 0.9)]
        assert torch.autograd.gradcheck(spread(make), learned)


def test_moving_average_takes_in_past_values_only():
    """B12: the baseline of a step is the average before it."""
    estimator = E.ScoreFunction("moving_average", decay=0.5)
    q = D.Bernoulli(logits=torch.tensor(0.0))
    assert estimator.value_of(X2, q, 1, rp.Noise(0)) == 0.0
    first = estimator.updated(torch.tensor(4.0))
    second = first.updated(torch.tensor(2.0))
    assert (estimator.average, first.average.item(), second.average.item()) == (None, 4.0, 3.0)


def test_arms_of_two_equals_disarm_in_law():
    for p in (0.2, 0.5, 0.9):
        logits = torch.logit(torch.tensor(p, dtype=F64))
        u = (torch.arange(1000, dtype=F64) + 0.5) / 1000
        leaf = logits.expand(1000).clone().requires_grad_()
        numbers = {"": torch.stack([u, 1 - u])}
        E.ARMS()(
            lambda b: torch.exp(b), D.Bernoulli(logits=leaf), 2, Scripted(0, numbers=numbers)
        ).sum().backward()
        want = exact_variance(E.DisARM(), lambda b: torch.exp(b), logits, 2)
        torch.testing.assert_close(leaf.grad.var(correction=0), want, rtol=1e-9, atol=1e-12)


def test_reinmax_is_exact_on_quadratics_and_gumbel_rao_keeps_the_mean():
    """ReinMax: sum over both outcomes. GumbelRao against GumbelSoftmax(hard): |z| < 5.5, 20,000 draws."""
    logits = torch.tensor(0.4, dtype=F64)
    p = torch.sigmoid(logits)
    leaf = logits.expand(2).clone().requires_grad_()
    noise = Scripted(0, numbers={"": torch.tensor([[1e3, -1e3]], dtype=F64)})
    E.ReinMax()(lambda b: (b - 0.45) ** 2, D.Bernoulli(logits=leaf), 1, noise).sum().backward()
    torch.testing.assert_close((leaf.grad * torch.stack([p, 1 - p])).sum(), p * (1 - p) * 0.1)
    grads = []
    for estimator in (E.GumbelSoftmax(0.5, hard=True), E.GumbelRao(16, 0.5)):
        leaf = torch.tensor([0.2, -0.7, 0.9], dtype=F64).expand(20_000, 3).clone().requires_grad_()
        f = lambda z: (z * torch.tensor([1.0, 2.0, -1.0], dtype=F64)).sum(-1) ** 2  # noqa: E731
        rp.expect(
            f, D.OneHotCategorical(logits=leaf), noise=rp.Noise(5), estimator=estimator
        ).sum().backward()
        grads.append(leaf.grad)
    hard, rao = grads
    assert (rao.var(0) < 0.7 * hard.var(0)).all()
    assert ((hard.mean(0) - rao.mean(0)).abs() < 5.5 * ((hard.var(0) + rao.var(0)) / 20_000).sqrt()).all()


def test_without_replacement_is_exact_when_the_set_is_everything():
    logits = torch.tensor([3.0, -20.0, 0.5], dtype=F64, requires_grad=True)
    f = lambda z: torch.exp(z[..., 0]) + z[..., 1]  # noqa: E731
    grads = []
    for estimator in (E.Enumerate(), E.WithoutReplacement(3)):
        q = D.OneHotCategorical(logits=logits)
        value = rp.expect(f, q, noise=rp.Noise(1), estimator=estimator)
        grads.append((value.detach(), *torch.autograd.grad(value, logits)))
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-9, atol=1e-12)


def test_probabilities_of_zero_and_one():
    """Enumerate at probs 0 and 1: the right one-sided derivative f(1) - f(0), no nan."""
    probs = torch.tensor([0.0, 1.0, 0.25], requires_grad=True)
    value = rp.expect(torch.exp, D.Bernoulli(probs=probs), estimator=E.Enumerate())
    value.sum().backward()
    torch.testing.assert_close(probs.grad, torch.full((3,), torch.e - 1))
    weights = torch.tensor([0.5, 0.0, 0.5], requires_grad=True)
    value = rp.expect(lambda z: z[..., 0], D.OneHotCategorical(probs=weights), estimator=E.RaoBlackwell(1))
    value.backward()
    assert torch.isfinite(weights.grad).all()


COMPILED = [
    E.ScoreFunction(),
    E.ScoreFunction("constant"),
    E.LeaveOneOut(),
    E.Enumerate(),
    E.ARM(),
    E.DisARM(),
    E.ARMS(),
    E.REBAR(),
    E.RELAX(lambda z: torch.sigmoid(z).sum(-1)),
    E.RaoBlackwell(1),
    E.WithoutReplacement(2),
    E.StraightThrough(),
    E.GumbelSoftmax(),
    E.GumbelRao(),
    E.ReinMax(),
    E.MeasureValued(),
    E.ControlVariate(E.LeaveOneOut()),
    E.ControlVariate(E.ScoreFunction(), coefficient="pilot"),
]


@pytest.mark.parametrize("estimator", COMPILED, ids=lambda e: type(e).__name__)
def test_one_compiled_graph(estimator):
    def run(logits, seed):
        q = D.Independent(D.Bernoulli(logits=logits, validate_args=False), 1, validate_args=False)
        return rp.expect(lambda z: z.sum(-1) ** 2, q, samples=2, noise=rp.Noise(seed), estimator=estimator)

    torch.compiler.reset()  # each estimator compiles `run` anew, and there is a limit
    logits = torch.tensor([0.3, -0.4, 0.0], requires_grad=True)
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    for seed in (torch.tensor(1), torch.tensor(2)):
        got, want = compiled(logits, seed), run(logits, seed)
        torch.testing.assert_close(got, want)
        torch.testing.assert_close(*(torch.autograd.grad(v, logits) for v in (got, want)))


def test_taylor_control_variates_compile():
    """Values and gradients in the mean, the scale and a parameter of f, through an f with a module in it."""
    net = torch.nn.Linear(2, 1)
    kinds = [E.ControlVariate(kind=kind) for kind in ("linear", "quadratic")]
    theta = torch.tensor(0.7, requires_grad=True)
    leaves = [torch.tensor([0.3, -0.4], requires_grad=True), torch.tensor([0.9, 0.5], requires_grad=True)]

    def run(loc, scale, seed, estimator):
        q = D.Independent(D.Normal(loc, scale, validate_args=False), 1, validate_args=False)
        f = lambda z: torch.tanh(net(z).squeeze(-1)) + theta * z.prod(-1) ** 2  # noqa: E731
        return rp.expect(f, q, samples=3, noise=rp.Noise(seed), estimator=estimator)

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    for estimator in kinds:
        got, want = (f(*leaves, torch.tensor(3), estimator) for f in (compiled, run))
        torch.testing.assert_close(got, want)
        inputs = [*leaves, theta, net.weight]
        torch.testing.assert_close(*(torch.autograd.grad(v, inputs) for v in (got, want)))


def test_default_for_discrete_is_leave_one_out():
    q = torch.distributions.Bernoulli(logits=torch.zeros(3))
    a = rp.expect(X2, q, samples=4, noise=rp.Noise(0))
    b = rp.expect(X2, q, samples=4, noise=rp.Noise(0), estimator=E.LeaveOneOut())
    assert torch.equal(a, b)
    with pytest.raises(ValueError, match="samples must be >= 2"):
        rp.expect(X2, q, noise=rp.Noise(0))
    with pytest.raises(ValueError, match="estimator=None means LeaveOneOut"):
        rp.expect(X2, q, samples=4, noise=rp.Noise(0).antithetic())


ERRORS = [
    (lambda q: E.LeaveOneOut()(X2, q, 1, rp.Noise(0)), ValueError, "samples must be an int >= 2"),
    (lambda q: E.ARM()(X2, q, 3, rp.Noise(0)), ValueError, "must be even"),
    (lambda q: E.ARM()(X2, D.Normal(0.0, 1.0), 2, rp.Noise(0)), TypeError, "must be Bernoulli"),
    (
        lambda q: E.REBAR()(X2, D.Categorical(logits=torch.zeros(2)), 2, rp.Noise(0)),
        TypeError,
        "OneHotCategorical",
    ),
    (lambda q: E.Enumerate()(X2, D.Normal(0.0, 1.0), 2, rp.Noise(0)), TypeError, "finitely many"),
    (lambda q: E.Enumerate(4)(X2, D.Independent(q, 1), 2, rp.Noise(0)), ValueError, "at most 4 states"),
    (lambda q: E.Pathwise()(X2, q, 2, rp.Noise(0)), TypeError, "must not have rule"),
    (
        lambda q: E.MeasureValued()(X2, D.Categorical(logits=torch.zeros(2)), 1, rp.Noise(0)),
        TypeError,
        "one of",
    ),
    (
        lambda q: E.REBAR()(X2, D.Bernoulli(probs=torch.tensor(1.0), validate_args=True), 1, rp.Noise(0)),
        ValueError,
        "inside",
    ),
    (lambda q: E.WithoutReplacement(9)(X2, D.Independent(q, 1), 1, rp.Noise(0)), ValueError, "from 1 to"),
    (lambda q: E.RaoBlackwell(0), ValueError, "k must be"),
    (lambda q: E.ScoreFunction("best"), ValueError, "baseline must be"),
    (lambda q: E.ScoreFunction(decay=1.0), ValueError, "decay"),
    (lambda q: E.ControlVariate(kind="cubic"), ValueError, "kind must be"),
    (lambda q: E.ControlVariate(kind="quadratic")(X2, q, 1, rp.Noise(0)), TypeError, "Normal"),
    (lambda q: E.LeaveOneOut()(lambda z: z[0], q, 2, rp.Noise(0)), ValueError, "one number per draw"),
]


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS, ids=[e[2] for e in ERRORS])
def test_errors(call, kind, text):
    with pytest.raises(kind, match=text):
        call(D.Bernoulli(logits=torch.zeros(3)))
