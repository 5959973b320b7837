"""The variational autoencoder: a composition of encoder, posterior family, prior, decoder and likelihood.

z ~ q_phi(z|x),   ELBO(x) = E_q log p_theta(x|z) - KL(q_phi(z|x) || p(z))
"""

import math

import torch
from torch import Tensor, nn

from reparam import distributions as D
from reparam.models.likelihoods import BernoulliLikelihood, GaussianLikelihood, Likelihood
from reparam.models.posteriors import DiagonalGaussian
from reparam.models.priors import StandardNormal
from reparam.noise import Noise, given
from reparam.objectives import Terms, elbo
from reparam.objectives.elbo import check_weights, weighed

CHUNK_NUMBERS = 1 << 23  # numbers that one pass of `log_weights` decodes at the most
WIDTH = 256  # numbers that an example counts as at the least: hidden layers are wider than small data


class VAE(nn.Module):
    """Variational autoencoder of exchangeable parts.

    Args:
        encoder: (..., *event) -> (..., features of the posterior).
        posterior: features -> q(z|x).
        prior: () -> p(z).
        decoder: (..., latent) -> (..., *event).
        likelihood: decoder's output -> p(x|z).

    Data are floats of shape (B, *event): pictures in [0, 1], binary data 0 and 1.
    """

    def __init__(
        self,
        encoder: nn.Module,
        posterior: nn.Module,
        prior: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
    ) -> None:
        super().__init__()
        self.encoder, self.posterior, self.prior = encoder, posterior, prior
        self.decoder, self.likelihood = decoder, likelihood

    @property
    def event(self) -> tuple[int, ...]:
        """The shape of one example."""
        return self.likelihood.event

    def infer(self, target: Tensor) -> D.Independent:
        """Return q(z|x) for a target (what the likelihood scores)."""
        return self.posterior(self._features(target))

    def _features(self, target: Tensor) -> Tensor:
        if isinstance(self.likelihood, GaussianLikelihood):
            target = (target - self.likelihood.shift) / self.likelihood.unit
        return self.encoder(target)

    def elbo(
        self,
        x: Tensor,
        *,
        noise: Noise | None = None,
        samples: int = 1,
        beta: float = 1.0,
        free_bits: float = 0.0,
    ) -> Terms:
        """Return the terms of the ELBO of each example, (B,), in nats.

        Gradient: unbiased, total derivative, analytic KL; see `reparam.elbo`.
        """
        noise = given(noise, "VAE.elbo")
        target = self.likelihood.target(x, noise.child("target"))
        features, latent, posterior = self._features(target), noise.child("latent"), self.posterior
        standard = isinstance(self.prior, StandardNormal)
        if standard and isinstance(posterior, DiagonalGaussian) and samples == 1:  # z and KL in one pass
            check_weights(beta, free_bits)
            z, kl = posterior.draw(features, latent)
            return weighed(self.log_likelihood(z, target), kl, beta, free_bits)
        return elbo(
            lambda z: self.log_likelihood(z, target),
            posterior(features),
            prior=self.prior(),
            beta=beta,
            free_bits=free_bits,
            samples=samples,
            noise=latent,
        )

    def forward(self, x: Tensor, *, noise: Noise | None = None) -> Tensor:
        """Return the negative ELBO, averaged over the batch, in nats."""
        return self.elbo(x, noise=noise).loss

    def log_likelihood(self, z: Tensor, target: Tensor) -> Tensor:
        """Return log p(target | z) in nats, (S, B) for z of shape (S, B, latent)."""
        return self.likelihood(self.decoder(z)).log_prob(target)

    def log_weights(self, target: Tensor, *, samples: int, noise: Noise, chunk: int | None = None) -> Tensor:
        """Return log w_k = log p(x, z_k) - log q(z_k|x) in float64, (samples, B).

        Draw k comes from the address `noise.at(k)`, so that the numbers do not depend on the chunk size.
        """
        q, prior = self.infer(target), self.prior()
        width = max(math.prod(self.event), WIDTH)
        chunk = chunk or max(1, CHUNK_NUMBERS // (max(1, len(target)) * width))
        made = []
        for first in range(0, samples, chunk):
            steps = range(first, min(first + chunk, samples))
            z = torch.stack([q.rsample((), noise=noise.at(k)) for k in steps])
            log_joint = self.log_likelihood(z, target).double() + prior.log_prob(z).double()
            made.append(log_joint - q.log_prob(z).double())
        return torch.cat(made)

    def log_prob(
        self, x: Tensor, *, samples: int = 500, noise: Noise | None = None, chunk: int | None = None
    ) -> Tensor:
        """Estimate log p(x) of each example in nats, (B,), float64: the importance-weighted bound of K = samples.

        A lower bound in expectation, which grows to log p(x) with K; with a Bernoulli likelihood on grey data it
        is that of the binarised x.
        """
        noise = given(noise, "VAE.log_prob")
        check_count("VAE.log_prob", "samples", samples)
        if chunk is not None:
            check_count("VAE.log_prob", "chunk", chunk)
        x = self.prepare(x)
        target = self.likelihood.target(x, noise.child("target"))
        log_w = self.log_weights(target, samples=samples, noise=noise.child("importance"), chunk=chunk)
        return torch.logsumexp(log_w, 0) - math.log(samples)

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Return the posterior mean E_q[z|x], (B, latent)."""
        return self.infer(self.prepare(x)).mean

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Return E[x|z] at the posterior mean, (B, *event)."""
        return self.likelihood.mean(self.decoder(self.encode(x)))

    @torch.no_grad()
    def sample(self, n: int, *, noise: Noise | None = None, draw: bool = False) -> Tensor:
        """Draw z from the prior and return E[x|z], (n, *event); with draw=True draw x from p(x|z) as well.

        Example k has the address `rows(k)`: more samples keep the first ones.
        """
        check_count("VAE.sample", "n", n, least=0)
        rows = given(noise, "VAE.sample").rows(torch.arange(n))
        output = self.decoder(self.prior().expand((n,)).sample((), noise=rows.child("prior")))
        return (
            self.likelihood(output).sample((), noise=rows.child("data"))
            if draw
            else self.likelihood.mean(output)
        )

    def prepare(self, x: Tensor) -> Tensor:
        """Return x in the dtype and on the device of the model, checked for its shape."""
        like = next(self.parameters())
        if not isinstance(x, Tensor):
            raise TypeError(f"VAE: x must be a tensor; got {type(x).__name__}; write torch.as_tensor(x)")
        if x.shape[1:] != self.event:
            raise ValueError(
                f"VAE: x must have shape (B, {', '.join(map(str, self.event))}), as the training data; "
                f"got {tuple(x.shape)}"
            )
        if not x.is_floating_point():
            raise TypeError(
                f"VAE: x must be floating point, scaled as the training data (pictures to [0, 1]); got {x.dtype}; "
                "reparam.data.load(...).batch() does it"
            )
        if isinstance(self.likelihood, BernoulliLikelihood):
            self.likelihood.check(x)
        return x.to(like.device, like.dtype)


def check_count(who: str, what: str, value: int, least: int = 1) -> None:
    """Raise unless a value is a whole number that is large enough."""
    if type(value) is not int or value < least:
        raise ValueError(f"{who}: {what} must be an integer, {least} or more; got {value!r}")
