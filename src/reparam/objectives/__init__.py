"""Objectives: frozen records of per-example terms, in nats."""

from reparam.objectives.elbo import elbo
from reparam.objectives.iwae import iwae
from reparam.objectives.terms import Terms

__all__ = ["Terms", "elbo", "iwae"]
