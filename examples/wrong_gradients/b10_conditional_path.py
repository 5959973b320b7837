"""B10. RELAX (here with the relaxed f as its surrogate) without the derivative of the conditional relaxed sample.

Given b, the uniform is drawn from an interval whose end is p, so it depends on the logit; cutting that path leaves
the control variate with a mean that is not zero.
"""

from pieces import relaxed_bernoulli

from reparam import Noise, check


def build():
    """Return the loss and its parameter."""
    # the end of the interval moves with eta, and must carry its derivative
    return relaxed_bernoulli.build(end=lambda p: p.detach())


if __name__ == "__main__":
    loss, params = build()
    print(check.gradient(loss, params, noise=Noise(0)))
