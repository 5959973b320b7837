"""Decide whether the gradient that autograd gives is the gradient of the expectation that is meant."""

from reparam.check.draws import Loss, Params, Runner
from reparam.check.options import Options
from reparam.check.report import Report
from reparam.check.search import Check, Reference
from reparam.check.summary import summarize
from reparam.noise import Noise, given


def gradient(
    loss: Loss,
    params: Params,
    *,
    noise: Noise | None = None,
    reference: Reference = None,
    tolerance: float = 0.01,
    scale: float | None = None,
    false_alarm: float = 1e-6,
    max_seconds: float = 60.0,
    max_draws: int | None = None,
) -> Report:
    """Check whether E[autograd gradient of loss] is the gradient of E[loss] (or of E[reference]).

        b = E[G] - d/dphi E[l],   measured per parameter tensor as |b| / max(|d/dphi E[l]|, scale)

    The reference gradient comes from central differences of the value at common random numbers, so nothing but the
    value of the loss is trusted: its mean must be what is meant. (Where it is not, as in `f.detach() * log_prob`,
    pass the objective itself as `reference`.)

    Args:
        loss: `loss(noise)`, which draws from the reparam.Noise given, or a callable without parameters, which may
            draw from torch's global generator (it is forked and seeded). Returns one real number.
        params: the leaves: a tensor, a sequence, a dict, or a Module (those that require grad).
        noise: the address of the draws; fresh noise when None.
        reference: None, the loss itself; or an objective in the form of loss; or the exact gradient in the form of
            params (a Module: a dict by name).
        tolerance: the largest relative bias that still counts as "unbiased", > 0.
        scale: the least norm that a bias is measured against; default 1e-3 of the spread of the value.
        false_alarm: the probability, over the whole check, of the verdict "biased" on a right gradient, in (0, 1).
        max_seconds: time after which the verdict is "inconclusive", > 0; it decides nothing else.
        max_draws: the same for gradient draws, >= 1.

    Returns:
        A frozen `Report`: verdict, bias, interval, variance, seconds, draws, blocks, cause, ...

    Raises:
        TypeError, ValueError: parameters that are no leaves, a loss that is no finite real number. What the loss itself
            raises passes through; parameters, buffers and generators are put back in every case.

    References: waudby-smith2024, howard2021.

    Example:
        >>> import torch, reparam as rp
        >>> loc = torch.tensor(1.0, requires_grad=True)
        >>> report = gradient(lambda noise: (loc + noise.normal()) ** 2, loc, noise=rp.Noise(0), max_draws=400)
        >>> report.verdict
        'unbiased'
    """
    options = Options("check.gradient", tolerance, scale, false_alarm, max_seconds, max_draws)
    return checked(loss, params, given(noise, options.who), reference, options)


def checked(loss: Loss, params: Params, noise: Noise, reference: Reference, options: Options) -> Report:
    """Return the report of `gradient` for options that were read."""
    runner = Runner(loss, params, noise, options.who)
    with runner.borrowed():
        check = Check(runner, options)
        check.run(reference)
        return summarize(check)
