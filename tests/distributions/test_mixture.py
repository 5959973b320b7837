"""Mixtures of one family: quantile, every derivative, closed forms, both tails."""

import mpmath as mp
import pytest
import torch

import reparam as rp
from reparam import distributions as D
from reparam.kernels import mixture as kernel
from reparam.kernels.reference.mixture import mixture_quantile as reference
from reparam.transforms.mixture import mixture_quantile

F64 = torch.float64
NOISE = rp.Noise(20261124)
LINES = {  # family, its parameters for two batches of three components
    "Normal": {"loc": [[-2.0, 0.0, 5.0], [0.0, 0.1, -0.2]], "scale": [[0.5, 2.0, 1.0], [1.0, 0.3, 0.01]]},
    "Laplace": {"loc": [[-2.0, 0.0, 5.0], [0.0, 0.1, -0.2]], "scale": [[0.5, 2.0, 1.0], [1.0, 0.3, 2.0]]},
    "Gamma": {
        "concentration": [[0.5, 2.0, 9.0], [1.0, 3.0, 5.0]],
        "rate": [[1.0, 2.0, 1.0], [1.0, 0.3, 2.0]],
    },
    "Beta": {
        "concentration1": [[0.5, 2.0, 9.0], [1.0, 3.0, 5.0]],
        "concentration0": [[1.0, 2.0, 1.0], [1.0, 0.8, 2.0]],
    },
}
EVERY = pytest.mark.parametrize("family", LINES)


def arguments(family, dtype=F64):
    logits = torch.tensor([[0.3, -1.0, 0.2], [0.0, 1.5, -2.0]], dtype=dtype)
    return {"logits": logits, **{n: torch.tensor(v, dtype=dtype) for n, v in LINES[family].items()}}


def make(family, logits, **params):
    component = getattr(D, family)(**params, validate_args=False)
    return D.MixtureSameFamily(
        D.Categorical(logits=logits, validate_args=False), component, validate_args=False
    )


@EVERY
def test_a_draw_is_a_push_of_addressed_noise(family):
    q = make(family, **arguments(family))
    z = q.rsample((4,), noise=NOISE)
    assert torch.equal(z, q.sample((4,), noise=NOISE))
    assert torch.equal(z, q.push(NOISE.draw(q.noise_spec((4,)))))
    assert isinstance(q, torch.distributions.MixtureSameFamily)
    wide = q.expand((5, 2))
    assert wide.sample((3,), noise=NOISE).shape == (3, 5, 2)
    assert type(wide) is type(q)
    assert q.sample((0,), noise=NOISE).shape == (0, 2)
    theirs = torch.distributions.MixtureSameFamily(q.mixture_distribution, q.component_distribution)
    assert torch.equal(D.convert(theirs).sample((4,), noise=NOISE), z)
    assert not rp.detach(q).rsample(noise=NOISE).requires_grad


@EVERY
def test_quantile_inverts_both_tails(family):
    q = make(family, **arguments(family))
    u = torch.tensor([1e-12, 1e-6, 0.03, 0.45, 0.55, 0.999], dtype=F64)[:, None]
    for there, back in ((q.icdf, q.cdf), (q.isf, q.survival)):
        x = there(u)
        rounding = 4e-16 * (x.abs() + (family == "Beta")) * torch.exp(q.log_prob(x))
        assert ((back(x) - u).abs() <= 1e-10 * u + rounding).all()
    torch.testing.assert_close(q.pull(q.icdf(u)), torch.special.ndtri(u).expand(-1, 2), rtol=1e-6, atol=1e-8)


