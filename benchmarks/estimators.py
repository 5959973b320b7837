"""Variances, verdicts and times of the estimators, written as tables to benchmarks/results/estimators.md.

    python benchmarks/estimators.py [--quick] [--peer PATH] [--only TEXT]

--peer is a folder that holds the package bayesian_torch (pip install --no-deps --target PATH bayesian-torch); without
it the layer's peer is its behaviour written out below. Times are CPU times of interleaved runs on one thread.
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

import reparam as rp
from reparam import distributions as D
from reparam import estimators as E
from reparam.layers import BayesLinear
from reparam.noise import Noise

F64 = torch.float64
SIX: dict[str, Callable[[Tensor], Tensor]] = {
    "(x+3)^2": lambda x: (x + 3) ** 2,
    "x^2": lambda x: x**2,
    "exp(-.1x^2)": lambda x: torch.exp(-0.1 * x**2),
    "exp(-10x^2)": lambda x: torch.exp(-10 * x**2),
    "cos(.5x)": lambda x: torch.cos(0.5 * x),
    "cos(5x)": lambda x: torch.cos(5 * x),
}
# published per-draw variances at N(1, 1): score, score with the best constant, pathwise; for the mean, then the scale
PUBLISHED = {
    "(x+3)^2": (495, 134, 4, 1546, 664, 72),
    "x^2": (30, 14, 4, 136, 64, 12),
    "exp(-.1x^2)": (0.5635, 0.0405, 0.0163, 0.9354, 0.1410, 0.0278),
    "exp(-10x^2)": (0.0769, 0.0602, 0.9416, 0.0090, 0.0087, 0.8920),
    "cos(.5x)": (0.4552, 0.1179, 0.0393, 0.7987, 0.4601, 0.0875),
    "cos(5x)": (0.5, 0.5, 12.5, 1, 1, 12.5),
}


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines) + "\n"


def gaussian_gradients(estimator: E.Estimator, f: Callable, n: int) -> tuple[Tensor, Tensor]:
    """Return per-draw gradients in loc and scale at N(1, 1)."""
    leaves = [torch.ones(n, dtype=F64, requires_grad=True) for _ in range(2)]
    rp.expect(f, D.Normal(*leaves), noise=Noise(0), estimator=estimator).sum().backward()
    return leaves[0].grad, leaves[1].grad


def best_constants(f: Callable, n: int) -> list[float]:
    """Return E[f s^2] / E[s^2] for the scores of loc and scale, from draws of their own."""
    eps = Noise(1).normal((n,), dtype=F64)
    return [((f(1 + eps) * s**2).mean() / (s**2).mean()).item() for s in (eps, eps**2 - 1)]


def variance_and_error(g: Tensor) -> tuple[float, float]:
    square = (g - g.mean()) ** 2
    return square.mean().item(), (square.std() / math.sqrt(len(g))).item()


def gaussian_table(n: int) -> str:
    rows, worst = [], 0.0
    for name, f in SIX.items():
        best = best_constants(f, n)
        for k, parameter in enumerate(("loc", "scale")):
            cells = [name, parameter]
            for j, estimator in enumerate((E.ScoreFunction(), E.ScoreFunction(best[k]), E.Pathwise())):
                got, error = variance_and_error(gaussian_gradients(estimator, f, n)[k])
                want = PUBLISHED[name][3 * k + j]
                digits = 5e-5 if want < 1 else 0.5  # the published numbers are rounded
                worst = max(worst, (abs(got - want) - digits) / (error + 1e-12))
                cells.append(f"{got:.4g} +- {error:.1g} ({want:g})")
            rows.append(cells)
    head = ["f", "parameter", "score (exact)", "score, best constant (exact)", "pathwise (exact)"]
    return f"n = {n} draws; largest deviation {worst:.1f} standard errors.\n\n" + table(head, rows)


def choice(f: Callable, seconds: float) -> str:
    """Return the way that the check chooses for d/dloc E f at N(1, 1), against the gradient by quadrature."""
    ways = {"pathwise": E.Pathwise(), "score": E.ScoreFunction(), "leave-one-out": E.LeaveOneOut()}
    loc = torch.tensor(1.0, dtype=F64, requires_grad=True)
    x = torch.linspace(-11, 13, 48_001, dtype=F64)
    reference = torch.trapezoid(
        f(x) * (x - 1) * D.Normal(1.0, torch.ones((), dtype=F64)).log_prob(x).exp(), x
    )

    def loss(estimator: E.Estimator) -> Callable[[Noise], Tensor]:
        one = torch.ones((), dtype=F64)
        return lambda noise: rp.expect(f, D.Normal(loc, one), samples=512, noise=noise, estimator=estimator)

    try:
        return rp.check.choose(
            {way: loss(e) for way, e in ways.items()},
            loc,
            noise=Noise(0),
            reference=[reference],
            tolerance=0.2,
            scale=0.2,
            max_seconds=seconds,
        )
    except ValueError:
        return "inconclusive"


def choice_table(seconds: float) -> str:
    rows = []
    for name, f in SIX.items():
        want = "pathwise" if PUBLISHED[name][2] < PUBLISHED[name][1] else "a score function"
        rows.append([name, choice(f, seconds), want])
    return table(["f", "rp.check.choose", "least variance by the exact table"], rows)


def toy(t: float) -> Callable[[Tensor], Tensor]:
    return lambda b: (b - t) ** 2


BINARY = {
    "ScoreFunction": (E.ScoreFunction(), 2),
    "LeaveOneOut": (E.LeaveOneOut(), 2),
    "ARM": (E.ARM(), 2),
    "DisARM": (E.DisARM(), 2),
    "ARMS": (E.ARMS(), 4),
    "MeasureValued": (E.MeasureValued(), 1),
    "REBAR": (E.REBAR(), 1),
    "RELAX": (E.RELAX(), 1),
    "ControlVariate": (E.ControlVariate(E.LeaveOneOut()), 2),
    "RaoBlackwell(1)": (E.RaoBlackwell(1), 1),
    "WithoutReplacement": (E.WithoutReplacement(1), 2),
    "Enumerate": (E.Enumerate(), 1),
    "StraightThrough": (E.StraightThrough(), 2),
    "GumbelSoftmax": (E.GumbelSoftmax(), 2),
    "GumbelRao": (E.GumbelRao(), 2),
    "ReinMax": (E.ReinMax(), 2),
}


COPIES = 4096  # independent estimates averaged in each loss that the check sees


def verdict(estimator: E.Estimator, samples: int, binary: bool, seconds: float) -> str:
    """Return the check's verdict against the exact gradient, for a curved f of one site."""
    leaf = torch.tensor([0.4] if binary else [0.4, -0.3, 0.2], dtype=F64, requires_grad=True)
    weights = torch.tensor([1.0, -0.6, 0.3], dtype=F64)[: len(leaf)]

    def f(z: Tensor) -> Tensor:
        return torch.exp(2 * (z * weights).sum(-1)) + (z * weights).sum(-1) ** 3

    def q(logits: Tensor) -> D.Distribution:
        return D.Independent(D.Bernoulli(logits=logits), 1) if binary else D.OneHotCategorical(logits=logits)

    def loss(noise: Noise) -> Tensor:
        return rp.expect(
            f, q(leaf.expand(COPIES, -1)), samples=samples, noise=noise, estimator=estimator
        ).mean()

    reference = torch.autograd.grad(rp.expect(f, q(leaf), estimator=E.Enumerate()), leaf)
    try:
        report = rp.check.gradient(
            loss, leaf, noise=Noise(0), reference=list(reference), tolerance=0.05, max_seconds=seconds
        )
    except TypeError:
        return "binary only"
    return report.verdict


