"""Likelihoods p(x|z): from a decoder's output to a distribution of the data.

A likelihood says what it scores (`target`), which distribution it is (`forward`) and what it would show (`mean`).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reparam import distributions as D
from reparam.noise import Noise


class BernoulliLikelihood(nn.Module):
    """Bernoulli likelihood of binary data, the decoder's output being logits.

    Grey values in [0, 1] are no events of a Bernoulli law; with `dynamic=True` they are binarised afresh at every
    address, b = 1[u < x] with u uniform from the noise, and b is what is encoded and scored.
    """

    def __init__(self, event: Sequence[int], dynamic: bool) -> None:
        super().__init__()
        self.event, self.dynamic = tuple(event), dynamic

    def check(self, x: Tensor) -> None:
        """Raise unless x can be scored: grey values in [0, 1] where they are binarised, else 0 and 1."""
        good = (x >= 0) & (x <= 1) if self.dynamic else (x == 0) | (x == 1)
        if not bool(good.all()):
            want = "values in [0, 1]" if self.dynamic else "the values 0 and 1 only"
            raise ValueError(
                f"VAE: x must hold {want}, for a Bernoulli likelihood; got {float(x[~good][0]):.6g}; "
                "rescale or binarise it"
            )

    def target(self, x: Tensor, noise: Noise) -> Tensor:
        """Return what is scored: x, or x binarised by the noise."""
        if not self.dynamic:
            return x
        return (noise.uniform(x.shape, dtype=x.dtype, device=x.device) < x).to(x.dtype)

    def forward(self, output: Tensor) -> D.Independent:
        """Return p(x|z) for a decoder's output."""
        return D.Independent(
            D.Bernoulli(logits=output, validate_args=False), len(self.event), validate_args=False
        )

    def mean(self, output: Tensor) -> Tensor:
        """Return E[x|z] = sigmoid(output)."""
        return torch.sigmoid(output)


class GaussianLikelihood(nn.Module):
    """Gaussian likelihood with a learned scale: x = shift + unit (output + exp(log_scale) eps).

    `shift` and `unit` standardise data of any size (0 and 1 for pictures in [0, 1]); they are constants of the
    training data, and densities are in the units of x. `log_scale` is one number for pictures and one per
    dimension for other data.
    """

    shift: Tensor
    unit: Tensor
    dynamic = False

    def __init__(self, event: Sequence[int], shared_scale: bool) -> None:
        super().__init__()
        self.event = tuple(event)
        self.log_scale = nn.Parameter(
            torch.full((1,) * len(self.event) if shared_scale else self.event, -1.0)
        )
        self.register_buffer("shift", torch.zeros(self.event))
        self.register_buffer("unit", torch.ones(self.event))

    def standardize(self, shift: Tensor, unit: Tensor) -> None:
        """Set the constants from the training data: its mean and standard deviation, (*E) each."""
        self.shift.copy_(shift)
        self.unit.copy_(unit)

    def target(self, x: Tensor, noise: Noise) -> Tensor:
        """Return x."""
        return x

    def forward(self, output: Tensor) -> D.Independent:
        """Return p(x|z) for a decoder's output."""
        law = D.Normal(
            self.mean(output), (self.unit * self.log_scale.exp()).expand_as(output), validate_args=False
        )
        return D.Independent(law, len(self.event), validate_args=False)

    def mean(self, output: Tensor) -> Tensor:
        """Return E[x|z] = shift + unit output."""
        return self.shift + self.unit * output


Likelihood = BernoulliLikelihood | GaussianLikelihood


def nats_to_bits_per_dim(nats: float, event: Sequence[int]) -> float:
    """Return nats per example as bits per dimension."""
    return nats / (math.prod(event) * math.log(2))
