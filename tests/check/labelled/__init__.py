"""Labelled losses: right ones of every kind, and planted faults with the cause that should be named."""

from . import faults, field, right
from .case import CASES, Case

__all__ = ["CASES", "Case", "faults", "field", "right"]
