"""B4. REBAR on a Bernoulli variable, with log1p(p) where log1p(-p) is meant.

The probability of b = 0 is 1 - p; the slip gives its log the wrong sign in the derivative. Right is p (1 - p) (1 - 2t).
"""

import torch
from pieces import relaxed_bernoulli

from reparam import Noise, check


def build():
    """Return the loss and its parameter."""
    return relaxed_bernoulli.build(log_of_zero=lambda p: torch.log1p(p))  # log1p(-p) is right


if __name__ == "__main__":
    loss, params = build()
    print(check.gradient(loss, params, noise=Noise(0)))