GAUSSIAN = {
    "Pathwise": (E.Pathwise(), 1),
    "ScoreFunction": (E.ScoreFunction(), 2),
    "LeaveOneOut": (E.LeaveOneOut(), 2),
    "MeasureValued": (E.MeasureValued(), 1),
    "ControlVariate": (E.ControlVariate(), 1),
}


def gaussian_verdict(estimator: E.Estimator, samples: int, seconds: float) -> str:
    """Return the check's verdict for exp(z / 2) at N(.4, .7), whose gradient is known."""
    leaves = [torch.tensor(v, dtype=F64, requires_grad=True) for v in (0.4, 0.7)]

    def loss(noise: Noise) -> Tensor:
        q = D.Normal(*(leaf.expand(COPIES) for leaf in leaves))
        return rp.expect(
            lambda z: torch.exp(z / 2), q, samples=samples, noise=noise, estimator=estimator
        ).mean()

    loc, scale = leaves
    exact = torch.autograd.grad(torch.exp(loc / 2 + scale**2 / 8), leaves)
    return rp.check.gradient(
        loss, leaves, noise=Noise(0), reference=list(exact), tolerance=0.05, max_seconds=seconds
    ).verdict


def verdict_table(seconds: float) -> str:
    rows = []
    for name, (estimator, samples) in (GAUSSIAN | BINARY).items():
        found = [verdict(estimator, samples, b, seconds) if name in BINARY else "-" for b in (True, False)]
        found.append(gaussian_verdict(*GAUSSIAN[name], seconds) if name in GAUSSIAN else "-")
        rows.append([name, "yes" if estimator.unbiased else "no", *found])
    return table(["estimator", "says unbiased", "Bernoulli", "one-hot", "Gaussian"], rows)


