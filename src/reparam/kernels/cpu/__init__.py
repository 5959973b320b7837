"""Numba kernels: fast versions of `kernels.reference`, same names and signatures, tested against it.

Every function broadcasts its tensors, computes in double, and rounds once to the promoted dtype.

    gamma_velocity(alpha, y, order=1)   y = log z: (dy/dalpha,) at fixed noise
    gamma_tails(alpha, y)               (log P(alpha, z), log Q(alpha, z))
    gamma_quantile(alpha, eps)          y = log z with P(alpha, z) = Phi(eps)
    gamma_draw, inverse_gamma_draw, exp_gamma_draw (alpha, rate, eps, moving=False)
                                        (x,), and where `moving` also dx/dalpha at fixed eps
    dirichlet_draw(alpha, eps, moving=False), dirichlet_pull(gradient, x, rest, field)
                                        rows of one simplex each, in single precision
    beta_velocity(a, b, xi, order=1)    xi = logit x: (dxi/da, dxi/db)
    beta_tails(a, b, xi)                (log I_x(a, b), log(1 - I_x(a, b)))
    beta_hazards(a, b, xi)              (f/I_x, f/(1 - I_x)), f the density of xi
    beta_quantile(a, b, eps)            xi = logit x with I_x(a, b) = Phi(eps)
    beta_draw(a, b, eps, moving=False)  (x,), and where `moving` also dx/da and dx/db at fixed eps
    ratio_draw(m, n, eps, moving=False) the same of z = (n/m) x/(1 - x) in degrees of freedom m = 2a, n = 2b
    student_draw(df, scale, loc, eps, moving=False)
                                        (loc + scale t,), and where `moving` also its derivatives in df and scale
    inverse_gaussian_draw(mu, lambda, eps, moving=False)
                                        (z,), and where `moving` also dz/dmu and dz/dlambda at fixed eps
    inverse_gaussian_quantile(mu, lambda, eps)
    student_velocity, _tails, _quantile    (df, t or eps): t itself
    vonmises_velocity, _tails, _quantile   (kappa, z or eps): z in (-pi, pi)
    fisher_velocity, _tails, _quantile     (d, kappa, xi or eps): xi = atanh(mu.x) on the sphere of R^d
    poisson_quantile(rate, eps), binomial_quantile(n, logit p, eps), negative_binomial_quantile(r, logit p, eps)
                                           smallest count k with F(k) >= Phi(eps)

Order 2 of a velocity returns v_1..v_p, then for each v_j its derivatives in y and in every parameter.
"""

from reparam.kernels.cpu.counts import binomial_quantile, negative_binomial_quantile, poisson_quantile
from reparam.kernels.cpu.dirichlet import dirichlet_draw, dirichlet_pull
from reparam.kernels.cpu.elementwise import elementwise
from reparam.kernels.cpu.families import (
    beta_draw,
    beta_hazards,
    beta_quantile,
    beta_tails,
    beta_velocity,
    gamma_quantile,
    gamma_tails,
    gamma_velocity,
    ratio_draw,
)
from reparam.kernels.cpu.gamma_draws import exp_gamma_draw, gamma_draw, inverse_gamma_draw
from reparam.kernels.cpu.inverse_gaussian import inverse_gaussian_draw, inverse_gaussian_quantile
from reparam.kernels.cpu.spherical import fisher_quantile, fisher_tails, fisher_velocity
from reparam.kernels.cpu.symmetric import (
    student_draw,
    student_quantile,
    student_tails,
    student_velocity,
    vonmises_quantile,
    vonmises_tails,
    vonmises_velocity,
)

__all__ = [
    "beta_draw",
    "beta_hazards",
    "beta_quantile",
    "beta_tails",
    "beta_velocity",
    "binomial_quantile",
    "dirichlet_draw",
    "dirichlet_pull",
    "elementwise",
    "exp_gamma_draw",
    "fisher_quantile",
    "fisher_tails",
    "fisher_velocity",
    "gamma_draw",
    "gamma_quantile",
    "gamma_tails",
    "gamma_velocity",
    "inverse_gamma_draw",
    "inverse_gaussian_draw",
    "inverse_gaussian_quantile",
    "negative_binomial_quantile",
    "poisson_quantile",
    "ratio_draw",
    "student_draw",
    "student_quantile",
    "student_tails",
    "student_velocity",
    "vonmises_quantile",
    "vonmises_tails",
    "vonmises_velocity",
]
