"""The kernels of the symmetric families (Student's t, von Mises) as functions of tensors."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reparam.kernels.cpu import beta, beta_second, cells, student, student_cells, vonmises
from reparam.kernels.cpu import beta_inverse as beta_q
from reparam.kernels.cpu import vonmises_draw as vonmises_series
from reparam.kernels.cpu.cell_draws import fitted, share_student
from reparam.kernels.cpu.elementwise import Kernel, elementwise, promoted
from reparam.kernels.cpu.families import (
    BETA_LEAST,
    BETA_LEVELS,
    BETA_STEPS,
    STEP,
    beta_second_tables,
    series,
    with_slopes,
)
from reparam.kernels.tables import derivative_table, order_table, table

LOG_2 = float(np.log(2.0))
LARGEST = float(np.finfo(np.float64).max)
FINE_STEP = 0.03  # on log tan(z/2) the velocity varies faster


def _half_law(nu: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The Beta law of x = nu/(nu + t^2): a = nu/2, b = 1/2, xi = log(nu/t^2)."""
    size = np.minimum(np.maximum(np.abs(t), 1e-300), LARGEST)
    return 0.5 * nu, np.full_like(nu, 0.5), np.log(nu) - 2.0 * np.log(size)


def _uniform(nu: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """w = log(1 + t^2/nu), and where the uniform expansion holds."""
    with np.errstate(over="ignore"):
        w = np.log1p(t * t / nu)
    return w, (nu >= student.LEAST) & (w < 1.5)


@cache
def _student_velocity(digits: str) -> Kernel:
    name = f"beta_velocity_{digits}"
    constants = (*series(name), table(f"{name}_powers"), BETA_LEAST[digits], BETA_STEPS[digits])

    def kernel(nu: np.ndarray, t: np.ndarray, v: np.ndarray) -> None:
        w, inside = _uniform(nu, t)
        if inside.any():
            part = np.empty(int(inside.sum()))
            student.velocity(nu[inside], w[inside], part, *series(f"student_velocity_{digits}"))
            v[inside] = part
        rest = ~inside
        if rest.any():
            a, b, xi = _half_law(nu[rest], t[rest])
            da, db = np.empty_like(a), np.empty_like(a)
            beta.velocity(a, b, xi, da, db, *constants, BETA_LEVELS[digits])
            v[rest] = 0.5 / nu[rest] - 0.25 * da
        with np.errstate(over="ignore"):  # a derivative may overflow where the number itself does
            v *= t

    return kernel


def _student_second(nu: np.ndarray, t: np.ndarray, v: np.ndarray, vt: np.ndarray, vnu: np.ndarray) -> None:
    """v = t h(nu, s), s = log|t|: v_t = h + h_s, v_nu = t h_nu; h = (1/nu - (1/2) dxi/da)/2 at xi = log nu - 2 s."""
    name = "student_velocity_64"
    h, hs, hnu = np.empty((3, nu.size))
    w, inside = _uniform(nu, t)
    if inside.any():
        rows, lengths = series(name)
        parts = np.empty((3, int(inside.sum())))
        tables = rows, derivative_table(name), order_table(name), lengths
        student.second(nu[inside], w[inside], *parts, *tables)
        h[inside], hs[inside], hnu[inside] = parts
    rest = ~inside
    if rest.any():
        a, b, xi = _half_law(nu[rest], t[rest])
        va, _, vas, vaa, *_ = slopes = np.empty((8, a.size))
        beta_second.velocity(a, b, xi, tuple(slopes), beta_second_tables())
        r = 1.0 / nu[rest]
        h[rest], hs[rest] = 0.5 * r - 0.25 * va, 0.5 * vas
        hnu[rest] = -0.5 * r * r - 0.25 * (0.5 * vaa + r * vas)
    with np.errstate(over="ignore"):
        v[:], vt[:], vnu[:] = t * h, h + hs, t * hnu


def student_velocity(df: Tensor, t: Tensor, order: int = 1) -> tuple[Tensor, ...]:
    """Return v = dt/ddf at fixed noise; order 2 adds dv/dt and dv/ddf."""
    if order == 2:
        return elementwise((_student_second, _student_second), 3, df, t)
    return elementwise((_student_velocity("64"), _student_velocity("32")), 1, df, t)


def _student_tails(nu: np.ndarray, t: np.ndarray, logp: np.ndarray, logq: np.ndarray) -> None:
    low, high = np.empty_like(t), np.empty_like(t)
    constants = (table("mills"), table("log_gamma_1p"), BETA_STEPS["64"], BETA_LEVELS["64"])
    beta_q.tails(*_half_law(nu, t), low, high, *constants)
    near = low - LOG_2
    far = np.log1p(-np.exp(near))
    logp[:], logq[:] = np.where(t < 0, near, far), np.where(t < 0, far, near)


def student_tails(df: Tensor, t: Tensor) -> tuple[Tensor, ...]:
    """Return log F(t; df) and log(1 - F(t; df))."""
    return elementwise((_student_tails, _student_tails), 2, df, t)


def _two_sided(eps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log P(|N| > |eps|) and log P(|N| < |eps|)."""
    size = torch.from_numpy(np.abs(eps))
    outside = torch.special.log_ndtr(-size).numpy() + LOG_2
    inside = torch.erf(size * 0.5**0.5).clamp_min(1e-300).log().numpy()
    return outside, np.where(outside < -1.0, np.log1p(-np.exp(np.minimum(outside, -1.0))), inside)


@cache
def _student_steps(digits: str) -> Any:
    """The t quantile by the uniform expansion and by steps on the Beta law."""
    constants = (table("mills"), table("log_gamma_1p"), BETA_STEPS[digits], BETA_LEVELS[digits], STEP[digits])

    def kernel(nu: np.ndarray, eps: np.ndarray, t: np.ndarray) -> None:
        inside = (nu >= student.LEAST) & (eps * eps < 1.3 * nu)
        if inside.any():
            part = np.empty(int(inside.sum()))
            student.quantile(nu[inside], eps[inside], part, *series(f"student_quantile_{digits}"))
            t[inside] = part
        rest = ~inside
        if rest.any():
            n, e = nu[rest], eps[rest]
            logp, logq = _two_sided(e)
            xi = np.full_like(e, np.nan)
            beta_q.quantile(0.5 * n, np.full_like(n, 0.5), e, logp, logq, xi, *constants)
            with np.errstate(over="ignore"):
                t[rest] = np.where(e == 0, 0.0, np.sign(e) * np.exp(0.5 * (np.log(n) - xi)))

    return kernel


@cache
def _student_exact(digits: str, moving: bool) -> Kernel:
    """z = loc + scale t and, if `moving`, its derivatives in nu and scale, without a fit."""
    steps, velocity = _student_steps(digits), _student_velocity(digits)

    def kernel(nu: np.ndarray, scale: np.ndarray, loc: np.ndarray, eps: np.ndarray, *out: np.ndarray) -> None:
        values = np.empty((1 + moving, nu.size))
        steps(nu, eps, values[0])
        if moving:
            velocity(nu, *values)
        student_cells.move(values[0], values[-1], scale, loc, moving, out[0], out[-2 * moving], out[-1])

    return kernel


def student_quantile(df: Tensor, eps: Tensor) -> Tensor:
    """Return t with F(t; df) = Phi(eps)."""
    return student_draw(df, torch.ones((), dtype=df.dtype), torch.zeros((), dtype=df.dtype), eps)[0]


def student_draw(
    df: Tensor, scale: Tensor, loc: Tensor, eps: Tensor, moving: bool = False
) -> tuple[Tensor, ...]:
    """Return (z,), z = loc + scale t with F(t; df) = Phi(eps); where `moving` also dz/ddf and dz/dscale."""
    tensors, outputs = (df, scale, loc, eps), 3 if moving else 1
    if promoted(*tensors)[1] == torch.float64:
        return elementwise((_student_exact("64", moving),) * 2, outputs, *tensors)
    settings = moving, cells.fit("student_cells")
    return fitted(share_student, settings, _student_exact("32", moving), outputs, *tensors)


@cache
def _vonmises_velocity(digits: str, order: int) -> Any:
    constants = series(f"vonmises_velocity_{digits}")

    def first(kappa: np.ndarray, z: np.ndarray, v: np.ndarray) -> None:
        vonmises.velocity(kappa, z, v, *constants)

    def logarithmic(kappa: np.ndarray, s: np.ndarray, v: np.ndarray) -> None:
        # on s = log tan(z/2), where the law has no edge: ds = dz/sin z
        z = 2.0 * np.arctan(np.exp(s))
        vonmises.velocity(kappa, z, v, *constants)
        v /= np.sin(z)

    def second(kappa: np.ndarray, z: np.ndarray, v: np.ndarray, vz: np.ndarray, vk: np.ndarray) -> None:
        # v = h(kappa, s) sin z: v_z = h_s + h cos z, v_kappa = h_kappa sin z
        size = np.minimum(np.maximum(np.abs(z), 1e-100), np.nextafter(np.pi, 0))
        h, sine = np.empty_like(v), np.sin(size) * np.sign(z)
        with_slopes(logarithmic, 1, FINE_STEP)(kappa, np.log(np.tan(0.5 * size)), h, vz, vk)
        v[:], vz[:], vk[:] = h * sine, vz + h * np.cos(size), vk * sine

    return first if order == 1 else second


def vonmises_velocity(kappa: Tensor, z: Tensor, order: int = 1) -> tuple[Tensor, ...]:
    """Return v = dz/dkappa at fixed noise, z in (-pi, pi); order 2 adds dv/dz and dv/dkappa."""
    kernels = (_vonmises_velocity("64", order), _vonmises_velocity("32", order))
    return elementwise(kernels, 1 if order == 1 else 3, kappa, z)


def vonmises_tails(kappa: Tensor, z: Tensor) -> tuple[Tensor, ...]:
    """Return log F(z; kappa) and log(1 - F(z; kappa)), z in (-pi, pi)."""
    return elementwise((vonmises.tails, vonmises.tails), 2, kappa, z)


@cache
def _vonmises_quantile(digits: str) -> Any:
    constants = (*series(f"vonmises_quantile_{digits}"), table("mills"))

    def kernel(kappa: np.ndarray, eps: np.ndarray, z: np.ndarray) -> None:
        centre = 0.5 * torch.erf(torch.from_numpy(np.abs(eps) * 0.5**0.5)).numpy()
        vonmises.quantile(kappa, eps, z, *constants, centre, STEP[digits])

    return kernel


def vonmises_quantile(kappa: Tensor, eps: Tensor) -> Tensor:
    """Return z in (-pi, pi) with F(z; kappa) = Phi(eps)."""
    return elementwise((_vonmises_quantile("64"), _vonmises_quantile("32")), 1, kappa, eps)[0]


def vonmises_draw(kappa: np.ndarray, eps: np.ndarray, z: np.ndarray, v: np.ndarray) -> None:
    """Fill z with F(z; kappa) = Phi(eps) and v = dz/dkappa; float32 arrays."""
    other = np.empty(eps.size, np.int64)
    count = vonmises_series.draw32(kappa, eps, z, v, other)
    if count:
        rest = other[:count]
        k = torch.from_numpy(kappa[rest]).double()
        point = vonmises_quantile(k, torch.from_numpy(eps[rest]).double())
        z[rest], v[rest] = point.numpy(), vonmises_velocity(k, point)[0].numpy()
