"""Bayesian layers: same start, same mean and variance for every method, exact KL, no noise kept."""

import copy

import pytest
import torch
from torch import nn

import reparam as rp
from reparam.layers import BayesConv1d, BayesConv2d, BayesLinear, local, make_bayesian
from reparam.noise import Noise

METHODS = ["weight", "local", "flipout"]
LAYERS = {
    "linear": (
        lambda m: BayesLinear(5, 3, method=m, initial_scale=0.1, dtype=torch.float64),
        (4, 5),
        nn.Linear(5, 3),
    ),
    "conv1d": (
        lambda m: BayesConv1d(
            4, 6, 3, stride=2, padding=1, groups=2, method=m, initial_scale=0.1, dtype=torch.float64
        ),
        (3, 4, 7),
        None,
    ),
    "conv2d circular": (
        lambda m: BayesConv2d(
            2, 3, 3, padding=(2, 1), padding_mode="circular", method=m, initial_scale=0.1, dtype=torch.float64
        ),
        (2, 2, 5, 4),
        None,
    ),
    "conv2d": (
        lambda m: BayesConv2d(
            2, 3, (3, 2), dilation=2, method=m, initial_scale=0.1, bias=False, dtype=torch.float64
        ),
        (2, 2, 7, 6),
        None,
    ),
}


def test_starts_like_a_linear_layer_whatever_the_method():
    torch.manual_seed(3)
    plain = nn.Linear(5, 3)
    for method in METHODS:
        torch.manual_seed(3)
        layer = BayesLinear(5, 3, method=method)
        assert torch.equal(layer.weight_loc, plain.weight)
        assert torch.equal(layer.bias_loc, plain.bias)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", LAYERS)
def test_mean_and_variance(name, method):
    """4,000 draws: |z| < 5.5 for each output's mean; variance within 6 standard errors (false alarm 2e-9 each).

    B3: the variance is that of weight sampling, scale^2 (sum x^2 + 1), and the mean is added once.
    """
    make, shape, _ = LAYERS[name]
    layer, n = make(method), 4_000
    x = Noise(1).normal(shape, dtype=torch.float64)
    with torch.no_grad():
        y = torch.vmap(lambda seed: layer(x, noise=Noise(seed)))(torch.arange(n))
        mean = layer.apply_map(x, layer.weight_loc, layer.bias_loc)
        bias = None if layer.bias_loc is None else torch.full_like(layer.bias_loc, 0.01)
        variance = layer.apply_map(x**2, torch.full_like(layer.weight_loc, 0.01), bias)
    assert ((y.mean(0) - mean).abs() < 5.5 * (variance / n).sqrt()).all()
    assert ((y.var(0) / variance - 1).abs() < 6 * (2 / n) ** 0.5).all()


def test_rows_are_uncorrelated_except_under_weight_sampling():
    """2,000 draws of the same input in two rows: correlation 1, or within 5.5 / sqrt(2000) of 0."""
    x = torch.ones(2, 4)
    for method in METHODS:
        layer = BayesLinear(4, 1, method=method)
        with torch.no_grad():
            y = torch.vmap(lambda seed, layer=layer: layer(x, noise=Noise(seed))[:, 0])(torch.arange(2_000))
        correlation = torch.corrcoef(y.T)[0, 1].item()
        assert correlation == pytest.approx(1 if method == "weight" else 0, abs=5.5 / 2_000**0.5)


@pytest.mark.parametrize("method", METHODS)
def test_several_passes_then_one_backward(method):
    """B1, B2: the scale gradient of K passes and one backward is the sum of K separate ones, exactly."""
    layer = BayesLinear(3, 2, method=method, dtype=torch.float64)
    x = Noise(0).normal((4, 3), dtype=torch.float64)
    losses = [layer(x, noise=Noise(5).at(k)).square().sum() for k in range(8)]
    together = torch.autograd.grad(sum(losses), list(layer.parameters()))
    apart = [
        torch.autograd.grad(layer(x, noise=Noise(5).at(k)).square().sum(), list(layer.parameters()))
        for k in range(8)
    ]
    for total, parts in zip(together, zip(*apart)):
        torch.testing.assert_close(total, sum(parts), rtol=1e-12, atol=1e-12)
    assert not dict(layer.named_buffers())


