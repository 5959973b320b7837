"""The VAE against a model whose log p(x) is known, and the laws of its noise."""

import math

import pytest
import torch

import reparam as rp
from reparam.data import from_array
from reparam.models import VAE, DiagonalGaussian, GaussianLikelihood, ModelSpec, StandardNormal, build_vae
from reparam.models.nets import ConvDecoder, ConvEncoder, pyramid
from reparam.train.evaluate import evaluate
from reparam.train.fit import DatasetExamples

D_X, D_Z, SIGMA = 6, 3, 0.7


class Affine(torch.nn.Module):
    """x -> x A^T + b, with a constant log scale appended for an encoder."""

    def __init__(self, matrix, bias, log_scale=None):
        super().__init__()
        self.matrix, self.bias, self.log_scale = torch.nn.Parameter(matrix), bias, log_scale

    def forward(self, x):
        loc = x @ self.matrix.T + self.bias
        return loc if self.log_scale is None else torch.cat([loc, self.log_scale.expand_as(loc)], -1)


def linear_gaussian(distort: float = 0.0) -> tuple[VAE, torch.distributions.MultivariateNormal]:
    """Return p(x|z) = N(Wz + b, s^2), orthogonal columns of W, q = the posterior (distorted), and p(x)."""
    noise = rp.Noise(1)
    basis = torch.linalg.qr(noise.child("w").normal((D_X, D_Z), dtype=torch.float64)).Q
    W = basis * torch.tensor([1.5, 1.0, 0.5], dtype=torch.float64)
    b = noise.child("b").normal((D_X,), dtype=torch.float64)
    precision = 1 + (W * W).sum(0) / SIGMA**2
    A = (W / SIGMA**2 / precision).T
    encoder = Affine(A * (1 + distort), -(A * (1 + distort)) @ b, -0.5 * precision.log() + distort)
    likelihood = GaussianLikelihood((D_X,), shared_scale=True)
    model = VAE(encoder, DiagonalGaussian(D_Z), StandardNormal(D_Z), Affine(W, b), likelihood).double()
    with torch.no_grad():
        likelihood.log_scale.fill_(math.log(SIGMA))
    marginal = torch.distributions.MultivariateNormal(
        b, W @ W.T + SIGMA**2 * torch.eye(D_X, dtype=torch.float64)
    )
    return model, marginal


def test_log_prob_is_exact_with_the_exact_posterior():
    model, marginal = linear_gaussian()
    x = rp.Noise(2).normal((7, D_X), dtype=torch.float64)
    for samples in (1, 3, 50):
        estimate = model.log_prob(x, samples=samples, noise=rp.Noise(3))
        torch.testing.assert_close(estimate, marginal.log_prob(x), rtol=1e-12, atol=1e-12)
    bound = model.elbo(x, noise=rp.Noise(0), samples=20_000).bound
    torch.testing.assert_close(bound, marginal.log_prob(x), rtol=0, atol=0.1)  # 5 standard errors


def test_evaluation_matches_the_known_likelihood_within_its_errors():
    model, marginal = linear_gaussian(distort=0.2)
    data = from_array(rp.Noise(5).normal((40, D_X)).numpy(), kind="real")
    examples = DatasetExamples(data, torch.arange(40), torch.float64)
    exact = -marginal.log_prob(examples.batch(torch.arange(40)))
    result = evaluate(model, examples, samples=2000, noise=rp.Noise(0))
    # error budget: 5 standard errors of the importance draws, false alarm 6e-7
    assert abs(result.nll_nats - float(exact.mean())) < 5 * result.nll_importance_standard_error_nats
    assert 0 < result.nll_importance_standard_error_nats < 0.02
    assert result.nll_standard_error_nats == pytest.approx(float(exact.std() / 40**0.5), rel=0.02)
    assert -result.elbo_nats > result.nll_nats
    assert result.elbo_nats == pytest.approx(result.reconstruction_nats - result.kl_nats, abs=1e-9)
    assert sum(result.kl_per_unit_nats) == pytest.approx(result.kl_nats)
    assert result.bits_per_dim is None
    assert 1 <= result.effective_sample_size_min <= result.effective_sample_size_mean <= 2000


