"""Order 2 of the Beta and Student velocities: exact, symmetric, the same in the kernel and in the reference."""

import mpmath as mp
import numpy as np
import torch

from reparam.kernels import cpu, reference
from reparam.kernels.reference.implicit import digamma_gap

F64 = torch.float64


def beta_points(count, low, high, seed):
    rng = np.random.default_rng(seed)
    a, b = (torch.tensor(np.exp(rng.uniform(np.log(low), np.log(high), count))) for _ in range(2))
    return a, b, cpu.beta_quantile(a, b, torch.tensor(rng.normal(size=count) * 2.0))


def scores(a, b, xi):
    """d log f/da and d log f/db, log x + psi(S) - psi(a) and log y + psi(S) - psi(b)."""
    sides = torch.nn.functional.logsigmoid(xi), torch.nn.functional.logsigmoid(-xi)
    return sides[0] + digamma_gap(a, b), sides[1] + digamma_gap(b, a)


def test_order_two_begins_with_order_one():
    points = beta_points(500, 1e-3, 1e7, 1)
    for v, right in zip(cpu.beta_velocity(*points, order=2), cpu.beta_velocity(*points)):
        assert torch.equal(v, right)


def test_mixed_second_derivatives_of_the_distribution_function_are_symmetric():
    """F_ab = -f (v_a,b + v_a d log f/db) = -f (v_b,a + v_b d log f/da)."""
    a, b, xi = beta_points(3000, 1e-3, 1e7, 2)
    of_a, of_b = scores(a, b, xi)
    va, vb, _, _, vab, _, vba, _ = cpu.beta_velocity(a, b, xi, order=2)
    scale = vab.abs() + vba.abs() + (va * of_b).abs() + (vb * of_a).abs()
    log_x, log_y = torch.nn.functional.logsigmoid(xi), torch.nn.functional.logsigmoid(-xi)
    rounding = 1e-15 * ((va * log_y).abs() + (vb * log_x).abs())  # of the scores, differences of logarithms
    assert (((vab + va * of_b - vba - vb * of_a).abs() - rounding) / scale).max() < 1e-12


def test_the_slope_in_xi_is_the_derivative_of_the_density():
    """v_j,xi = -d log f/dtheta_j - v_j d log f/dxi."""
    a, b, xi = beta_points(3000, 1e-3, 1e7, 3)
    slope = a * torch.sigmoid(-xi) - b * torch.sigmoid(xi)
    found = cpu.beta_velocity(a, b, xi, order=2)
    for v, along, score in zip(found[:2], found[2::3], scores(a, b, xi)):
        scale = score.abs() + (v * slope).abs() + v.abs()
        rounding = v.abs() * torch.minimum(a, b) * 1e-15  # of the slope, a difference
        assert (((along + score + v * slope).abs() - rounding) / scale).max() < 1e-12


def test_kernel_and_reference_agree():
    a, b, xi = beta_points(300, 1e-3, 60.0, 4)
    fast, slow = (m.beta_velocity(a, b, xi, order=2) for m in (cpu, reference))
    sizes = (1, 1, 1, a, b, 1, a, b)
    for k, (v, right) in enumerate(zip(fast, slow)):
        scale = torch.maximum(right.abs(), (slow[0] if k in (0, 2, 3, 4) else slow[1]).abs() / sizes[k])
        assert ((v - right).abs() / scale).max() < 5e-12
    for v, right in zip(*(m.beta_hazards(a, b, xi) for m in (cpu, reference))):
        assert torch.allclose(v, right, rtol=1e-11, atol=0)


def student_slopes(nu, t):
    """v, v_t and v_nu of Student's t: v = -F_nu/f, v_t = -f_nu/f - v f_t/f, v_nu = -F_nunu/f - v f_nu/f."""

    def outside(nu):  # P(T > |t|)
        return mp.betainc(nu / 2, mp.mpf(1) / 2, 0, nu / (nu + t**2), regularized=True) / 2

    sign = -1 if t > 0 else 1
    log_f = mp.loggamma((nu + 1) / 2) - mp.loggamma(nu / 2) - mp.log(mp.pi * nu) / 2
    f = mp.exp(log_f - (nu + 1) / 2 * mp.log1p(t**2 / nu))
    bend = (mp.psi(0, (nu + 1) / 2) - mp.psi(0, nu / 2) - 1 / nu - mp.log1p(t**2 / nu)) / 2
    bend += (nu + 1) / 2 * t**2 / (nu * (nu + t**2))
    v = -sign * mp.diff(outside, nu) / f
    return v, -bend + v * (nu + 1) * t / (nu + t**2), -sign * mp.diff(outside, nu, 2) / f - v * bend


def test_student_slopes_against_many_digits():
    points = [
        (0.02, 5.0),
        (0.3, -2.0),
        (1.0, 0.01),
        (4.0, 1.5),
        (19.5, 3.0),
        (20.5, -3.0),
        (20.5, 8.5),
        (20.5, 8.7),
    ]
    points += [(500.0, -4.0), (1e4, 0.3), (1e4, 9.0), (1e6, 2.0)]
    nu, t = (torch.tensor(column, dtype=F64) for column in zip(*points))
    with mp.workdps(60):
        right = [student_slopes(mp.mpf(n), mp.mpf(x)) for n, x in points]
    v, vt, vnu = (torch.tensor([float(r[k]) for r in right], dtype=F64) for k in range(3))
    for module in (cpu, reference):
        found = module.student_velocity(nu, t, order=2)
        assert ((found[0] - v) / v).abs().max() < 1e-12
        assert ((found[1] - vt) / torch.maximum(vt.abs(), (v / t).abs())).abs().max() < 1e-12
        assert ((found[2] - vnu) / torch.maximum(vnu.abs(), (v / nu).abs())).abs().max() < 1e-12
