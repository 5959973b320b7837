"""Gradient estimators, one per file, and `expect`, which uses them."""

from reparam.estimators.base import Estimator
from reparam.estimators.expect import expect
from reparam.estimators.pathwise import Pathwise

__all__ = ["Estimator", "Pathwise", "expect"]
