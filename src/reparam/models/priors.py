"""Priors p(z)."""

import torch
from torch import Tensor, nn

from reparam import distributions as D


class StandardNormal(nn.Module):
    """N(0, I) on `features` latent numbers."""

    zero: Tensor
    one: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("zero", torch.zeros(features), persistent=False)
        self.register_buffer("one", torch.ones(features), persistent=False)

    def forward(self) -> D.Independent:
        """Return the distribution, event shape (features,)."""
        return D.Independent(D.Normal(self.zero, self.one, validate_args=False), 1, validate_args=False)
