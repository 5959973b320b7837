"""All parameters at once, the float64 twin, and what time may and may not change."""

import math
import time

import pytest
import torch
from torch import nn

import reparam as rp
from reparam.check import gradient
from reparam.check.draws import Runner
from reparam.check.wide import SingleNoise

SEED = rp.Noise(21)
OPTIONS = {"max_seconds": 600.0, "max_draws": 600, "false_alarm": 1e-3, "tolerance": 0.05}


def network(activation: type[nn.Module] = nn.Tanh) -> tuple[nn.Module, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 20), activation(), nn.Linear(20, 20), activation(), nn.Linear(20, 1))
    return net, torch.linspace(-1, 1, 48).reshape(8, 6)


def noisy_loss(net: nn.Module, x: torch.Tensor):
    return lambda noise: (net(x + 0.3 * noise.normal((8, 6))) - 1).square().mean()


class TestJoint:
    @pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
    def test_a_network_is_cleared_at_once(self, activation):
        net, x = network(activation)
        report = gradient(noisy_loss(net, x), net, noise=SEED, **OPTIONS)
        assert report.verdict == "unbiased"
        assert len({block.draws for block in report.blocks}) == 1  # every tensor by the same draws
        assert report.interval[1] < OPTIONS["tolerance"]
        assert all(block.factor == pytest.approx(1.0, abs=0.01) for block in report.blocks)

    def test_one_wrong_tensor_among_many_is_not_cleared(self):
        net, x = network()
        weight, bias = net[2].weight, net[2].bias

        def loss(noise):
            h = torch.tanh(net[0](x + 0.3 * noise.normal((8, 6))))
            h = torch.tanh(h @ weight.T + 0.9 * bias + 0.1 * bias.detach())
            return (net[4](h) - 1).square().mean()

        report = gradient(loss, net, noise=SEED, **OPTIONS)
        assert report.verdict != "unbiased"
        report = gradient(loss, net, noise=SEED, **{**OPTIONS, "max_draws": 4000})
        assert report.verdict == "biased"
        assert [b.name for b in report.blocks if b.verdict == "biased"] == ["2.bias"]
        assert report.factor == pytest.approx(0.9, abs=0.02)

    def test_rare_jumps_are_not_cleared(self):
        net, x = network(nn.ReLU)

        def loss(noise):
            h = net[:4](x + 0.3 * noise.normal((8, 6)))
            return net[4](h).square().mean() + 0.5 * (h > 0).float().mean()

        assert gradient(loss, net, noise=SEED, **OPTIONS).verdict != "unbiased"

    def test_the_tolerance_counts(self):
        loc = torch.tensor(1.0, requires_grad=True)

        def loss(noise):
            value = (loc + 0.1 * noise.normal((4,))).square().mean()
            return value.detach() + 1.02 * (value - value.detach())

        assert gradient(loss, loc, noise=SEED, **OPTIONS).verdict == "unbiased"
        assert gradient(loss, loc, noise=SEED, **{**OPTIONS, "tolerance": 0.01}).verdict != "unbiased"


class TestTwin:
    def test_noise_of_the_twin_is_the_float32_noise(self):
        noise, twin = rp.Noise(5).child("a"), SingleNoise(5, ("a",))
        for law in ("normal", "uniform", "gumbel"):
            wide = getattr(twin.at(3).child("b"), law)((7,), dtype=torch.float64)
            assert wide.dtype == torch.float64
            assert torch.equal(wide, getattr(noise.at(3).child("b"), law)((7,)).double())

    @pytest.mark.parametrize("draw", ["noise", "randn", "randn_like", "rsample"])
    def test_values_have_more_bits(self, draw):
        net, x = network()
        eps = {
            "noise": lambda noise: noise.normal((8, 6), dtype=net[0].weight.dtype),
            "randn": lambda _: torch.randn(8, 6),
            "randn_like": lambda _: torch.randn_like(x.to(net[0].weight.dtype)),
            "rsample": lambda _: torch.distributions.Normal(0 * net[0].weight[:8], 1.0).rsample(),
        }[draw]
        loss = lambda noise: net(x + 0.3 * eps(noise)).square().mean()  # noqa: E731
        runner = Runner(loss, net, SEED, "test")
        plain = runner.value(loss, 0)
        assert runner.widen(loss)
        wide = runner.value(loss, 0)
        assert wide == pytest.approx(plain, rel=1e-5)
        assert wide != float(torch.tensor(wide, dtype=torch.float32))
        assert all(p.dtype == torch.float32 for p in net.parameters())

    def test_refused_where_it_is_not_the_loss(self):
        flat = torch.linspace(-1, 1, 12)
        weight = nn.Parameter(flat.view(12))  # shares its memory with what the loss reads
        loss = lambda noise: (flat * noise.normal((12,)) + 0 * weight).square().mean()  # noqa: E731
        assert not Runner(loss, [weight], SEED, "test").widen(loss)

        def in_place(noise):
            total = torch.zeros(())
            total.add_((weight * noise.normal((12,))).square().sum())
            return total

        assert not Runner(in_place, [weight], SEED, "test").widen(in_place)

    def test_everything_is_put_back(self):
        net = nn.Sequential(nn.Linear(3, 9), nn.BatchNorm1d(9), nn.Linear(9, 1))
        x = torch.linspace(-1, 1, 18).reshape(6, 3)
        before = {k: (v.data_ptr(), v.dtype, v.clone()) for k, v in net.state_dict().items()}
        gradient(lambda n: net(x + 0.1 * n.normal((6, 3))).square().mean(), net, noise=SEED, **OPTIONS)
        for name, value in net.state_dict().items():
            pointer, dtype, old = before[name]
            assert (value.data_ptr(), value.dtype) == (pointer, dtype)
            assert torch.equal(value, old)


class TestTime:
    def test_slowness_changes_nothing(self):
        def report(pause: float):
            loc = torch.tensor(0.3, requires_grad=True)

            def loss(noise):
                time.sleep(pause)
                z = (loc + noise.normal((16,))).detach()
                surrogate = (torch.cos(z) * (z - loc.detach())).mean() * (loc - loc.detach())
                return torch.cos(z).mean() + surrogate

            return gradient(loss, loc, noise=SEED, max_draws=150, max_seconds=600.0)

        quick, slow = report(0.0), report(0.001)
        assert (quick.verdict, quick.draws, quick.bias) == (slow.verdict, slow.draws, slow.bias)
        assert quick.interval == slow.interval

    def test_the_limit_of_time_is_kept(self):
        loc = torch.tensor(0.3, requires_grad=True)

        def loss(noise):
            time.sleep(0.05)
            return (loc + noise.normal((16,))).square().mean()

        report = gradient(loss, loc, noise=SEED, max_seconds=1.0)
        assert report.verdict == "inconclusive"
        assert math.isinf(report.interval[1])
        assert report.seconds < 1.5