@pytest.mark.parametrize("method", METHODS)
def test_expected_gradient_of_a_square(method):
    """E (y - 1)^2 = (mean - 1)^2 + variance in closed form; 3,000 draws, |z| < 5.5 (4e-8 per number)."""
    layer = BayesLinear(3, 1, method=method, initial_scale=0.3, dtype=torch.float64)
    x = torch.tensor([[1.0, -0.5, 2.0]], dtype=torch.float64)
    mean = nn.functional.linear(x, layer.weight_loc, layer.bias_loc)
    variance = nn.functional.linear(
        x**2, (2 * layer.weight_log_scale).exp(), (2 * layer.bias_log_scale).exp()
    )
    exact = torch.autograd.grad(((mean - 1) ** 2 + variance).sum(), list(layer.parameters()))
    names = [name for name, _ in layer.named_parameters()]

    def loss(values, seed):
        y = torch.func.functional_call(layer, dict(zip(names, values)), (x,), {"noise": Noise(seed)})
        return (y - 1).square().sum()

    values = tuple(p.detach() for p in layer.parameters())
    draws = torch.vmap(torch.func.grad(loss), in_dims=(None, 0))(values, torch.arange(3_000))
    for want, got in zip(exact, draws):
        assert ((got.mean(0) - want).abs() < 5.5 * got.std(0) / 3_000**0.5 + 1e-12).all()


def test_rows_keep_their_noise_in_any_batch():
    layer = BayesLinear(3, 2, method="local")
    x = Noise(0).normal((6, 3))
    whole = layer(x, noise=Noise(1).rows(torch.arange(6)))
    part = layer(x[4:], noise=Noise(1).rows(torch.tensor([4, 5])))
    torch.testing.assert_close(whole[4:], part)
    weight = BayesLinear(3, 2, method="weight")
    torch.testing.assert_close(
        weight(x, noise=Noise(1).rows(torch.arange(6))), weight(x, noise=Noise(1)), rtol=0, atol=0
    )


def test_kl_is_the_formula_and_monte_carlo_agrees():
    """2,000 draws of 8 weights: |z| < 5.5."""
    prior = rp.distributions.Normal(0.2, 0.5)
    layer = BayesLinear(3, 2, prior=prior, dtype=torch.float64)
    q = [
        torch.distributions.Normal(layer.weight_loc, layer.weight_log_scale.exp()),
        torch.distributions.Normal(layer.bias_loc, layer.bias_log_scale.exp()),
    ]
    p = torch.distributions.Normal(0.2, 0.5)
    exact = sum(torch.distributions.kl_divergence(part, p).sum() for part in q)
    torch.testing.assert_close(layer.kl(), exact, rtol=1e-6, atol=0)
    draws = torch.stack([layer.kl(samples=20, noise=Noise(k)) for k in range(100)])
    assert (draws.mean() - exact).abs() < 5.5 * draws.std() / 10
    layer.prior = torch.distributions.Laplace(0.0, 1.0)
    torch.testing.assert_close(
        layer.kl(), sum(torch.distributions.kl_divergence(part, layer.prior).sum() for part in q)
    )
    layer.prior = torch.distributions.StudentT(3.0)
    with pytest.raises(ValueError, match="pass samples="):
        layer.kl()
    assert torch.isfinite(layer.kl(samples=2, noise=Noise(0)))


def local_inputs(dtype, bias=True, shape=(2, 3)):
    sizes = {"x": (*shape, 5), "loc": (4, 5), "log_scale": (4, 5), "b": (4,), "bs": (4,), "eps": (*shape, 4)}
    drawn = {k: Noise(2).child(k).normal(s, dtype=dtype).requires_grad_() for k, s in sizes.items()}
    return [None if k in ("b", "bs") and not bias else t for k, t in drawn.items()]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7,), (2, 3), ()])
def test_fused_local_layer_is_its_definition(shape, bias):
    """Values, first derivatives, and the derivatives of their squares, in all six inputs."""
    inputs = local_inputs(torch.float32, bias, shape)
    leaves = [t for t in inputs if t is not None]
    assert local.native(*inputs)
    results = []
    for f in (local.local_linear, local._local_linear):
        y = f(*inputs)
        first = torch.autograd.grad(y.square().sum(), leaves, create_graph=True)
        plain = torch.autograd.grad(f(*inputs).square().sum(), leaves)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), leaves)
        results.append([y.detach(), *plain, *first, *second])
    for got, want in zip(*results):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=2e-5)


