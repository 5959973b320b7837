"""Objectives: frozen records of per-example terms, in nats."""

from reparam.objectives.elbo import elbo
from reparam.objectives.iwae import iwae
from reparam.objectives.kl_estimate import kl_estimate
from reparam.objectives.renyi import renyi
from reparam.objectives.terms import Terms
from reparam.objectives.vimco import vimco

__all__ = ["Terms", "elbo", "iwae", "kl_estimate", "renyi", "vimco"]
