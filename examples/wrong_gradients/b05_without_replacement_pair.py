"""B5, for a pair. With K = 2 the ratio that carries the gradient is computed from probabilities cut from the graph."""

from pieces import drawn_sets

from reparam import Noise, check


def build():
    """Return the loss, its parameter and the objective that is meant."""
    return drawn_sets.build(2, lambda log_p: log_p.detach())  # no path to the logits


if __name__ == "__main__":
    loss, params, reference = build()
    print(check.gradient(loss, params, noise=Noise(0), reference=reference))
