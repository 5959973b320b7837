"""Variance slopes of Bayesian layers, variance and signal of bounds, and what gradients the KL estimates have."""

import itertools
import math

import torch
from torch import Tensor

import reparam as rp
from estimator_tables.text import table
from estimator_tables.variances import F64, limit
from reparam import distributions as D
from reparam.layers import BayesLinear
from reparam.noise import Noise


def batch_slopes(n: int) -> str:
    """Return the variance of the gradient of a batch mean in the weight means, and its slope against the batch size."""
    rows, sizes = [], (4, 16, 64, 256, 1024)
    for method in ("weight", "flipout", "local"):
        variances = []
        for B in sizes:
            x = Noise(1).normal((B, 20))
            torch.manual_seed(0)
            layer = BayesLinear(20, 5, method=method, initial_scale=0.3)
            gradients = [
                torch.autograd.grad(layer(x, noise=Noise(2).at(k)).square().mean(), layer.weight_loc)[0]
                for k in range(n)
            ]
            variances.append(torch.stack(gradients).var(0).mean().item())
        slopes = [math.log(b / a) / math.log(4) for a, b in itertools.pairwise(variances)]
        whole = math.log(variances[-1] / variances[0]) / math.log(sizes[-1] / sizes[0])
        rows.append([method, *(f"{v:.3g}" for v in variances), f"{whole:.2f}", f"{slopes[-1]:.2f}"])
    head = ["method", *(f"B = {B}" for B in sizes), "slope", "slope, last step"]
    return f"{n} gradients each; slope of log variance against log B.\n\n" + table(head, rows)


def log_joint(z: Tensor) -> Tensor:
    """Return log p(x, z) of z ~ N(0, 1), x ~ N(z, 1) at x = 1.3, whose posterior is N(.65, 1/2)."""
    return D.Normal(0.0, 1.0).log_prob(z) + D.Normal(z, 1.0).log_prob(torch.tensor(1.3, dtype=F64))


def landing(n: int) -> str:
    """Return the variance of the gradient in the mean of q as q approaches the posterior."""
    rows = []
    for distance in (1.0, 0.1, 0.01, 0.001, 0.0):
        cells = [f"{distance:g}"]
        for gradient in ("total", "stl"):
            m = torch.full((n,), 0.65 + distance, dtype=F64, requires_grad=True)
            q = D.Normal(m, torch.tensor(math.sqrt(0.5) * math.exp(distance), dtype=F64))
            rp.elbo(log_joint, q, noise=Noise(0), gradient=gradient).bound.sum().backward()
            cells.append(f"{m.grad.var().item():.3g}")
        rows.append(cells)
    return table(["distance of q from p", "variance, total", "variance, stl"], rows)


def inference_signal(n: int) -> str:
    """Return |mean| / standard deviation of the gradient in the mean of q, against K."""
    rows = []
    for K in (1, 4, 16, 64, 256):
        found = {}
        for gradient in ("total", "dreg"):
            m = torch.full((n,), 0.75, dtype=F64, requires_grad=True)
            q = D.Normal(m, torch.tensor(0.75, dtype=F64))
            rp.iwae(
                log_joint, q, samples=K, noise=Noise(0).child(str(K)), gradient=gradient
            ).bound.sum().backward()
            found[gradient] = m.grad
        mean = found["dreg"].mean().abs()  # both have this mean; here its error is the smaller one
        rows.append([str(K), *(f"{(mean / g.std()).item():.3g}" for g in found.values())])
    return table(["K", "signal-to-noise, total", "signal-to-noise, dreg"], rows)


def kl_exact(s: float) -> dict[tuple[str, str], float]:
    """Return the exact mean gradients in s for q = N(0, s^2), p = N(0, 1); r = p / q.

    d KL(q || p) = s - 1/s,   d KL(p || q) = 1/s - 1/s^3,   and along z = s e, log r = log s + e^2 (1 - s^2) / 2:
    d E k2 = E [log r d log r / ds] = log s (1/s - s) + (1 - s^2) (1/s - 3s) / 2
    """
    right = s - 1 / s
    bent = math.log(s) * (1 / s - s) + (1 - s**2) * (1 / s - 3 * s) / 2
    fixed = {"k1": 0.0, "k2": right, "k3": 1 / s - 1 / s**3}
    pathwise = {"k1": right, "k2": bent, "k3": right}
    return {(kind, "fixed"): v for kind, v in fixed.items()} | {
        (kind, "pathwise"): v for kind, v in pathwise.items()
    }


def kl_table(n: int, s: float = 0.8) -> str:
    """Return the mean gradient in s of each kind of estimate of KL(q || p), beside the exact one."""
    rows, exact, worst = [], kl_exact(s), 0.0
    for kind in ("k1", "k2", "k3"):
        cells = [kind]
        for draws in ("fixed", "pathwise"):
            leaf = torch.full((n,), s, dtype=F64, requires_grad=True)
            q, p = D.Normal(torch.zeros((), dtype=F64), leaf), D.Normal(torch.zeros((), dtype=F64), 1.0)
            noise = Noise(0).child(kind + draws)
            rp.kl_estimate(p, q, kind=kind, draws=draws, noise=noise).sum().backward()
            mean, error = leaf.grad.mean().item(), leaf.grad.std().item() / math.sqrt(n)
            worst = max(worst, abs(mean - exact[kind, draws]) / error)
            cells.append(f"{mean:.4f} +- {error:.4f} ({exact[kind, draws]:.4f})")
        rows.append(cells)
    intro = (
        f"q = N(0, {s:g}^2), p = N(0, 1), {n:,} draws; d KL(q || p)/ds = {s - 1 / s:.4f}, d KL(p || q)/ds = "
        f"{1 / s - 1 / s**3:.4f}. Largest deviation {worst:.2f} standard errors, allowed {limit(6):.2f}.\n\n"
    )
    head = ["kind", *(f"mean gradient, {x} draws (exact)" for x in ("fixed", "pathwise"))]
    return intro + table(head, rows)
