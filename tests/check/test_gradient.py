"""The check itself: verdicts on small losses, awkward losses, and that everything is left as it was found."""

import json
import random

import numpy as np
import pytest
import torch
from torch import nn

import reparam as rp
from reparam.check import gradient

SEED = rp.Noise(20)


def leaf(*values: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.tensor(values if len(values) > 1 else values[0], dtype=dtype, requires_grad=True)


def check(loss, params, **options):
    return gradient(
        loss, params, noise=SEED, **{"max_seconds": 600.0, "max_draws": 1500, "false_alarm": 1e-3, **options}
    )


class TestVerdicts:
    def test_right_pathwise_gradient(self):
        loc, scale = leaf(1.0), leaf(0.5)
        report = check(lambda: ((loc + scale * torch.randn(16) + 3) ** 2).mean(), [loc, scale])
        assert report.verdict == "unbiased"
        assert report.interval[0] == 0
        assert report.interval[1] < report.tolerance

    def test_detached_path_is_named(self):
        loc, scale = leaf(1.0), leaf(0.5)
        loss = lambda: ((loc.detach() + scale * torch.randn(16) + 3) ** 2).mean()  # noqa: E731
        report = check(loss, {"loc": loc, "scale": scale})
        assert report.verdict == "biased"
        assert [b.verdict for b in report.blocks] == ["biased", "unbiased"]
        assert report.factor == 0
        assert "detached" in report.cause

    def test_jump_is_found(self):
        loc = leaf(1.0)
        loss = lambda: ((z := loc + torch.randn(16)) > 1.2).float().mean() + 0.1 * (z**2).mean()  # noqa: E731
        report = check(loss, loc)
        assert report.verdict == "biased"
        assert "jump" in report.cause

    def test_reference_objective_exposes_a_relaxation(self):
        logit = leaf(0.3, dtype=torch.float64)

        def relaxed():
            u = torch.rand(64, dtype=torch.float64)
            b = torch.sigmoid((logit + torch.log(u) - torch.log1p(-u)) / 0.5)
            return ((b - 0.45) ** 2).mean()

        def meant():
            p = torch.sigmoid(logit)
            return p * 0.55**2 + (1 - p) * 0.45**2

        assert check(relaxed, logit).verdict == "unbiased"
        report = check(relaxed, logit, reference=meant)
        assert report.verdict == "biased"
        assert "relaxation" in report.cause

    def test_exact_gradient_as_reference(self):
        loc = leaf(1.0)
        loss = lambda: ((loc + torch.randn(256)) ** 2).mean()  # noqa: E731
        assert check(loss, loc, reference=torch.tensor(2.0), tolerance=0.02).verdict == "unbiased"
        assert check(loss, loc, reference=torch.tensor(2.5)).verdict == "biased"
        assert check(loss, {"loc": loc}, reference={"loc": torch.tensor(2.5)}).verdict == "biased"

    def test_large_block_in_random_directions(self):
        weight = torch.linspace(-1, 1, 60).requires_grad_()
        x = torch.linspace(0.1, -0.1, 60)

        def right():
            return torch.tanh((weight + 0.5 * torch.randn(8, 60)) @ x).sum()

        def wrong():
            half = 0.5 * weight + 0.5 * weight.detach()
            return torch.tanh((half + 0.5 * torch.randn(8, 60)) @ x).sum()

        assert check(right, weight).verdict == "unbiased"
        report = check(wrong, weight)
        assert report.verdict == "biased"
        assert report.factor == pytest.approx(0.5, abs=0.01)

    def test_inconclusive_says_what_it_needs(self):
        loc = leaf(1.0)

        def score():
            z = (loc + torch.randn(4)).detach()
            f = (z + 3) ** 2
            return (
                f.mean()
                + (f * torch.distributions.Normal(loc, 1.0).log_prob(z)).mean() * 0
                + _score(f, loc, z)
            )

        report = check(score, loc, max_draws=400)
        assert report.verdict == "inconclusive"
        assert "draws" in report.needs


def _score(f, loc, z):
    surrogate = (f * torch.distributions.Normal(loc, 1.0).log_prob(z)).mean()
    return surrogate - surrogate.detach()


class TestHardLosses:
    def test_zero_gradient_parameter(self):
        loc, unused = leaf(1.0), leaf(2.0)
        report = check(lambda: (loc + torch.randn(4)).square().mean() + 0 * unused, [loc, unused])
        assert report.verdict == "unbiased"

    def test_parameter_without_a_path(self):
        loc, unused = leaf(1.0), leaf(2.0)
        assert check(lambda: (loc + torch.randn(4)).square().mean(), [loc, unused]).verdict == "unbiased"

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_zero_variance_is_not_accused_of_rounding(self, dtype):
        w = torch.linspace(0.1, 1.3, 5, dtype=dtype).requires_grad_()
        report = check(lambda: torch.exp(w).sum() * torch.sin(w).sum() / 3, w)
        assert report.verdict == "unbiased"

    @pytest.mark.parametrize("factor", [1e8, 1e-8, 1e-20])
    def test_scaled_losses(self, factor):
        loc = leaf(1.0)
        loss = lambda: factor * ((loc + torch.randn(8) + 3) ** 2).mean()  # noqa: E731
        assert check(loss, loc).verdict == "unbiased"

    def test_parameters_far_from_their_scale(self):
        loc = leaf(1e6, dtype=torch.float64)
        loss = lambda: torch.cos(1e3 * (loc - 1e6) + torch.randn(8, dtype=torch.float64)).mean()  # noqa: E731
        assert check(loss, loc).verdict == "unbiased"
        wrong = lambda: torch.cos(1e3 * (loc.detach() - 1e6) + 0.1 * torch.randn(8) + 0.3).mean()  # noqa: E731
        assert check(wrong, loc).verdict == "biased"
        tiny = leaf(1e-6, dtype=torch.float64)
        assert check(lambda: (1e6 * tiny * torch.randn(8) + 1).square().mean(), tiny).verdict == "unbiased"

    def test_cauchy_tails_are_never_accused(self):
        loc = leaf(0.5, dtype=torch.float64)
        heavy = lambda: (loc * torch.tan(torch.pi * (torch.rand(4, dtype=torch.float64) - 0.5))).sum()  # noqa: E731
        assert check(heavy, loc).verdict != "biased"

    def test_rare_events_are_not_mistaken_for_a_bias(self):
        logit = leaf(-4.0, dtype=torch.float64)  # one in 55

        def score():
            p = torch.sigmoid(logit)
            b = (torch.rand((), dtype=torch.float64) < p).double()
            surrogate = (10 * b + 1) * (b * torch.log(p) + (1 - b) * torch.log1p(-p))
            return 10 * b + 1 + surrogate - surrogate.detach()

        assert check(score, logit).verdict != "biased"

    def test_loss_that_needs_its_graph(self):
        loc = leaf(1.0)

        def loss():
            z = loc + torch.randn(4)
            f = z.square().sum()
            return torch.autograd.grad(f, z, create_graph=True)[0].square().mean()

        assert check(loss, loc).verdict == "unbiased"

    def test_domain_edge(self):
        scale = leaf(0.05)
        loss = lambda: torch.distributions.Normal(0.0, scale).rsample((8,)).abs().mean()  # noqa: E731
        assert check(loss, scale).verdict == "unbiased"

    def test_numpy_randomness_is_seeded_too(self):
        loc = leaf(1.0)
        report = check(lambda: (loc + torch.tensor(np.random.randn(4))).square().mean(), loc)
        assert report.verdict == "unbiased"
        assert not report.notes

    def test_state_is_noted(self):
        loc, calls = leaf(1.0), []

        def loss():
            calls.append(0)
            return (loc + torch.randn(4)).square().mean() + 1e-3 * len(calls)

        assert check(loss, loc, max_draws=200).notes


class TestLeftAsFound:
    def test_module_with_batch_norm(self):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1)).double()
        x = torch.linspace(-1, 1, 18, dtype=torch.float64).reshape(6, 3)
        before = {k: v.clone() for k, v in net.state_dict().items()}
        state = torch.get_rng_state()
        loss = lambda: (net(x + 0.1 * torch.randn(6, 3, dtype=torch.float64)) ** 2).mean()  # noqa: E731
        report = check(loss, net)
        assert report.verdict == "unbiased"
        assert net.training
        assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
        assert all(p.grad is None for p in net.parameters())
        assert torch.equal(torch.get_rng_state(), state)

    def test_restored_when_the_loss_raises_midway(self):
        loc, calls = leaf(1.0), []
        states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()

        def loss():
            calls.append(0)
            if len(calls) > 700:
                raise KeyError("user")
            return (loc + torch.randn(())) ** 2

        with pytest.raises(KeyError, match="user"):
            check(loss, loc)
        assert loc.item() == 1.0
        assert states[0] == random.getstate()
        assert (states[1] == np.random.get_state()[1]).all()
        assert torch.equal(states[2], torch.get_rng_state())

    def test_same_noise_same_report(self):
        loc = leaf(1.0)
        loss = lambda noise: (loc + noise.normal((4,))).square().mean()  # noqa: E731
        a, b = (check(loss, loc, max_draws=60) for _ in range(2))
        assert (a.bias, a.interval, a.variance) == (b.bias, b.interval, b.variance)