def train_toy(t: float, steps: int) -> list[list[str]]:
    """Train the logit of E (b - t)^2 from 0 with each unbiased estimator; the optimum for t < 1/2 is p = 0."""
    rows = []
    for name, (estimator, samples) in BINARY.items():
        if not estimator.unbiased:
            continue
        logit = torch.zeros((), dtype=F64, requires_grad=True)
        optimizer = torch.optim.Adam([logit], lr=0.1)
        for step in range(steps):
            q = D.Bernoulli(logits=logit.expand(1024))
            value = rp.expect(toy(t), q, samples=samples, noise=Noise(0).at(step), estimator=estimator).mean()
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        rows.append([name, f"{torch.sigmoid(logit).item():.4f}"])
    return rows


class Surrogate(nn.Module):
    """c(z) = f-like quadratic of a sigmoid with learned slope, scale and shift."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor([1.0, 1.0, -0.5], dtype=F64))

    def forward(self, z: Tensor) -> Tensor:
        return self.a[1] * (torch.sigmoid(self.a[0].exp() * z) + self.a[2]) ** 2


def cancer(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return scikit-learn's breast-cancer data, standardised and with a constant, and its labels, shuffled."""
    from sklearn.datasets import load_breast_cancer

    x, y = (torch.as_tensor(a, dtype=F64) for a in load_breast_cancer(return_X_y=True))
    x = torch.cat([(x - x.mean(0)) / x.std(0), torch.ones(len(x), 1, dtype=F64)], 1)
    order = Noise(seed).permutation(len(x))
    return x[order], y[order]


LOGISTIC: dict[str, tuple[E.Estimator, int]] = {
    "Pathwise": (E.Pathwise(), 4),
    "ControlVariate, quadratic": (E.ControlVariate(kind="quadratic"), 4),
    "MeasureValued": (E.MeasureValued(), 1),
    "LeaveOneOut": (E.LeaveOneOut(), 4),
    "ScoreFunction": (E.ScoreFunction(), 4),
}


