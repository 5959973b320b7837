"""B5. A score function over a sample without replacement, three of four categories, not averaged over the sample.

The sum-and-sample weights already add to one; summing over the K = 3 orders without dividing by K makes the gradient
three times the truth.
"""

from pieces import drawn_sets

from reparam import Noise, check

K = 3


def build():
    """Return the loss, its parameter and the objective that is meant."""
    return drawn_sets.build(K, lambda log_p: K * log_p)  # K is one factor too many


if __name__ == "__main__":
    loss, params, reference = build()
    print(check.gradient(loss, params, noise=Noise(0), reference=reference))
