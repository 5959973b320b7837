"""Incomplete functions, normal tails, Bessel ratios: values, inverses, derivatives."""

import mpmath as mp
import numpy as np
import pytest
import torch

from reparam import special as S

F64 = torch.float64


def t(*values):
    return torch.tensor(values, dtype=F64)


def relative(got, right):
    return np.abs(got.numpy() / np.array([float(r) for r in right]) - 1.0).max()


def test_incomplete_gamma_values():
    cases = [(0.3, 0.1), (0.01, 2.0), (2.0, 3.0), (50.0, 30.0), (50.0, 90.0), (4000.0, 4100.0)]
    a, x = t(*(c[0] for c in cases)), t(*(c[1] for c in cases))
    with mp.workdps(40):
        lower = [mp.gammainc(mp.mpf(p), 0, mp.mpf(q), regularized=True) for p, q in cases]
        upper = [mp.gammainc(mp.mpf(p), mp.mpf(q), regularized=True) for p, q in cases]
    assert relative(S.gammainc(a, x), lower) < 5e-12
    assert relative(S.gammaincc(a, x), upper) < 5e-12
    assert torch.allclose(S.gammaincinv(a, S.gammainc(a, x)), x, rtol=1e-9)
    assert torch.allclose(S.gammainccinv(a, S.gammaincc(a, x)), x, rtol=1e-9)


def test_incomplete_beta_values():
    cases = [(0.3, 2.0, 0.1), (2.0, 0.01, 0.5), (5.0, 3.0, 0.9), (200.0, 300.0, 0.45), (0.05, 30.0, 0.02)]
    a, b, x = (t(*column) for column in zip(*cases))
    with mp.workdps(40):
        right = [mp.betainc(*map(mp.mpf, c[:2]), 0, mp.mpf(c[2]), regularized=True) for c in cases]
    assert relative(S.betainc(a, b, x), right) < 5e-12
    assert torch.allclose(S.betaincinv(a, b, S.betainc(a, b, x)), x, rtol=1e-9)


def test_incomplete_functions_differentiate_twice_in_every_argument():
    a, x = t(0.4, 6.0).requires_grad_(), t(0.7, 4.0).requires_grad_()
    for f in (S.gammainc, S.gammaincc):
        assert torch.autograd.gradcheck(f, (a, x), check_forward_ad=True)
        assert torch.autograd.gradgradcheck(f, (a, x))
    p = t(0.2, 0.7).requires_grad_()
    assert torch.autograd.gradgradcheck(S.gammaincinv, (a, p))
    b, u = t(2.0, 0.6).requires_grad_(), t(0.3, 0.8).requires_grad_()
    assert torch.autograd.gradcheck(S.betainc, (a, b, u), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(S.betainc, (a, b, u))
    assert torch.autograd.gradgradcheck(S.betaincinv, (a, b, p))


def test_normal_tails_and_inverse():
    x = np.concatenate([np.linspace(-37.0, 8.0, 46), [-1e3, -1e5]])
    with mp.workdps(40):
        right = [mp.log(mp.ncdf(mp.mpf(v))) if v < 5 else mp.log1p(-mp.ncdf(-mp.mpf(v))) for v in x[:-2]]
        right += [mp.log(mp.erfc(-mp.mpf(v) / mp.sqrt(2)) / 2) for v in x[-2:]]
    logs = t(*(float(r) for r in right))
    assert relative(S.log_ndtr(torch.tensor(x)), right) < 1e-13
    assert np.abs(S.ndtri_exp(logs).numpy() - x).max() / 1e5 < 1e-15
    assert np.abs(S.ndtri_exp(logs).numpy()[:-2] - x[:-2]).max() < 1e-13
    p = t(-5.0, -2.0, -0.8, -0.45, -0.01).requires_grad_()
    assert torch.autograd.gradgradcheck(S.ndtri_exp, (p,), eps=1e-6)
    assert torch.allclose(S.ndtr(S.ndtri(t(1e-200, 0.3))), t(1e-200, 0.3), rtol=1e-11, atol=0.0)


def test_bessel_ratio_and_logarithm():
    orders, kappas = (0.5, 1.0, 1.5, 7.3, 300.0), (1e-3, 0.7, 30.0, 5e4)
    cases = [(n, k) for n in orders for k in kappas]
    n, k = t(*(c[0] for c in cases)), t(*(c[1] for c in cases))
    with mp.workdps(40):
        ratio = [mp.besseli(mp.mpf(p), mp.mpf(q)) / mp.besseli(mp.mpf(p) - 1, mp.mpf(q)) for p, q in cases]
        logs = [mp.log(mp.besseli(mp.mpf(p), mp.mpf(q))) - mp.mpf(q) for p, q in cases]
    assert relative(S.bessel_ratio(n, k), ratio) < 1e-14
    error = np.abs(S.log_ive(n, k).numpy() - np.array([float(v) for v in logs]))
    assert (error / np.maximum(1.0, np.abs([float(v) for v in logs]))).max() < 1e-13
    args = (t(0.6, 1.5, 30.0).requires_grad_(), t(0.3, 4.0, 50.0).requires_grad_())
    for f in (S.bessel_ratio, S.log_iv):
        assert torch.autograd.gradcheck(f, args, check_forward_ad=True)
        assert torch.autograd.gradgradcheck(f, args)


def test_single_precision_is_rounded_once():
    a, x = torch.tensor([0.3, 5.0, 900.0]), torch.tensor([0.2, 7.0, 950.0])
    assert torch.equal(S.gammainc(a, x), S.gammainc(a.double(), x.double()).float())


def test_integers_are_refused():
    with pytest.raises(TypeError, match="floating point"):
        S.gammainc(torch.tensor(2), torch.tensor(3))