def logistic_table(steps: int, n: int = 200) -> str:
    """Bayesian logistic regression: 31 weights, prior N(0, 1), q a diagonal normal; 400 rows to train on."""
    x, y = cancer()

    def parts(values: Tensor) -> tuple[D.Distribution, Tensor]:
        q = D.Normal(values[0], values[1].exp())
        return D.Independent(q, 1), torch.distributions.kl_divergence(q, D.Normal(0.0, 1.0)).sum(-1)

    def log_likelihood(w: Tensor) -> Tensor:
        margin = (w @ x[:400].T) * (2 * y[:400] - 1)
        return nn.functional.logsigmoid(margin).sum(-1)

    rows = []
    for name, (estimator, samples) in LOGISTIC.items():
        values = torch.stack([torch.zeros(31, dtype=F64), torch.full((31,), -1.0, dtype=F64)])
        spread = []
        for phase in ("start", "end"):
            leaf = values.expand(n, 2, 31).clone().requires_grad_()
            q, kl = parts(leaf.movedim(1, 0))
            bound = rp.expect(log_likelihood, q, samples=samples, noise=Noise(1), estimator=estimator) - kl
            bound.sum().backward()
            spread.append(f"{leaf.grad[:, 0].var(0).sum().item():.3g}")
            if phase == "start":
                values.requires_grad_()
                optimizer = torch.optim.Adam([values], lr=0.03)
                for step in range(steps):
                    q, kl = parts(values)
                    noise = Noise(2).at(step)
                    value = rp.expect(log_likelihood, q, samples=samples, noise=noise, estimator=estimator)
                    optimizer.zero_grad()
                    (kl - value).backward()
                    optimizer.step()
                values = values.detach()
        q, kl = parts(values)
        bounds = log_likelihood(q.sample((4_000,), noise=Noise(3))) - kl
        chance = torch.sigmoid(q.sample((400,), noise=Noise(4)) @ x[400:].T).mean(0)
        accuracy = ((chance > 0.5) == (y[400:] > 0.5)).double().mean().item()
        error = bounds.std().item() / math.sqrt(4_000)
        rows.append([name, str(samples), *spread, f"{bounds.mean():.2f} +- {error:.2f}", f"{accuracy:.3f}"])
    head = ["estimator", "S", "variance at the start", "at its end", f"ELBO after {steps} steps, nats"]
    return table([*head, "test accuracy"], rows)


VAE = {
    "Enumerate": (E.Enumerate(), 1),
    "LeaveOneOut": (E.LeaveOneOut(), 4),
    "ScoreFunction": (E.ScoreFunction(), 4),
    "RaoBlackwell(4)": (E.RaoBlackwell(4), 1),
    "WithoutReplacement": (E.WithoutReplacement(), 4),
    "REBAR": (E.REBAR(), 4),
    "RELAX": (E.RELAX(), 4),
    "ControlVariate(LeaveOneOut)": (E.ControlVariate(E.LeaveOneOut()), 4),
    "StraightThrough": (E.StraightThrough(), 4),
    "GumbelSoftmax": (E.GumbelSoftmax(), 4),
    "GumbelRao": (E.GumbelRao(), 4),
    "ReinMax": (E.ReinMax(), 4),
}


def vae_table(n: int) -> str:
    """Two latents of four categories on binarised digits: the encoder's gradient against the sum over 16 states."""
    from sklearn.datasets import load_digits

    x = (torch.as_tensor(load_digits().data[:32], dtype=F64) > 7).to(F64)
    with rp.noise.seeded_torch(Noise(0)):
        encoder = nn.Linear(64, 8, dtype=F64)
        decoder = nn.Sequential(nn.Linear(8, 32, dtype=F64), nn.Tanh(), nn.Linear(32, 64, dtype=F64))
    log_prior = 2 * math.log(1 / 4)

    def gradient(estimator: E.Estimator, samples: int, noise: Noise) -> Tensor:
        q = D.Independent(D.OneHotCategorical(logits=encoder(x).unflatten(-1, (2, 4))), 1)

        def log_joint(z: Tensor) -> Tensor:
            return D.Bernoulli(logits=decoder(z.flatten(-2))).log_prob(x).sum(-1) + log_prior

        entropy = q.entropy()
        value = rp.expect(log_joint, q, samples=samples, noise=noise, estimator=estimator) + entropy
        return torch.autograd.grad(value.mean(), encoder.weight)[0]

    # a decoder that has learned something: 300 exact steps on the bound
    optimizer = torch.optim.Adam(decoder.parameters(), lr=0.02)
    for _ in range(300):
        q = D.Independent(D.OneHotCategorical(logits=encoder(x).unflatten(-1, (2, 4))), 1)
        value = rp.expect(
            lambda z: D.Bernoulli(logits=decoder(z.flatten(-2))).log_prob(x).sum(-1),
            q,
            estimator=E.Enumerate(),
        )
        optimizer.zero_grad()
        (-value.mean()).backward(inputs=list(decoder.parameters()))
        optimizer.step()
    exact = gradient(E.Enumerate(), 1, Noise(0))
    rows = []
    for name, (estimator, samples) in VAE.items():
        draws = torch.stack([gradient(estimator, samples, Noise(1).at(k)) for k in range(n)])
        bias, error = along(draws, exact)
        spread = (draws.var(0).sum().sqrt() / exact.norm()).item()
        rows.append(
            [name, "yes" if estimator.unbiased else "no", f"{bias:+.4f} +- {error:.4f}", f"{spread:.3f}"]
        )
    head = [
        "estimator",
        "says unbiased",
        "bias along the exact gradient, relative",
        "standard deviation, relative",
    ]
    return f"{n} gradients of 32 digits each, S = 4 or as said.\n\n" + table(head, rows)