def test_chunks_and_batches_never_change_the_numbers():
    model, _ = linear_gaussian(distort=0.3)
    data = from_array(rp.Noise(5).normal((23, D_X)).numpy(), kind="real")
    examples = DatasetExamples(data, torch.arange(23), torch.float64)
    noise = rp.Noise(4)
    whole = evaluate(model, examples, samples=17, noise=noise).as_dict()
    for batch in (1, 5, 22):
        parts = evaluate(model, examples, samples=17, noise=noise, batch=batch).as_dict()
        for key, value in whole.items():
            same = value if value is None or isinstance(value, str) else pytest.approx(value, rel=1e-11)
            assert parts[key] == same, key
    x = examples.batch(torch.arange(23))
    target = model.log_prob(x, samples=17, noise=noise)
    for chunk in (1, 4, 16, 100):
        torch.testing.assert_close(
            model.log_prob(x, samples=17, noise=noise, chunk=chunk), target, rtol=1e-13, atol=0
        )


def test_K_means_K():
    """The bound of K draws is the mean of exactly K weights, below the batch size too."""
    model, _ = linear_gaussian(distort=0.3)
    x = rp.Noise(5).normal((9, D_X), dtype=torch.float64)
    noise = rp.Noise(6)
    log_w = model.log_weights(x, samples=5, noise=noise.child("importance"))
    assert log_w.shape == (5, 9)
    for K in (1, 2, 5):
        exact = torch.logsumexp(log_w[:K], 0) - math.log(K)
        torch.testing.assert_close(model.log_prob(x, samples=K, noise=noise), exact, rtol=1e-13, atol=0)


@pytest.mark.parametrize("event", [(1, 1, 1), (1, 8, 8), (3, 17, 5), (2, 32, 30), (4, 2, 3)])
def test_convolutions_for_any_size(event):
    x = rp.Noise(0).uniform((2, 3, *event))
    codes = ConvEncoder(event, (8, 16), 5)(x)
    assert codes.shape == (2, 3, 5)
    assert ConvDecoder(5, (8, 16), event)(codes).shape == x.shape
    assert max(pyramid(event[1:])[-1]) <= 4


@pytest.mark.parametrize("net", ["mlp", "conv"])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_parts_are_exchangeable(net, likelihood):
    spec = ModelSpec((1, 9, 7), 3, net, (12,), likelihood, binarize=likelihood == "bernoulli")
    model = build_vae(spec, rp.Noise(0))
    x = rp.Noise(1).uniform((4, 1, 9, 7))
    terms = model.elbo(x, noise=rp.Noise(2).rows([5, 6, 7, 8]), samples=2)
    terms.loss.backward()
    assert terms.bound.shape == (4,)
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    assert model.encode(x).shape == (4, 3)
    assert model.reconstruct(x).shape == x.shape
    assert model.sample(6, noise=rp.Noise(0)).shape == (6, 1, 9, 7)


def test_initial_weights_are_a_function_of_the_address():
    spec = ModelSpec((5,), 2, hidden=(7,))
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = build_vae(spec, rp.Noise(0)).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    second, other = build_vae(spec, rp.Noise(0)).state_dict(), build_vae(spec, rp.Noise(1)).state_dict()
    for name, value in first.items():
        assert torch.equal(value, second[name])
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


def test_terms_of_an_example_do_not_depend_on_its_batch():
    model = build_vae(ModelSpec((1, 8, 8), 4, binarize=True), rp.Noise(0)).double()
    x = rp.Noise(1).uniform((6, 1, 8, 8), dtype=torch.float64)
    index = torch.arange(6) + 100
    whole = model.elbo(x, noise=rp.Noise(2).rows(index)).bound
    for pick in ([0], [5, 2]):
        part = model.elbo(x[pick], noise=rp.Noise(2).rows(index[pick])).bound
        torch.testing.assert_close(part, whole[pick], rtol=1e-13, atol=0)


def test_dynamic_binarisation_is_an_event_of_the_bernoulli_law():
    model = build_vae(ModelSpec((1, 8, 8), 4, binarize=True), rp.Noise(0))
    x = torch.full((1000, 1, 8, 8), 0.3)
    target = model.likelihood.target(x, rp.Noise(0))
    assert set(target.unique().tolist()) == {0.0, 1.0}
    # 64,000 draws: standard error 0.0018; 5 of them, false alarm 6e-7
    assert abs(float(target.mean()) - 0.3) < 0.009
    assert not torch.equal(target, model.likelihood.target(x, rp.Noise(1)))


