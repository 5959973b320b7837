"""The terms of a variational objective, per example, in nats."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Terms:
    """Per-example terms of a bound, each of shape (*B), in nats.

    Attributes:
        bound: the true bound on log p(x), carrying the chosen gradient.
        objective: what is optimised; equals `bound` unless a KL weight or free bits were asked for.
        reconstruction: E_q log p(x|z), where the objective knows it apart.
        kl: KL(q(z|x) || p(z)), where the objective knows it apart.
        kl_standard_error: that of a Monte Carlo KL from two draws or more; None for an exact one.
    """

    bound: Tensor
    objective: Tensor
    reconstruction: Tensor | None = None
    kl: Tensor | None = None
    kl_standard_error: Tensor | None = None

    @property
    def loss(self) -> Tensor:
        """Return -objective, averaged over the batch, to be minimised."""
        return -self.objective.mean()