def test_local_definition_by_finite_differences():
    inputs = local_inputs(torch.float64)
    assert torch.autograd.gradcheck(local.local_linear, inputs)
    assert torch.autograd.gradgradcheck(local.local_linear, inputs)


@pytest.mark.parametrize("count", [1, 511, 513, 200_000])
def test_fused_kl_is_its_definition(count):
    """One pass over float32 weights against torch in float64, two laws; the larger is shared out to two threads."""
    laws = [Noise(k).normal((n,)).requires_grad_() for k, n in enumerate((count, count, 3, 3))]
    m, s = torch.tensor(0.3), torch.tensor(0.6)
    before = torch.get_num_threads()
    results = []
    for f, to, threads in (
        (local.normal_kl, torch.float32, 1),
        (local.normal_kl, torch.float32, 2),
        (local._normal_kl, torch.float64, 1),
    ):
        torch.set_num_threads(threads)
        value = f(*(t.to(to) for t in (m, s, *laws)))
        torch.set_num_threads(before)
        results.append([value.detach(), *torch.autograd.grad(3 * value, laws)])
    assert all(torch.equal(a, b) for a, b in zip(*results[:2]))
    for got, want in zip(results[0], results[2]):
        torch.testing.assert_close(got, want.to(got.dtype), rtol=2e-6, atol=2e-6)


def test_kl_gradients_of_both_orders():
    m, s = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.3, 0.6))
    loc, log_scale = (Noise(k).normal((2, 3), dtype=torch.float64).requires_grad_() for k in (0, 1))
    assert torch.autograd.gradcheck(local.normal_kl, (m, s, loc, log_scale))
    assert torch.autograd.gradgradcheck(local.normal_kl, (m, s, loc, log_scale))
    weights = [t.detach().float().requires_grad_() for t in (loc, log_scale)]
    prior = torch.tensor(0.3), torch.tensor(0.6)
    second = []
    for f in (local.normal_kl, local._normal_kl):
        first = torch.autograd.grad(f(*prior, *weights), weights, create_graph=True)
        second.append(torch.autograd.grad(sum(g.square().sum() for g in first), weights))
    torch.testing.assert_close(*second)


def test_forward_mode_derivatives():
    layer, x = BayesLinear(3, 2, method="local"), Noise(0).normal((4, 3))
    direction = torch.ones_like(x)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, direction)
        tangent = torch.autograd.forward_ad.unpack_dual(layer(dual, noise=Noise(1))).tangent
    want = torch.func.jvp(lambda x: layer(x, noise=Noise(1)), (x,), (direction,))[1]
    torch.testing.assert_close(tangent, want)


def test_no_input_no_noise_no_nan():
    layer = BayesLinear(3, 2, bias=False, method="local")
    x = torch.zeros(2, 3, requires_grad=True)
    layer(x, noise=Noise(0)).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(layer.weight_log_scale.grad).all()


@pytest.mark.parametrize("method", METHODS)
def test_under_vmap_compile_autocast_and_state_dict(method):
    layer = BayesLinear(3, 2, method=method)
    x = Noise(0).normal((4, 3))
    seeds = torch.arange(3)
    each = torch.stack([layer(x, noise=Noise(s)) for s in seeds])
    torch.testing.assert_close(torch.vmap(lambda s: layer(x, noise=Noise(s)))(seeds), each)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = layer(x, noise=Noise(0))
    assert low.dtype == torch.bfloat16 or method == "weight"
    torch.testing.assert_close(low.float(), layer(x, noise=Noise(0)), rtol=0.1, atol=0.1)
    twin = BayesLinear(3, 2, method=method)
    twin.load_state_dict(layer.state_dict())
    assert torch.equal(twin(x, noise=Noise(1)), layer(x, noise=Noise(1)))


@pytest.mark.parametrize("method", METHODS)
def test_one_compiled_graph(method):
    """The whole graph is traced, nested layers and their scope included; values and gradients are the eager ones."""
    net = make_bayesian(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)), method=method)
    x = Noise(0).normal((4, 3))
    run = lambda seed: net(x, noise=Noise(seed)).square().sum()  # noqa: E731
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    for seed in (torch.tensor(1), torch.tensor(2)):
        got, want = compiled(seed), run(seed)
        torch.testing.assert_close(got, want)
        parameters = list(net.parameters())
        for a, b in zip(torch.autograd.grad(got, parameters), torch.autograd.grad(want, parameters)):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [(2, 1), "same", "valid"])