@EVERY
def test_pathwise_is_the_derivative_of_the_draw(family):
    params = {name: value.requires_grad_() for name, value in arguments(family).items()}
    q = make(family, **params)
    z = q.rsample((20,), noise=NOISE)
    velocity = q.pathwise(z.detach())
    assert velocity.keys() == params.keys()
    for name, value in params.items():
        rows = torch.stack([torch.autograd.grad(row.sum(), value, retain_graph=True)[0] for row in z])
        torch.testing.assert_close(velocity[name], rows, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("family", ["Normal", "Laplace", "Gamma"])
def test_first_and_second_derivatives(family):
    params = arguments(family)
    eps = NOISE.draw(make(family, **params).noise_spec((2,)))
    values = [value.requires_grad_() for value in params.values()]

    def push(eps, *values):
        return make(family, **dict(zip(params, values))).push(eps)

    fast = family != "Normal"
    eps.requires_grad_()
    assert torch.autograd.gradcheck(push, (eps, *values), check_forward_ad=True, fast_mode=fast)
    assert torch.autograd.gradgradcheck(push, (eps, *values), atol=1e-4, fast_mode=fast)


@pytest.mark.parametrize("name", ["logits", "loc", "scale"])
def test_torch_func_transforms(name):
    params = arguments("Normal")
    eps = NOISE.draw(make("Normal", **params).noise_spec((3,)))

    def total(value, eps=eps):
        return make("Normal", **{**params, name: value}).push(eps).sin().sum()

    value = params[name]
    reverse = torch.func.grad(total)(value)
    eager = value.clone().requires_grad_()
    torch.testing.assert_close(torch.autograd.grad(total(eager), eager)[0], reverse, rtol=1e-10, atol=1e-13)
    each = torch.func.vmap(torch.func.grad(total), in_dims=(None, 0), randomness="error")(value, eps)
    torch.testing.assert_close(each.sum(0), reverse, rtol=1e-10, atol=1e-13)
    second = torch.func.jacrev(torch.func.grad(total))(value)
    for outer in (torch.func.jacfwd(torch.func.grad(total)), torch.func.jacfwd(torch.func.jacfwd(total))):
        torch.testing.assert_close(outer(value), second, rtol=1e-9, atol=1e-11)
    grad = torch.autograd.grad(total(eager), eager, create_graph=True)[0]
    rows = torch.stack([torch.autograd.grad(g, eager, retain_graph=True)[0] for g in grad.flatten()])
    torch.testing.assert_close(rows.view_as(second), second, rtol=1e-9, atol=1e-11)


def test_compiles_into_one_graph():
    params = arguments("Normal")
    eps = NOISE.draw(make("Normal", **params).noise_spec((3,)))
    values = [value.requires_grad_() for value in params.values()]

    def total(eps, *values):
        q = make("Normal", **dict(zip(params, values)))
        z = q.push(eps)
        return z.sin().sum() + q.log_density(z).sum()

    eager = torch.autograd.grad(total(eps, *values), values)
    compiled = torch.autograd.grad(
        torch.compile(total, fullgraph=True, backend="aot_eager")(eps, *values), values
    )
    for a, b in zip(eager, compiled):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.bfloat16, torch.float16])
def test_dtypes(dtype):
    q = make("Normal", **arguments("Normal", dtype))
    z = q.rsample((50,), noise=NOISE)
    assert z.dtype == q.log_prob(z).dtype == q.cdf(z).dtype == dtype
    if dtype in (torch.bfloat16, torch.float16):
        single = make("Normal", **{n: v.float() for n, v in arguments("Normal", dtype).items()})
        assert torch.equal(z, single.rsample((50,), noise=NOISE).to(dtype))


def mixtures(count, K, dtype, seed):
    """Random mixtures: overlapping, far apart, and of very unlike widths."""
    noise = rp.Noise(seed)
    logits, loc, width = (noise.child(n).normal((count, K), dtype=dtype) for n in ("logits", "loc", "width"))
    reach = torch.tensor([1.0, 4.0, 30.0], dtype=dtype).repeat(count)[:count, None]
    return 2 * logits, reach * loc, torch.exp(width)


@pytest.mark.parametrize("shape", [(3, 40), (300, 4), (1, 500)])
def test_kernel_and_reference_agree(shape):
    parameters = mixtures(shape[1], 5, F64, 1)
    eps = 2 * NOISE.normal(shape, dtype=F64)
    z, right = kernel.quantile(eps, *parameters), reference(eps, *parameters)
    f = torch.exp(gaussian(*parameters).log_prob(right))
    slope = torch.exp(-0.5 * eps * eps) / 2.5066 / f  # where it is steep, a rounding of F moves z
    assert ((z - right).abs() <= 1e-14 * (1 + slope + right.abs())).all()