class TestErrors:
    @pytest.mark.parametrize(
        ("params", "error", "match"),
        [
            (torch.tensor(1.0), ValueError, "require grad"),
            (torch.tensor(1.0, requires_grad=True) * 2, ValueError, "leaf"),
            (torch.tensor(1), TypeError, "floating"),
            ([], ValueError, "none"),
            ("abc", TypeError, "params must be"),
            ({"a": 1.0}, TypeError, "must be a tensor"),
            (torch.tensor([1.0, float("nan")], requires_grad=True), ValueError, "finite"),
        ],
    )
    def test_params(self, params, error, match):
        with pytest.raises(error, match=match):
            check(lambda: torch.zeros(()), params)

    @pytest.mark.parametrize(
        ("loss", "error", "match"),
        [
            (lambda p: p * torch.ones(3), ValueError, "one real number"),
            (lambda p: 1.0, ValueError, "one real number"),
            (lambda p: p * float("nan"), ValueError, "finite"),
            (lambda p: torch.sqrt(p - 1), ValueError, "gradient must be finite"),
        ],
    )
    def test_loss(self, loss, error, match):
        p = leaf(1.0)
        with pytest.raises(error, match=match):
            check(lambda: loss(p), p)

    def test_two_arguments(self):
        with pytest.raises(TypeError, match="nothing else"):
            check(lambda noise, x: x, leaf(1.0))

    def test_edge_of_the_domain(self):
        p = leaf(0.0)
        with pytest.raises(ValueError, match="defined around"):
            check(lambda: torch.where(p.detach() != 0, float("nan"), p), p)

    @pytest.mark.parametrize(
        "option", [{"tolerance": 0}, {"false_alarm": 1}, {"max_seconds": 0}, {"max_draws": 0}, {"scale": -1}]
    )
    def test_options(self, option):
        with pytest.raises(ValueError, match=next(iter(option))):
            check(lambda: torch.zeros(()), leaf(1.0), **option)

    @pytest.mark.parametrize("reference", [torch.zeros(2), [torch.zeros(())] * 2, {"b": torch.zeros(())}, 3])
    def test_reference(self, reference):
        p = leaf(1.0)
        with pytest.raises((TypeError, ValueError), match="reference"):
            check(lambda: p * 1, {"a": p}, reference=reference)


