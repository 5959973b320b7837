"""Evaluation of a trained VAE on held-out data, in nats, with standard errors.

    -ELBO = -mean_k log w_k,   NLL = -log (1/K) sum_k w_k,   w_k = p(x, z_k) / q(z_k|x)

K means K; how the work is cut into pieces never changes a number, and every example counts alike.
"""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor

from reparam.data import Dataset, split
from reparam.models import VAE, BernoulliLikelihood
from reparam.models.likelihoods import nats_to_bits_per_dim
from reparam.noise import Noise
from reparam.objectives.elbo import analytic_kl
from reparam.train.fit import DatasetExamples

BATCH = 256
ACTIVE_VARIANCE = 0.01  # variance over the data of a unit's posterior mean, above which it is active


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`; the keys of --json.

    Attributes:
        split: the part of the data. examples: how many. samples: K.
        elbo_nats: the evidence lower bound, mean over examples; its standard error is over examples.
        nll_nats: -log p(x), importance-weighted with K draws (an upper bound in expectation).
        nll_standard_error_nats: over examples: what other test data would change.
        nll_importance_standard_error_nats: over the K draws: what other draws would change.
            A standard error is null where one example or one draw cannot tell it.
        reconstruction_nats, kl_nats: the two terms of the ELBO, E_q log p(x|z) and KL(q||p).
        bits_per_dim: nll in bits per dimension; null where the likelihood is a density.
        effective_sample_size_mean, _min: (sum w)^2 / sum w^2 over examples, of K.
        kl_per_unit_nats: KL of each latent unit, mean over examples.
        active_units: units whose posterior mean varies over the data by more than 0.01. latent_units: of how many.
        collapsed: no unit is active: the decoder ignores z. One example cannot tell: false.
    """

    split: str
    examples: int
    samples: int
    elbo_nats: float
    elbo_standard_error_nats: float | None
    nll_nats: float
    nll_standard_error_nats: float | None
    nll_importance_standard_error_nats: float | None
    reconstruction_nats: float
    kl_nats: float
    bits_per_dim: float | None
    effective_sample_size_mean: float
    effective_sample_size_min: float
    kl_per_unit_nats: list[float]
    active_units: int
    latent_units: int
    collapsed: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by name, as `evaluate --json` prints them."""
        return asdict(self)


@torch.no_grad()
def evaluate(
    model: VAE,
    examples: DatasetExamples,
    *,
    samples: int,
    noise: Noise,
    name: str = "test",
    batch: int = BATCH,
) -> Evaluation:
    """Evaluate a model with K = samples importance draws per example.

    Noise is addressed by the example's number, so the batch size changes nothing.
    """
    pieces = [
        _evaluate_batch(model, examples.batch(p), samples, noise.rows(examples.numbers(p)))
        for p in torch.arange(len(examples)).split(batch)
    ]
    log_w, reconstruction, kl_units, means = (torch.cat(part, -1) for part in zip(*pieces))
    nll = math.log(samples) - torch.logsumexp(log_w, 0)
    elbo = log_w.mean(0)
    v = torch.softmax(log_w, 0)
    ess = 1 / v.square().sum(0)
    active = int((means.var(-1, correction=0) > ACTIVE_VARIANCE).sum())
    kl = kl_units.sum(0)
    discrete = isinstance(model.likelihood, BernoulliLikelihood)
    return Evaluation(
        split=name,
        examples=len(examples),
        samples=samples,
        elbo_nats=float(elbo.mean()),
        elbo_standard_error_nats=standard_error(elbo),
        nll_nats=float(nll.mean()),
        nll_standard_error_nats=standard_error(nll),
        nll_importance_standard_error_nats=importance_error(v),
        reconstruction_nats=float(reconstruction.mean()),
        kl_nats=float(kl.mean()),
        bits_per_dim=nats_to_bits_per_dim(float(nll.mean()), model.event) if discrete else None,
        effective_sample_size_mean=float(ess.mean()),
        effective_sample_size_min=float(ess.min()),
        kl_per_unit_nats=kl_units.mean(-1).tolist(),
        active_units=active,
        latent_units=len(kl_units),
        collapsed=active == 0 and len(examples) > 1,
    )


def _evaluate_batch(
    model: VAE, x: Tensor, samples: int, noise: Noise
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return log w (K, B), E_q log p(x|z) (B), KL per unit (latent, B) and posterior means (latent, B)."""
    target = model.likelihood.target(x, noise.child("target"))
    log_w = model.log_weights(target, samples=samples, noise=noise.child("importance"))
    q, prior = model.infer(target), model.prior()
    kl_units = analytic_kl(q.base_dist, prior.base_dist).double().T
    # E_q log p(x|z) = ELBO + KL, with the Monte Carlo ELBO of the same draws and the exact KL
    reconstruction = log_w.mean(0) + kl_units.sum(0)
    return log_w, reconstruction, kl_units, q.mean.double().T


def standard_error(values: Tensor) -> float | None:
    """Return the standard error of the mean of independent values; None for a single one, which has no spread."""
    return float(values.std() / math.sqrt(len(values))) if len(values) > 1 else None


def importance_error(v: Tensor) -> float | None:
    """Return the standard error of the mean NLL over the importance draws, by the delta method.

    v are normalised weights (K, N): var log((1/K) sum w) = sum_k (v_k - 1/K)^2 to first order, times K / (K - 1).
    None for K = 1.
    """
    samples, examples = v.shape
    if samples == 1:
        return None
    variance = (v - 1 / samples).square().sum(0) * samples / (samples - 1)
    return float(variance.sum().sqrt() / examples)


def split_part(dataset: Dataset, seed: int, name: str, dtype: torch.dtype) -> DatasetExamples:
    """Return one part ("train", "validation", "test" or "all") of a data set under a run's seed."""
    parts = dict(zip(("train", "validation", "test"), split(len(dataset), seed) if name != "all" else ()))
    return DatasetExamples(dataset, parts.get(name, torch.arange(len(dataset))), dtype)


KEYS = tuple(f.name for f in fields(Evaluation))
