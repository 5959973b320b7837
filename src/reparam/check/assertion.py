"""One line for other people's test suites."""

from reparam.check.draws import Loss, Params
from reparam.check.gradient import checked
from reparam.check.options import Options
from reparam.check.report import Report
from reparam.check.search import Reference
from reparam.noise import Noise, given


def assert_unbiased(
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
    """Raise AssertionError, with the report, unless the gradient of a loss is shown to be unbiased.

    Arguments as in `gradient`. An inconclusive check fails too: it has shown nothing. Pass `noise=Noise(seed)`
    so that the test gives the same answer every time, and a `max_draws` that decides with room to spare.

    Example:
        >>> import torch, reparam as rp
        >>> loc = torch.tensor(1.0, requires_grad=True)
        >>> assert_unbiased(lambda n: (loc + n.normal((9,))).square().mean(), loc, noise=rp.Noise(0)).verdict
        'unbiased'
    """
    options = Options("check.assert_unbiased", tolerance, scale, false_alarm, max_seconds, max_draws)
    report = checked(loss, params, given(noise, options.who), reference, options)
    if report.verdict != "unbiased":
        raise AssertionError(f"the gradient was not shown to be unbiased\n{report}")
    return report
