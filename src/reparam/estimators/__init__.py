"""Gradient estimators, and `expect`, which uses them."""

from reparam.estimators.antithetic import ARM, ARMS, DisARM
from reparam.estimators.base import Estimator
from reparam.estimators.control_variate import ControlVariate
from reparam.estimators.enumerate import Enumerate
from reparam.estimators.expect import expect
from reparam.estimators.leave_one_out import LeaveOneOut
from reparam.estimators.measure_valued import MeasureValued
from reparam.estimators.pathwise import Pathwise
from reparam.estimators.program import Sites, program
from reparam.estimators.rao_blackwell import RaoBlackwell
from reparam.estimators.relax import REBAR, RELAX, variance_loss
from reparam.estimators.relaxation import GumbelRao, GumbelSoftmax, ReinMax, StraightThrough
from reparam.estimators.score import ScoreFunction
from reparam.estimators.without_replacement import WithoutReplacement

__all__ = [
    "ARM",
    "ARMS",
    "ControlVariate",
    "DisARM",
    "Enumerate",
    "Estimator",
    "GumbelRao",
    "GumbelSoftmax",
    "LeaveOneOut",
    "MeasureValued",
    "Pathwise",
    "REBAR",
    "RELAX",
    "RaoBlackwell",
    "ReinMax",
    "ScoreFunction",
    "Sites",
    "StraightThrough",
    "WithoutReplacement",
    "expect",
    "program",
    "variance_loss",
]