def test_samples_keep_the_first_ones():
    model = build_vae(ModelSpec((5,), 2, hidden=(7,)), rp.Noise(0))
    few, many = model.sample(3, noise=rp.Noise(1)), model.sample(9, noise=rp.Noise(1))
    torch.testing.assert_close(many[:3], few)
    drawn = model.sample(3, noise=rp.Noise(1), draw=True)
    assert set(drawn.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_empty_batches_are_empty(likelihood):
    model = build_vae(ModelSpec((4,), 2, "mlp", (8,), likelihood, pictures=False), rp.Noise(0))
    x = torch.zeros(0, 4)
    assert model.log_prob(x, samples=3).shape == model.elbo(x).bound.shape == (0,)
    assert model.encode(x).shape == (0, 2)
    assert model.reconstruct(x).shape == (0, 4)


def test_errors_teach():
    model = build_vae(ModelSpec((5,), 2, hidden=(7,)), rp.Noise(0))
    with pytest.raises(ValueError, match=r"x must have shape \(B, 5\)"):
        model.encode(torch.zeros(3, 4))
    with pytest.raises(TypeError, match="floating point"):
        model.encode(torch.zeros(3, 5, dtype=torch.uint8))
    with pytest.raises(ValueError, match="net must be one of"):
        build_vae(ModelSpec((5,), 2, net="rnn"), rp.Noise(0))
    with pytest.raises(ValueError, match="likelihood must be one of"):
        build_vae(ModelSpec((5,), 2, likelihood="poisson"), rp.Noise(0))
    with pytest.raises(ValueError, match="C, H, W"):
        build_vae(ModelSpec((5,), 2, net="conv"), rp.Noise(0))


def test_many_draws_of_narrow_data_are_cut_into_pieces():
    """One number per example, many draws: what a pass decodes is bounded by the hidden layers, not the data."""
    model = build_vae(ModelSpec((1,), 2, hidden=(4,), likelihood="gaussian"), rp.Noise(0))
    seen = []
    model.decoder.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[:2].numel()))
    with torch.no_grad():
        assert model.log_prob(torch.zeros(4096, 1), samples=20, noise=rp.Noise(0)).shape == (4096,)
    assert max(seen) * 256 <= 1 << 23
    assert sum(seen) == 4096 * 20


def test_wrong_inputs_are_named():
    model = build_vae(ModelSpec((3,), 2, hidden=(4,)), rp.Noise(0))
    grey = torch.full((2, 3), 0.5)
    for call in (model.encode, model.reconstruct, model.log_prob):
        with pytest.raises(ValueError, match="values 0 and 1 only"):
            call(grey)
    with pytest.raises(ValueError, match=r"values in \[0, 1\]"):
        build_vae(ModelSpec((3,), 2, hidden=(4,), binarize=True), rp.Noise(0)).encode(grey * 255)
    with pytest.raises(TypeError, match="as_tensor"):
        model.encode(grey.numpy())
    for count in (0, -1, 2.5):
        with pytest.raises(ValueError, match="samples must be an integer, 1 or more"):
            model.log_prob(grey.round(), samples=count, noise=rp.Noise(0))
    for count in (-1, 2.5, "3"):
        with pytest.raises(ValueError, match="n must be an integer, 0 or more"):
            model.sample(count, noise=rp.Noise(0))


def graph(tensor):
    """Return the names of the nodes that a tensor's graph consists of."""
    nodes, seen = [tensor.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is not None and node not in seen:
            seen.add(node)
            nodes += [after for after, _ in node.next_functions]
    return {type(node).__name__ for node in seen}


@pytest.mark.parametrize("weights", [{}, {"beta": 0.5, "free_bits": 2.0}])
def test_one_sample_and_its_kl_come_from_one_kernel(weights):
    model, _ = linear_gaussian(distort=0.3)
    x, noise = rp.Noise(6).normal((9, D_X), dtype=torch.float64), rp.Noise(7).rows(torch.arange(9) * 5)
    fused = model.elbo(x, noise=noise, **weights)
    assert "_GaussianBackward" in graph(fused.loss)
    assert not {"ExpBackward0", "NormalBackward"} & graph(fused.kl)
    plain = rp.elbo(
        lambda z: model.log_likelihood(z, x),
        model.infer(x),
        prior=model.prior(),
        noise=noise.child("latent"),
        **weights,
    )
    for name in ("bound", "objective", "reconstruction", "kl"):
        torch.testing.assert_close(getattr(fused, name), getattr(plain, name), rtol=1e-12, atol=1e-12)
    ours, theirs = (torch.autograd.grad(t.loss, tuple(model.parameters())) for t in (fused, plain))
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)
    with pytest.raises(ValueError, match="beta"):
        model.elbo(x, noise=noise, beta=-1.0)