def along(draws: Tensor, exact: Tensor) -> tuple[float, float]:
    """Return the mean of <draw - exact, exact> / |exact|^2 and its standard error."""
    part = ((draws - exact) * exact).flatten(1).sum(1) / exact.square().sum()
    return part.mean().item(), part.std().item() / math.sqrt(len(part))


def relax_variance(t: float, steps: int = 500, n: int = 20_000) -> list[list[str]]:
    """Variance per draw at p = .5 after `steps` steps on the surrogate's variance, at the same number of draws of b."""
    rows = []
    scale, log_t = (torch.tensor(x, dtype=F64, requires_grad=True) for x in (1.0, 0.0))
    surrogate = Surrogate()
    learned = {
        "REBAR (scale, temperature learned)": (lambda: E.REBAR(log_t.exp(), scale), [scale, log_t]),
        "RELAX (surrogate learned)": (lambda: E.RELAX(surrogate), list(surrogate.parameters())),
        "LeaveOneOut": (lambda: E.LeaveOneOut(), []),
    }
    for name, (make, parameters) in learned.items():
        optimizer = torch.optim.Adam(parameters, lr=0.02) if parameters else None
        for step in range(steps if optimizer else 0):
            leaf = torch.zeros(64, dtype=F64, requires_grad=True)
            value = rp.expect(
                toy(t), D.Bernoulli(logits=leaf), samples=2, noise=Noise(0).at(step), estimator=make()
            )
            (g,) = torch.autograd.grad(value.sum(), leaf, create_graph=True)
            optimizer.zero_grad()
            E.variance_loss(g).backward(inputs=parameters)
            optimizer.step()
        leaf = torch.zeros(n, dtype=F64, requires_grad=True)
        value = rp.expect(toy(t), D.Bernoulli(logits=leaf), samples=2, noise=Noise(1), estimator=make())
        rows.append([name, f"{torch.autograd.grad(value.sum(), leaf)[0].var().item():.3g}"])
    return rows


def batch_slopes() -> str:
    """Variance of the gradient of a batch mean in the weight means, and its slope against the batch size."""
    rows, sizes = [], (4, 16, 64, 256)
    for method in ("weight", "flipout", "local"):
        variances = []
        for B in sizes:
            x = Noise(1).normal((B, 20))
            torch.manual_seed(0)
            layer = BayesLinear(20, 5, method=method, initial_scale=0.3)
            gradients = [
                torch.autograd.grad(layer(x, noise=Noise(2).at(k)).square().mean(), layer.weight_loc)[0]
                for k in range(400)
            ]
            variances.append(torch.stack(gradients).var(0).mean().item())
        slope = math.log(variances[-1] / variances[0]) / math.log(sizes[-1] / sizes[0])
        rows.append([method, *(f"{v:.3g}" for v in variances), f"{slope:.2f}"])
    return table(["method", *(f"B = {B}" for B in sizes), "slope"], rows)


def inference_signal(n: int = 4_000) -> str:
    """STL variance as q approaches p, and the signal-to-noise ratio of phi against K."""

    def joint(z: Tensor) -> Tensor:
        return D.Normal(0.0, 1.0).log_prob(z) + D.Normal(z, 1.0).log_prob(torch.tensor(1.3, dtype=F64))

    rows = []
    for distance in (1.0, 0.1, 0.01, 0.0):
        cells = [f"{distance:g}"]
        for gradient in ("total", "stl"):
            m = torch.full((n,), 0.65 + distance, dtype=F64, requires_grad=True)
            q = D.Normal(m, torch.tensor(math.sqrt(0.5) * math.exp(distance), dtype=F64))
            rp.elbo(joint, q, noise=Noise(0), gradient=gradient).bound.sum().backward()
            cells.append(f"{m.grad.var().item():.3g}")
        rows.append(cells)
    text = table(["distance of q from p", "variance, total", "variance, stl"], rows)
    rows = []
    for K in (1, 4, 16, 64):
        found = {}
        for gradient in ("total", "dreg"):
            m = torch.full((n,), 0.75, dtype=F64, requires_grad=True)
            q = D.Normal(m, torch.tensor(0.75, dtype=F64))
            rp.iwae(joint, q, samples=K, noise=Noise(0), gradient=gradient).bound.sum().backward()
            found[gradient] = m.grad
        mean = found["dreg"].mean().abs()  # both have this mean; here its error is the smaller one
        rows.append([str(K), *(f"{(mean / g.std()).item():.3g}" for g in found.values())])
    return text + "\n" + table(["K", "signal-to-noise, total", "signal-to-noise, dreg"], rows)


