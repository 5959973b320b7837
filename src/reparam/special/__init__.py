"""Special functions with derivatives in every argument, second order too."""

from reparam.special.densities import (
    beta_log_density,
    gamma_log_density,
    student_log_density,
    vonmises_log_density,
)
from reparam.special.implicit import Family, attach, quantile, register, tails, velocity
from reparam.special.spherical import sphere_log_density

GAMMA = register(Family("gamma", gamma_log_density))
BETA = register(Family("beta", beta_log_density))
STUDENT = register(Family("student", student_log_density))
VONMISES = register(Family("vonmises", vonmises_log_density))
FISHER = register(Family("fisher", sphere_log_density))

__all__ = [
    "BETA",
    "FISHER",
    "GAMMA",
    "STUDENT",
    "VONMISES",
    "Family",
    "attach",
    "quantile",
    "tails",
    "velocity",
]
