"""Labelled losses: right ones of every kind, and planted faults with the cause that should be named."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributions import Beta, Dirichlet, Gamma, Normal, StudentT

import reparam as rp
from reparam.check.target import load_function

GALLERY = Path(__file__).parents[2] / "examples" / "wrong_gradients"


@dataclass(frozen=True)
class Case:
    """A loss, its label, and what the check is given."""

    name: str
    build: Callable[[], tuple]
    verdict: str
    cause: str = ""  # a word of the cause
    options: dict[str, Any] = field(default_factory=dict)


CASES: list[Case] = []


def right(**options):
    return lambda build: CASES.append(Case(build.__name__, build, "unbiased", "", options)) or build


def fault(cause, **options):
    return lambda build: CASES.append(Case(build.__name__, build, "biased", cause, options)) or build


def leaf(*values, dtype=torch.float32):
    return torch.tensor(values if len(values) > 1 else values[0], dtype=dtype, requires_grad=True)


def carry(value, surrogate):
    """Return value with the gradient of surrogate."""
    return value.detach() + surrogate - surrogate.detach()


# --- right: pathwise ---------------------------------------------------------------------------------------


@right()
def quadratic():
    loc, scale = leaf(1.0), leaf(1.0)
    return lambda noise: ((loc + scale * noise.normal((16,)) + 3) ** 2).mean(), [loc, scale]


@right()
def bump_by_expect():
    loc, scale = leaf(1.0), leaf(1.0)
    f = lambda z: torch.exp(-0.1 * z**2)  # noqa: E731
    return lambda noise: rp.expect(f, rp.distributions.Normal(loc, scale), samples=8, noise=noise), [
        loc,
        scale,
    ]


@right()
def narrow_bump():
    loc, scale = leaf(1.0, dtype=torch.float64), leaf(1.0, dtype=torch.float64)
    return lambda: torch.exp(-10 * (loc + scale * torch.randn(256).double()) ** 2).mean(), [loc, scale]


@right()
def logistic_and_gumbel():
    a, b = leaf(0.3), leaf(0.7)
    return lambda n: (torch.tanh(a + b * n.logistic((8,))) * n.child("g").gumbel((8,)) * a).mean(), {
        "a": a,
        "b": b,
    }


@right()
def uniform_scale():
    width = leaf(2.0)
    return lambda: (width * torch.rand(32)).sin().mean(), width


@right()
def truncated_by_quantile():
    loc = leaf(0.2, dtype=torch.float64)

    def loss():
        low, high = (torch.special.ndtr(x - loc) for x in (torch.tensor(-1.0), torch.tensor(2.0)))
        u = torch.rand(64, dtype=torch.float64)
        return (loc + torch.special.ndtri(low + u * (high - low))).square().mean()

    return loss, loc


@right()
def student_t_tails():
    loc, scale = leaf(0.5), leaf(2.0)
    return lambda: StudentT(3.0, loc, scale).rsample((64,)).abs().mean(), [loc, scale]


@right(tolerance=0.1)
def implicit_gamma():
    shape = leaf(2.0, dtype=torch.float64)
    return lambda: torch.log1p(Gamma(shape, 1.0).rsample((2048,))).mean(), shape


@right(tolerance=0.05)
def implicit_beta():
    a, b = leaf(2.0, dtype=torch.float64), leaf(3.0, dtype=torch.float64)
    second_moment = lambda: a * (a + 1) / ((a + b) * (a + b + 1))  # noqa: E731
    return lambda: (Beta(a, b).rsample((512,)) ** 2).mean(), {"a": a, "b": b}, second_moment


@right(tolerance=0.05)
def implicit_dirichlet():
    alpha = leaf(1.0, 2.0, 3.0, dtype=torch.float64)
    weight = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    mean = lambda: (alpha / alpha.sum()) @ weight  # noqa: E731
    return lambda: (Dirichlet(alpha).rsample((512,)) @ weight).mean(), alpha, mean


@right(tolerance=0.2)
def relu_network_with_dropout():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1))
    x = torch.linspace(-1, 1, 64).reshape(16, 4)
    return lambda: (net(x + 0.3 * torch.randn(16, 4)) - 1).square().mean(), net


# --- right: score functions ----------------------------------------------------------------------------------


def gaussian_score(baseline, S=4096):
    loc = leaf(1.0)

    def loss():
        q = Normal(loc, 1.0)
        z = q.sample((S,))
        f = torch.exp(-0.1 * z**2)
        return carry(f.mean(), ((f - baseline) * q.log_prob(z)).mean())

    return loss, loc


@right(tolerance=0.05)
def score_without_baseline():
    return gaussian_score(0.0, 16384)


@right(tolerance=0.02)
def score_with_constant_baseline():
    return gaussian_score(0.84)


def bernoulli(S, weight, t=0.2, eta=0.3):
    """E (b - t)^2 with the surrogate weight(f) . log p(b)."""
    logit = leaf(eta)

    def loss():
        p = torch.sigmoid(logit)
        b = (torch.rand(S) < p).float().detach()
        f = (b - t) ** 2
        log_prob = b * torch.log(p) + (1 - b) * torch.log1p(-p)
        return carry(f.mean(), (weight(f) * log_prob).mean())

    return loss, {"logit": logit}


@right(tolerance=0.02)
def score_with_past_average():
    state = torch.full((2048,), 0.3)

    def weight(f):
        centred = f - state
        state.mul_(0.9).add_(0.1 * f)
        return centred

    return bernoulli(2048, weight)


@right(tolerance=0.02)
def leave_one_out_bernoulli():
    return bernoulli(1024, lambda f: f - (f.sum() - f) / 1023)


@right(tolerance=0.05)
def leave_one_out_categorical():
    logits, values = leaf(0.2, -0.4, 0.6), torch.tensor([1.0, 3.0, -1.0])

    def loss():
        log_p = torch.log_softmax(logits, 0)
        k = torch.multinomial(log_p.exp(), 4096, replacement=True)
        f = values[k]
        return carry(f.mean(), ((f - (f.sum() - f) / 4095) * log_p[k]).mean())

    return loss, logits


@right()
def enumeration():
    logit = leaf(0.3)
    return lambda: torch.sigmoid(logit) * 0.55**2 + torch.sigmoid(-logit) * 0.45**2, logit


@right(tolerance=0.02)
def enumerated_then_gaussian():
    logit, means = leaf(0.3), leaf(-1.0, 2.0)

    def loss():
        p = torch.stack([torch.sigmoid(-logit), torch.sigmoid(logit)])
        z = means + 0.5 * torch.randn(256, 2)
        return (p * torch.sin(z)).sum(-1).mean()

    return loss, [logit, means]


@right(tolerance=0.05)
def sampled_then_gaussian():
    logit, means = leaf(0.3), leaf(-1.0, 2.0)

    def loss():
        p = torch.sigmoid(logit)
        b = (torch.rand(4096) < p).float().detach()
        z = torch.where(b > 0, means[1], means[0]) + 0.5 * torch.randn(4096)
        f = torch.sin(z)
        log_prob = b * torch.log(p) + (1 - b) * torch.log1p(-p)
        centred = (f - (f.sum() - f) / 4095).detach()
        return f.mean() + carry(torch.zeros(()), (centred * log_prob).mean())

    return loss, [logit, means]


@right(tolerance=0.02)
def score_of_a_threshold():
    loc = leaf(0.2)

    def loss():
        z = (loc + torch.randn(8192)).detach()
        f = (z > 0.5).float()
        return carry(f.mean(), ((f - 0.4) * Normal(loc, 1.0).log_prob(z)).mean())

    return loss, loc


@right(tolerance=0.02)
def arm_bernoulli():
    logit = leaf(0.3)

    def loss():
        u = torch.rand(2048)
        p = torch.sigmoid(logit).detach()
        f1, f2 = (((u > 1 - p).float() - 0.2) ** 2, ((u < p).float() - 0.2) ** 2)
        return carry(f2.mean(), ((f1 - f2) * (u - 0.5)).mean() * logit)

    return loss, logit


@right(tolerance=0.02)
def measure_valued_mean():
    loc = leaf(0.5)

    def loss():
        step = torch.sqrt(-2 * torch.log(torch.rand(2048)))  # Weibull(2, sqrt 2)
        f = lambda z: torch.exp(-(z**2))  # noqa: E731
        slope = (f(loc + step) - f(loc - step)).mean().detach() / (2 * torch.pi) ** 0.5
        return carry(f(loc + torch.randn(2048)).mean(), slope * loc)

    return loss, loc


# --- right: scales, zeros, bounds ----------------------------------------------------------------------------


@right()
def tiny_parameter():
    s = leaf(1e-6, dtype=torch.float64)
    return lambda: (1e6 * s * torch.randn(16) + 1).square().mean(), s


@right()
def huge_loss():
    loc = leaf(1.0)
    return lambda: 1e8 * ((loc + torch.randn(16) + 3) ** 2).mean(), loc


@right()
def zero_gradient():
    loc, idle = leaf(1.0), leaf(3.0)
    return lambda: (loc + torch.randn(16)).square().mean() + 0 * idle, {"loc": loc, "idle": idle}


@right()
def cancelling_parameter():
    loc, shift = leaf(1.0), leaf(0.5)
    return lambda: (loc + (shift + torch.randn(16)) - shift).square().mean(), {"loc": loc, "shift": shift}


def linear_gaussian(gradient="total"):
    loc, log_scale = leaf(0.2), leaf(-0.3)
    log_joint = lambda z: Normal(0.0, 1.0).log_prob(z) + Normal(z, 0.5).log_prob(torch.tensor(1.0))  # noqa: E731

    def loss(noise):
        q = rp.distributions.Normal(loc, log_scale.exp())
        return rp.elbo(log_joint, q, samples=64, noise=noise, gradient=gradient).loss

    return loss, [loc, log_scale]


@right()
def elbo_total():
    return linear_gaussian()


@right(tolerance=0.1)
def elbo_stl():
    return linear_gaussian("stl")


def importance(weights, x=1.5, S=64):
    """The bound of K = 8 importance samples, with the weights of log w_k in the surrogate chosen by `weights`."""
    loc, log_scale = leaf(0.5), leaf(-0.2)

    def loss():
        scale = log_scale.exp()
        z = loc + scale * torch.randn(8, S)
        q = Normal(loc.detach(), scale.detach())
        log_w = Normal(0.0, 1.0).log_prob(z) + Normal(z, 1.0).log_prob(torch.tensor(x)) - q.log_prob(z)
        v = torch.softmax(log_w.detach(), 0)
        return carry(-torch.logsumexp(log_w, 0).mean(), -(weights(v) * log_w).sum(0).mean())

    return loss, {"loc": loc, "log_scale": log_scale}


@right(tolerance=0.1)
def iwae_dreg():
    return importance(lambda v: v**2, x=4.0)


# --- faults ----------------------------------------------------------------------------------------------------


@fault("dropped")
def iwae_stl():
    return importance(lambda v: v)


@fault("jump")
def threshold():
    loc = leaf(0.2)
    return lambda: (((z := loc + torch.randn(256)) > 0.5).float() + 0.1 * z**2).mean(), loc


@fault("jump")
def count_of_active_units():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        net = nn.Sequential(nn.Linear(3, 6), nn.ReLU())
    x = torch.linspace(-1, 1, 24).reshape(8, 3)

    def loss():
        h = net(x + 0.5 * torch.randn(32, 8, 3))
        return (h.square() + (h > 0)).sum(-1).mean()

    return loss, net


@fault("jump")
def truncated_by_a_mask():
    loc = leaf(0.5)

    def loss():
        z = loc + torch.randn(256)
        return torch.where(z < 1.0, z + 2, 0.0).mean()

    return loss, loc


@fault("support")
def score_of_a_moving_support():
    width = leaf(2.0)

    def loss():
        z = width * torch.rand(64)
        f = torch.cos(z.detach()) + 1.5
        value = (torch.cos(z) + 1.5).mean()
        return carry(value, (f * -torch.log(width)).mean())

    return loss, width


@fault("detached")
def detached_scale():
    loc, scale = leaf(1.0), leaf(0.7)
    return lambda: (loc + scale.detach() * torch.randn(64)).square().mean(), {"loc": loc, "scale": scale}


@fault("detached")
def converted_to_numpy():
    loc, rate = leaf(1.0), leaf(0.7)
    return lambda: (loc + float(rate.detach()) * torch.randn(64)).square().mean(), {"loc": loc, "rate": rate}


@fault("sign")
def flipped_sign():
    loc = leaf(1.0)

    def loss():
        value = (loc + torch.randn(64)).square().mean()
        return carry(value, -value)

    return loss, loc


@fault("weight")
def counted_twice():
    loc = leaf(1.0)

    def loss():
        value = (loc + torch.randn(64)).square().mean()
        return carry(value, 2 * value)

    return loss, loc


@fault("weight")
def hidden_beta():
    loc = leaf(0.4)

    def loss():
        value = 3 * torch.sin(loc + torch.randn(64)).mean()
        return carry(value, value / 3)

    return loss, loc


@fault("dropped")
def kl_without_its_gradient():
    loc, log_scale = leaf(0.2), leaf(-0.3)

    def loss():
        s = log_scale.exp()
        z = loc + s * torch.randn(64)
        kl = 0.5 * (s**2 + loc**2 - 1) - log_scale
        return 0.5 * (1 - z).square().mean() + kl.detach()

    return loss, {"loc": loc, "log_scale": log_scale}


@fault("dropped")
def jacobian_cut():
    loc = leaf(0.2)

    def loss():
        z = loc + torch.randn(256)
        return (torch.tanh(z) * (2 + torch.cos(3 * loc * z)).detach()).mean()

    return loss, loc


@fault("relaxation")
def straight_through():
    logit = leaf(0.3)

    def loss():
        p = torch.sigmoid(logit).expand(256)
        hard = (torch.rand(256) < p).float()
        b = hard + p - p.detach()
        return ((b - 0.45) ** 2).mean()

    return loss, logit


@fault("relaxation")
def gumbel_softmax_for_its_reference():
    logits, values = leaf(0.2, -0.4, 0.6), torch.tensor([1.0, 3.0, -1.0])

    def loss():
        gumbel = -torch.log(-torch.log(torch.rand(256, 3).clamp(1e-6, 1 - 1e-6)))
        return torch.exp(0.5 * torch.softmax((logits + gumbel) / 0.5, 1) @ values).mean()

    def reference():
        return (torch.softmax(logits, 0) * torch.exp(0.5 * values)).sum()

    return loss, {"logits": logits}, reference


@fault("baseline")
def own_sample_of_two():
    return bernoulli((2048, 2), lambda f: f - f.mean(-1, keepdim=True))


@fault("baseline")
def own_sample_of_four():
    return bernoulli((2048, 4), lambda f: f - f.mean(-1, keepdim=True))


@fault("overwritten")
def mask_reused_between_passes():
    loc, scale = leaf(0.3), leaf(0.6)
    eps = torch.zeros(128)

    def loss():
        total = torch.zeros(())
        for _ in range(3):
            eps.data.normal_()
            total = total + torch.cosh(0.5 * (loc + scale * eps)).mean() / 3
        return total

    return loss, {"loc": loc, "scale": scale}


@fault("dropped")
def half_of_the_weights_detached():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        w = torch.randn(40) * 0.2
    w.requires_grad_()
    x = torch.sin(torch.arange(320.0)).reshape(40, 8)
    mask = torch.arange(40) < 20

    def loss():
        seen = torch.where(mask, w, w.detach())
        return torch.tanh((seen + 0.3 * torch.randn(32, 40)) @ x).sum(-1).exp().mean()

    return loss, w


# --- faults of the field, as in the gallery ----------------------------------------------------------------------

FIELD = {
    "b01_noise_buffer": "overwritten",
    "b02_elbo_samples": "overwritten",
    "b03_flipout_mean_twice": "relaxation",
    "b04_log1p_slip": "dropped",
    "b05_without_replacement": "weight",
    "b05_without_replacement_pair": "detached",
    "b10_conditional_path": "dropped",
    "b12_moving_average": "baseline",
    "b13_score_only": "dropped",
    "d01_von_mises_fisher": "jump",
    "d03_mixture_logits": "dropped",
    "d11_dreg_model": "weight",
    "d13_mixture_no_gradient": "detached",
}


def gallery(name: str) -> Callable[[], tuple]:
    """Return `build` of a script of the gallery."""
    return load_function(f"{GALLERY / name}.py:build")


CASES += [Case(name, gallery(name), "biased", cause) for name, cause in FIELD.items()]
