"""A VAE with two latents of four categories on binarised digits: its encoder's gradient against the sum over states."""

import math

import torch
from torch import Tensor, nn

import reparam as rp
from estimator_tables.text import table, yes
from estimator_tables.variances import F64, FALSE_ALARM, limit
from reparam import distributions as D
from reparam import estimators as E
from reparam.noise import Noise

VAE: dict[str, tuple[E.Estimator, int]] = {
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


class CategoricalVAE:
    """log p(x, z) = log p(x | z) + 2 log 1/4, q(z | x) two independent laws of four categories."""

    def __init__(self, steps: int = 300) -> None:
        from sklearn.datasets import load_digits

        self.x = (torch.as_tensor(load_digits().data[:32], dtype=F64) > 7).to(F64)
        with rp.noise.seeded_torch(Noise(0)):
            self.encoder = nn.Linear(64, 8, dtype=F64)
            self.decoder = nn.Sequential(nn.Linear(8, 32, dtype=F64), nn.Tanh(), nn.Linear(32, 64, dtype=F64))
        optimizer = torch.optim.Adam(self.decoder.parameters(), lr=0.02)
        for _ in range(steps):  # a decoder that has learned something, by exact steps
            value = rp.expect(self.log_joint, self.law(), estimator=E.Enumerate())
            optimizer.zero_grad()
            (-value.mean()).backward(inputs=list(self.decoder.parameters()))
            optimizer.step()

    def law(self) -> D.Distribution:
        """Return q(z | x)."""
        return D.Independent(D.OneHotCategorical(logits=self.encoder(self.x).unflatten(-1, (2, 4))), 1)

    def log_joint(self, z: Tensor) -> Tensor:
        """Return log p(x, z)."""
        logits = self.decoder(z.flatten(-2))
        return D.Bernoulli(logits=logits).log_prob(self.x).sum(-1) + 2 * math.log(1 / 4)

    def gradient(self, estimator: E.Estimator, samples: int, noise: Noise) -> Tensor:
        """Return the gradient of the mean bound in the encoder's weight."""
        q = self.law()
        value = rp.expect(self.log_joint, q, samples=samples, noise=noise, estimator=estimator)
        return torch.autograd.grad((value + q.entropy()).mean(), self.encoder.weight)[0]


def vae_table(n: int) -> str:
    """Return bias and standard deviation of each estimator's gradient; unbiased ones must show no bias."""
    model, rows, worst = CategoricalVAE(), [], 0.0
    exact = model.gradient(E.Enumerate(), 1, Noise(0))
    for name, (estimator, samples) in VAE.items():
        noise = Noise(1).child(name)
        draws = torch.stack([model.gradient(estimator, samples, noise.at(k)) for k in range(n)])
        bias, error = along(draws, exact)
        if estimator.unbiased:
            worst = max(worst, abs(bias) / (error + 1e-12))
        spread = (draws.var(0).sum().sqrt() / exact.norm()).item()
        rows.append([name, yes(estimator.unbiased), f"{bias:+.4f} +- {error:.4f}", f"{spread:.3f}"])
        print(rows[-1], flush=True)
    head = [
        "estimator",
        "says unbiased",
        "bias along the exact gradient, relative",
        "standard deviation, relative",
    ]
    most = limit(sum(e.unbiased for e, _ in VAE.values()))
    intro = (
        f"{n} gradients of 32 digits each, S = 4 or as said. Among those that say unbiased the largest "
        f"|z| = {worst:.2f}, allowed {most:.2f} (false alarm {FALSE_ALARM:g} for the table).\n\n"
    )
    return intro + table(head, rows)


def along(draws: Tensor, exact: Tensor) -> tuple[float, float]:
    """Return the mean of <draw - exact, exact> / |exact|^2 and its standard error."""
    part = ((draws - exact) * exact).flatten(1).sum(1) / exact.square().sum()
    return part.mean().item(), part.std().item() / math.sqrt(len(part))
