"""D1. A von Mises-Fisher sampler differentiated through the proposal, as if the accept step were not there.

Which proposal is accepted depends on the concentration, so the draw jumps from one proposal to the next as it moves.
In 5 dimensions at concentration 2 the derivative of E[mu . x] is .1474; the path through the proposal gives .1278.
"""

import torch

from reparam import Noise, check

D, PROPOSALS = 5, 10


def build():
    """Return the loss, its parameter and the exact objective A(kappa) = I_{5/2}(kappa) / I_{3/2}(kappa)."""
    kappa = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)

    def loss():
        b = (-2 * kappa + torch.sqrt(4 * kappa**2 + (D - 1) ** 2)) / (D - 1)
        centre = (1 - b) / (1 + b)
        c = kappa * centre + (D - 1) * torch.log(1 - centre**2)
        z = torch.rand(512, PROPOSALS, 3, dtype=torch.float64).median(-1).values  # Beta(2, 2)
        w = (1 - (1 + b) * z) / (1 - (1 - b) * z)
        u = torch.rand(512, PROPOSALS, dtype=torch.float64)
        accepted = kappa * w + (D - 1) * torch.log(1 - centre * w) - c >= torch.log(u)
        first = accepted.double().argmax(1, keepdim=True)
        return w.gather(1, first).mean()

    def reference():
        cosh, sinh = torch.cosh(kappa), torch.sinh(kappa)
        return ((1 + 3 / kappa**2) * sinh - 3 * cosh / kappa) / (cosh - sinh / kappa)

    return loss, {"kappa": kappa}, reference


if __name__ == "__main__":
    loss, params, reference = build()
    print(check.gradient(loss, params, noise=Noise(0), reference=reference))
