"""Monte Carlo estimates of KL(q || p) that are seen in the wild, each with the gradient it really has."""

import torch
from torch import Tensor

from reparam.distributions import convert
from reparam.estimators.base import check_samples
from reparam.noise import Noise, given


def kl_estimate(
    p: torch.distributions.Distribution,
    q: torch.distributions.Distribution,
    *,
    kind: str = "k1",
    draws: str | None = None,
    samples: int = 1,
    noise: Noise | None = None,
) -> Tensor:
    """Estimate KL(q || p) in nats from draws of q, shape (*B).

        r = p(z) / q(z),   k1 = -log r,   k2 = (log r)^2 / 2,   k3 = r - 1 - log r

    k1 and k3 are unbiased in value; k2 is not. k3 is never negative.

    Args:
        p: the reference law.
        q: the law of the draws.
        kind: "k1", "k2" or "k3".
        draws: "pathwise" (z carries the parameters of q) or "fixed" (z is data); None is "pathwise" where q has a
            rule and "fixed" where it has none.
        samples: S.
        noise: the address of the draws.

    Gradient: in the parameters of q its mean is

        draws        k1              k2              k3
        "fixed"      0 (!)           d KL(q || p)    d KL(p || q) (!)
        "pathwise"   d KL(q || p)    d E k2 (!)      d KL(q || p)

    where (!) marks what is not the gradient of KL(q || p). In the parameters of p: k1 and k3 are right, k2 is not.
    For discrete q the right gradient of KL(q || p) is that of
    `rp.expect(lambda z: q.log_prob(z) - p.log_prob(z), q, samples=S)`, or of k2 with fixed draws.
    Double backward works for "pathwise".

    References: schulman2020 (the three kinds).

    Example:
        >>> import reparam as rp
        >>> p, q = rp.distributions.Normal(0.0, 1.0), rp.distributions.Normal(0.0, 1.0)
        >>> kl_estimate(p, q, kind="k3", samples=4, noise=rp.Noise(0))
        tensor(0.)
    """
    check_samples("kl_estimate", samples)
    if kind not in ("k1", "k2", "k3"):
        raise ValueError(f"kl_estimate: kind must be 'k1', 'k2' or 'k3'; got {kind!r}")
    if draws not in (None, "pathwise", "fixed"):
        raise ValueError(f"kl_estimate: draws must be 'pathwise', 'fixed' or None; got {draws!r}")
    ours = convert(q)
    pathwise = ours.rule != "none" if draws is None else draws == "pathwise"
    if pathwise and ours.rule == "none":
        raise TypeError(
            f"kl_estimate: draws='pathwise' needs a q whose draws have a derivative; got {type(q).__name__}; "
            "write draws='fixed'"
        )
    z = (ours.rsample if pathwise else ours.sample)((samples,), noise=given(noise, "kl_estimate"))
    log_r = p.log_prob(z) - ours.log_prob(z)
    if log_r.shape != z.shape[: z.ndim - len(ours.event_shape)]:
        raise ValueError(
            f"kl_estimate: p must have the batch and event shapes of q, {tuple(q.batch_shape)} and "
            f"{tuple(q.event_shape)}; got {tuple(p.batch_shape)} and {tuple(p.event_shape)}"
        )
    if kind == "k1":
        return -log_r.mean(0)
    if kind == "k2":
        return log_r.square().mean(0) / 2
    return (torch.expm1(log_r) - log_r).mean(0)
