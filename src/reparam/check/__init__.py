"""The statistical gradient check: is the gradient that I train with the gradient of what I mean?

`gradient` decides it for one loss, `compare` and `choose` for several ways to write one, `assert_unbiased` in a test.
"""

from reparam.check.assertion import assert_unbiased
from reparam.check.compare import Comparison, Row, choose, compare
from reparam.check.gradient import gradient
from reparam.check.report import BlockReport, Report
from reparam.check.target import TargetError, exit_code, run_compare, run_target

__all__ = [
    "BlockReport",
    "Comparison",
    "Report",
    "Row",
    "TargetError",
    "assert_unbiased",
    "choose",
    "compare",
    "exit_code",
    "gradient",
    "run_compare",
    "run_target",
]