def kl_table(n: int = 200_000) -> str:
    """q = N(0, .8^2), p = N(0, 1), derivative in the scale of q: d KL(q||p) = -.45, d KL(p||q) = -.703125."""
    rows = []
    for kind in ("k1", "k2", "k3"):
        cells = [kind]
        for draws in ("fixed", "pathwise"):
            s = torch.full((n,), 0.8, dtype=F64, requires_grad=True)
            q, p = D.Normal(torch.zeros((), dtype=F64), s), D.Normal(torch.zeros((), dtype=F64), 1.0)
            rp.kl_estimate(p, q, kind=kind, draws=draws, noise=Noise(0)).sum().backward()
            cells.append(f"{s.grad.mean():.4f} +- {s.grad.std() / math.sqrt(n):.4f}")
        rows.append(cells)
    return table(["kind", "mean gradient, fixed draws", "mean gradient, pathwise draws"], rows)


class PeerLayer(nn.Module):
    """What the peer's weight-sampling layer does: softplus scales, torch noise into a buffer, KL in each forward."""

    def __init__(self) -> None:
        super().__init__()
        self.mu = nn.Parameter(torch.empty(400, 784).normal_(0, 0.1))
        self.rho = nn.Parameter(torch.empty(400, 784).normal_(-3, 0.1))
        self.register_buffer("eps", torch.zeros(400, 784))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        sigma = torch.log1p(torch.exp(self.rho))
        weight = self.mu + sigma * self.eps.data.normal_()
        kl = (-torch.log(sigma) + (sigma**2 + self.mu**2) / 2 - 0.5).mean()
        return nn.functional.linear(x, weight), kl