def test_convolutions_pad_as_torch_does(padding, mode):
    plain = nn.Conv2d(2, 3, (3, 5), padding=padding, padding_mode=mode)
    x = Noise(0).normal((2, 2, 6, 5))
    for method in METHODS:
        y = make_bayesian(plain, method=method, initial_scale=1e-9)(x, noise=Noise(1))
        torch.testing.assert_close(y, plain(x))
    torch.manual_seed(1)
    own = BayesConv2d(2, 3, (3, 5), padding=padding, padding_mode=mode, initial_scale=1e-9)
    torch.manual_seed(1)
    plain = nn.Conv2d(2, 3, (3, 5), padding=padding, padding_mode=mode)
    torch.testing.assert_close(own(x, noise=Noise(1)), plain(x))


def test_make_bayesian():
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Sequential(nn.Linear(8, 3)), nn.Linear(3, 1)
    )
    before = copy.deepcopy(net.state_dict())
    twin = make_bayesian(net, method="local", initial_scale=1e-6)
    x = Noise(0).normal((5, 1, 4, 4))
    torch.testing.assert_close(twin(x, noise=Noise(1)), net(x), rtol=1e-3, atol=1e-3)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), net.state_dict().values()))
    assert torch.equal(twin(x, noise=Noise(1)), twin(x, noise=Noise(1)))
    wide = make_bayesian(net, initial_scale=1.0)
    assert not torch.equal(wide(x, noise=Noise(1)), wide(x, noise=Noise(2)))
    total = sum(m.kl() for m in wide.modules() if isinstance(m, BayesLinear | BayesConv2d))
    torch.testing.assert_close(wide.kl(), total)
    again = copy.deepcopy(wide)
    assert torch.equal(again(x, noise=Noise(3)), wide(x, noise=Noise(3)))
    assert isinstance(make_bayesian(nn.Linear(2, 1)).module, BayesLinear)


def test_a_layer_at_two_places_stays_one_layer():
    layer = nn.Linear(3, 3)
    net = make_bayesian(nn.Sequential(layer, nn.ReLU(), layer))
    assert isinstance(net.module[0], BayesLinear)
    assert net.module[0] is net.module[2]
    torch.testing.assert_close(net.kl(), net.module[0].kl())


def test_frozen_layers_stay_frozen():
    layer = nn.Linear(3, 3)
    layer.weight.requires_grad_(False)
    new = make_bayesian(layer).module
    names = ("weight_loc", "weight_log_scale", "bias_loc", "bias_log_scale")
    assert [getattr(new, name).requires_grad for name in names] == [False, False, True, True]


@pytest.mark.parametrize("method", METHODS)
def test_transformers_of_torch(method):
    """In eval mode torch would read linear1.weight; attention's output map stays, and the call says so."""
    plain = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), 2)
    with pytest.warns(UserWarning, match="self_attn.out_proj"):
        net = make_bayesian(plain, method=method, initial_scale=1e-6).eval()
    x = Noise(0).normal((2, 5, 8))
    for padding in (None, torch.zeros(2, 5, dtype=torch.bool)):
        with torch.no_grad():
            y = net(x, src_key_padding_mask=padding, noise=Noise(1))
        torch.testing.assert_close(y, plain(x), rtol=1e-3, atol=1e-3)


def test_shared_weights_are_refused():
    a, b = nn.Linear(3, 3), nn.Linear(3, 3)
    b.weight = a.weight
    with pytest.raises(ValueError, match="weights of its own; got one weight in 0 and 1"):
        make_bayesian(nn.Sequential(a, b))
    c = nn.Embedding(3, 3)
    c.weight = a.weight
    with pytest.raises(ValueError, match="weights of its own"):
        make_bayesian(nn.Sequential(c, a))


ERRORS = [
    (lambda: BayesLinear(2, 1, method="best"), ValueError, "method must be"),
    (lambda: BayesLinear(2, 1, initial_scale=0), ValueError, "initial_scale"),
    (lambda: make_bayesian(nn.ReLU()), ValueError, "must hold a Linear"),
    (lambda: BayesConv1d(1, 1, 3)(torch.ones(1, 5)), ValueError, "must have shape"),
    (lambda: BayesLinear(2, 1)(torch.ones(1, 2), noise=3), TypeError, "noise must be"),
]


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS, ids=[e[2] for e in ERRORS])
def test_errors(call, kind, text):
    with pytest.raises(kind, match=text):
        call()
