"""Right gradients of every kind."""

import torch
from torch import nn
from torch.distributions import Beta, Dirichlet, Gamma, Normal, StudentT

import reparam as rp

from .case import bernoulli, carry, importance, leaf, right

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


@right(tolerance=0.1)
def iwae_dreg():
    return importance(lambda v: v**2, x=4.0)