def interleaved(ways: dict[str, Callable[[int], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Return the median and the least CPU time of each way in milliseconds; each round runs them in another order."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for k in range(rounds):
        for name in list(ways) if k % 2 else reversed(ways):
            start = time.thread_time()
            ways[name](k)
            times[name].append(1e3 * (time.thread_time() - start))
    return {name: (statistics.median(t[rounds // 8 :]), min(t)) for name, t in times.items()}


def time_table(what: str, times: dict[str, tuple[float, float]], base: str) -> str:
    rows = [
        [
            way,
            f"{median:.2f}",
            f"{median / times[base][0]:.2f}",
            f"{least:.2f}",
            f"{least / times[base][1]:.2f}",
        ]
        for way, (median, least) in times.items()
    ]
    return table([what, "CPU ms, median", "ratio", "least", "ratio"], rows)


def layer_times(peer: str | None, rounds: int) -> str:
    x, noise = Noise(0).normal((128, 784)), Noise(1)
    if peer:
        sys.path.append(peer)
        from bayesian_torch.layers import LinearReparameterization

        other: nn.Module = LinearReparameterization(784, 400)
    else:
        other = PeerLayer()

    def peer_step(k: int) -> None:
        y, kl = other(x)
        (y.square().mean() + kl).backward()
        other.zero_grad()

    def step_of(layer: BayesLinear) -> Callable[[int], None]:
        def step(k: int) -> None:
            (layer(x, noise=noise.at(k)).square().mean() + layer.kl() / 1e4).backward()
            layer.zero_grad()

        return step

    layers = {m: BayesLinear(784, 400, method=m) for m in ("weight", "local", "flipout")}
    name = "bayesian-torch LinearReparameterization" if peer else "peer's behaviour"
    times = interleaved({name: peer_step, **{m: step_of(layer) for m, layer in layers.items()}}, rounds)
    return time_table("784 -> 400, batch 128: forward, KL, backward", times, name)


def overhead(rounds: int) -> str:
    """Leave-one-out on 100 x 200 Bernoulli sites, 8 samples, against the same surrogate written by hand."""
    logits = Noise(0).normal((100, 200)).requires_grad_()
    weight = Noise(1).normal((200,))
    f = lambda b: (b @ weight) ** 2  # noqa: E731

    def ours(k: int) -> None:
        q = D.Independent(D.Bernoulli(logits=logits, validate_args=False), 1, validate_args=False)
        rp.expect(f, q, samples=8, noise=Noise(2).at(k), estimator=E.LeaveOneOut()).sum().backward()

    def by_hand(k: int) -> None:
        eps = Noise(2).at(k).logistic((8, 100, 200))
        b = (logits.detach() + eps > 0).float()
        log_q = -nn.functional.binary_cross_entropy_with_logits(
            logits.expand(8, -1, -1), b, reduction="none"
        ).sum(-1)
        value = f(b)
        baseline = (value.sum(0) - value) / 7
        (value + (value - baseline).detach() * (log_q - log_q.detach())).mean(0).sum().backward()

    hand = "by hand, the same noise"
    return time_table("leave-one-out", interleaved({hand: by_hand, "rp.expect": ours}, rounds), hand)


RESULTS = Path(__file__).parent / "results" / "estimators.md"


def toy_table(ts: tuple[float, ...], steps: int) -> str:
    toys = [train_toy(t, steps) for t in ts]
    return table(
        ["estimator", *(f"t = {t:g}" for t in ts)], [[r[0][0], *(x[1] for x in r)] for r in zip(*toys)]
    )


def jobs(quick: bool, peer: str | None) -> dict[str, Callable[[], str]]:
    """Return the sections of the report in their order, by title."""
    ts = (0.45,) if quick else (0.45, 0.49, 0.499)
    return {
        "Gaussian: variances per draw at N(1, 1)": lambda: gaussian_table(50_000 if quick else 400_000),
        "Gaussian: the check's choice in loc": lambda: choice_table(5 if quick else 20),
        "The check's verdict on each estimator": lambda: verdict_table(3 if quick else 30),
        "Bernoulli toy E(b - t)^2: p after 400 steps from .5, 1,024 estimates each (optimum 0)": lambda: (
            toy_table(ts, 400)
        ),
        "Bernoulli toy, t = .45: variance at two draws after 500 steps on the variance": lambda: table(
            ["estimator", "variance"], relax_variance(0.45)
        ),
        "Bayesian logistic regression, scikit-learn's breast-cancer data": lambda: logistic_table(
            200 if quick else 600
        ),
        "Categorical VAE of two latents: against the exact gradient": lambda: vae_table(
            100 if quick else 1_000
        ),
        "Bayesian layers: gradient variance against batch size": batch_slopes,
        "Bounds: variance and signal of the inference network": inference_signal,
        "KL estimates: what their gradients are": kl_table,
        "Time: Bayesian layers": lambda: layer_times(peer, 24 if quick else 80),
        "Time: leave-one-out against the loop by hand": lambda: overhead(40 if quick else 200),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="smaller runs")
    parser.add_argument("--peer", help="the folder of the peer")
    parser.add_argument("--only", default="", help="sections whose title holds this text; the others stay")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    version = f"torch {torch.__version__}, one thread.\n"
    head = "# Estimators\n\nWritten by `python benchmarks/estimators.py`; " + version
    before = dict(part.split("\n\n", 1) for part in RESULTS.read_text().split("\n## ")[1:])
    sections = jobs(arguments.quick, arguments.peer)
    bodies = {title: before[title].rstrip("\n") + "\n" for title in sections if title in before}
    for title, job in sections.items():
        if arguments.only in title:
            bodies[title] = job()
            print(f"## {title}\n\n{bodies[title]}", flush=True)
            text = "".join(f"\n## {t}\n\n{bodies[t]}" for t in sections if t in bodies)
            RESULTS.write_text(head + text)


if __name__ == "__main__":
    main()