def test_report_in_every_form():
    loc = leaf(1.0)
    report = check(lambda: (loc + torch.randn(4)).square().mean(), {"<loc>": loc}, max_draws=400)
    assert "unbiased" in str(report)
    assert "&lt;loc&gt;" in report._repr_html_()
    data = json.loads(report.to_json())
    assert data["verdict"] == "unbiased"
    assert data["blocks"][0]["name"] == "<loc>"
    with pytest.raises(AttributeError):
        report.verdict = "biased"


def test_a_loss_without_its_parameter_has_no_width():
    """Nothing varies and nothing depends on the parameter: there is nothing to measure the interval against."""
    report = rp.check.gradient(
        lambda noise: torch.tensor(2.0), torch.ones((), requires_grad=True), noise=rp.Noise(0)
    )
    assert report.verdict == "unbiased"
    assert report.interval[1] < report.tolerance


def test_an_error_at_moved_parameters_is_shown():
    x = torch.ones((), requires_grad=True)

    def loss(noise):
        if x.item() != 1.0:
            raise ValueError("x must be one")
        return x * noise.normal(())

    with pytest.raises(ValueError, match=r"it raises ValueError \(x must be one\) however little"):
        rp.check.gradient(loss, x, noise=rp.Noise(0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_surrogate_of_value_zero_is_cleared(dtype):
    """Its value says nothing of the size of its slope; the gradient that is given does."""
    x = torch.tensor(2.0, dtype=dtype, requires_grad=True)
    report = rp.check.gradient(
        lambda noise: (x - x.detach()) * (1 + noise.normal((), dtype=dtype)),
        x,
        noise=rp.Noise(0),
        reference=torch.ones((), dtype=dtype),
        tolerance=0.1,
        max_draws=20_000,
    )
    assert report.verdict == "unbiased"
    assert report.interval[1] < 0.1