def gaussian(logits, loc, scale):
    return D.MixtureSameFamily(D.Categorical(logits=logits), D.Normal(loc, scale))


def test_single_precision_is_double_precision_rounded():
    """Value, and the derivatives at the rounded draw, to 2 ulp of their natural scale."""
    parameters = mixtures(2000, 8, torch.float32, 2)
    eps = NOISE.normal((2000,))
    leaves = [p.clone().requires_grad_() for p in parameters]
    z = mixture_quantile(eps, *leaves)
    right = kernel.quantile(eps.double(), *(p.double() for p in parameters))
    q = gaussian(*(p.double() for p in parameters))
    scale = torch.exp(-0.5 * eps.double() ** 2 - q.log_prob(right)) * 0.4 + right.abs()
    assert ((z.double() - right).abs() / scale).max() < 2.0**-23
    slopes, exact = torch.autograd.grad(z.sum(), leaves), q.pathwise(z.detach().double())
    terms = (
        torch.minimum(q.cdf(z.detach().double()), q.survival(z.detach().double()))
        / q.log_prob(z.detach().double()).exp()
    )
    for slope, name in zip(slopes, ("logits", "loc", "scale")):
        span = exact[name].abs().amax(-1, keepdim=True)
        if name == "logits":  # a difference of two terms of this size
            span = torch.maximum(span, terms[:, None])
        assert ((slope.double() - exact[name]).abs() / span).max() < 2.0**-22, name


def test_slopes_against_many_digits():
    mp.mp.dps = 40
    logits, loc, scale = (torch.tensor(v, dtype=F64) for v in ([0.3, -1.0], [-1.0, 2.5], [0.5, 2.0]))
    q = gaussian(logits, loc, scale)
    total = sum(mp.exp(mp.mpf(v)) for v in logits.tolist())
    w = [mp.exp(mp.mpf(v)) / total for v in logits.tolist()]
    for x in (-6.0, -1.2, 0.4, 7.0, 17.0):
        t = [(mp.mpf(x) - mp.mpf(m)) / mp.mpf(s) for m, s in zip(loc.tolist(), scale.tolist())]
        parts = [wk * mp.npdf(tk) / mp.mpf(s) for wk, tk, s in zip(w, t, scale.tolist())]
        f, Phi = sum(parts), [mp.ncdf(tk) for tk in t]
        F = sum(a * b for a, b in zip(w, Phi))
        right = {
            "loc": [p / f for p in parts],
            "scale": [p * tk / f for p, tk in zip(parts, t)],
            "logits": [-wk * (Pk - F) / f for wk, Pk in zip(w, Phi)],
        }
        for name, ours in q.pathwise(torch.tensor(x, dtype=F64)).items():
            for a, b in zip(ours.tolist(), right[name]):
                assert abs(a / float(b) - 1) < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_extremes(dtype):
    """Modes 1e6 widths apart, weights of e^-80, widths from 1e-20 to 1e20: numbers, in order, with derivatives."""
    logits = torch.tensor([[0.0, 0.0, -80.0], [0.0, -40.0, 40.0], [0.0, 0.0, -torch.inf]], dtype=dtype)
    loc = torch.tensor([[-1e6, 1e6, 0.0], [0.0, 0.0, 1e-3], [0.0, 1.0, 1e9]], dtype=dtype)
    scale = torch.tensor([[1.0, 1.0, 1.0], [1e-20, 1e20, 1.0], [1e-3, 1e3, 1.0]], dtype=dtype)
    q = gaussian(logits.requires_grad_(), loc.requires_grad_(), scale.requires_grad_())
    eps = NOISE.normal((20_000, 3), dtype=dtype).sort(0).values
    z = q.push(eps)
    assert z.isfinite().all()
    assert (z.diff(dim=0) >= -1e-6 * z[1:].abs()).all()
    for slope in torch.autograd.grad(z.sum(), (loc, scale)):
        assert slope.isfinite().all()


def test_antithetic_noise_mirrors_a_symmetric_mixture():
    q = gaussian(torch.zeros(2, dtype=F64), torch.tensor([-3.0, 3.0], dtype=F64), torch.ones(2, dtype=F64))
    z = q.rsample((100,), noise=NOISE.antithetic())
    torch.testing.assert_close(z.sum(), torch.tensor(0.0, dtype=F64), rtol=0, atol=1e-11)


def build(kind, d, shift):
    """Three components in d dimensions, all means moved by `shift`; leaves and E cos(w.x) as a function of them."""
    noise = NOISE.child(kind)
    leaves = {
        "logits": noise.child("l").normal((3,), dtype=F64).requires_grad_(),
        "loc": (noise.child("m").normal((3, d), dtype=F64) + shift).requires_grad_(),
    }
    spread = torch.exp(0.3 * noise.child("s").normal((3, d), dtype=F64))
    lower = 0.5 * noise.child("t").normal((3, d, d), dtype=F64).tril(-1) + torch.diag_embed(spread)
    full = kind == "full"
    leaves["scale"] = (lower if full else spread).requires_grad_()
    mixture = D.Categorical(logits=leaves["logits"])
    loc, scale = leaves["loc"], leaves["scale"]
    if full:
        q = D.MixtureSameFamily(mixture, D.MultivariateNormal(loc, scale_tril=scale))
    elif kind == "factorised":
        q = D.MixtureSameFamily(mixture, D.Independent(D.Normal(loc, scale), 1))
    else:
        q = D.MixtureSameFamily(mixture, D.Normal(loc[:, 0], scale[:, 0]))
    tril = scale.tril() if full else torch.diag_embed(scale)

    def expected(w):
        spread = ((tril.mT @ w) ** 2).sum(-1)
        return (torch.softmax(leaves["logits"], 0) * torch.cos(loc @ w) * torch.exp(-0.5 * spread)).sum()

    return q, leaves, expected


@pytest.mark.parametrize(("kind", "d"), [("line", 1), ("factorised", 3), ("full", 3)])
def test_gradients_of_closed_forms_with_all_means_shifted(kind, d):
    """E cos(w.x) for five frequencies and two shifts, n = 4,000 antithetic pairs of draws.

    Per-draw gradients by 20 groups of 400; in all 3 kinds x 10 functions x at most 39 entries: under 1,000 t statistics
    of 19 degrees of freedom; 8 is passed by chance in 2e-4 of all suites, and the bias seen is .1 of a gradient's
    spread. Logit gradients that depend on the shift fail at once.
    """
    groups, n = 20, 400
    for shift in (0.0, 7.3):
        q, leaves, expected = build(kind, d, shift)
        for trial in range(5):
            noise = NOISE.child("w").at(trial)
            w = noise.normal((d,), dtype=F64)
            z = q.rsample((groups * n,), noise=noise.child(kind)).reshape(groups, n, d)
            values = torch.cos((z * w).sum(-1)).mean(1)
            right = torch.autograd.grad(expected(w), list(leaves.values()))
            slopes = [torch.autograd.grad(v, list(leaves.values()), retain_graph=True) for v in values]
            for ours, exact in zip(zip(*slopes), right):
                stack = torch.stack(ours)
                error = (stack.mean(0) - exact).abs()
                assert (error <= 8 * stack.std(0) / groups**0.5 + 1e-12).all(), (kind, shift, trial)


@pytest.mark.parametrize(("kind", "d"), [("line", 1), ("factorised", 2), ("full", 2)])
def test_logit_gradients_do_not_move_with_the_components(kind, d):
    gradients = []
    for shift in (0.0, -11.7):
        q, leaves, _ = build(kind, d, shift)
        z = q.rsample((50,), noise=NOISE) - shift
        gradients.append(torch.autograd.grad((z * z).sum(), leaves["logits"])[0])
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-10)
    assert gradients[0].abs().min() > 1e-3
    assert abs(gradients[0].sum()) < 1e-10 * gradients[0].abs().max() * 50


def test_other_components_are_refused():
    with pytest.raises(TypeError, match="component_distribution must be one-dimensional"):
        D.MixtureSameFamily(D.Categorical(torch.ones(2)), D.Dirichlet(torch.ones(2, 3)))
    q, _, _ = build("factorised", 2, 0.0)
    with pytest.raises(TypeError, match="cdf: the components must be one-dimensional"):
        q.cdf(torch.zeros(2, dtype=F64))
