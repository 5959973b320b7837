"""Partial moments of the normal law against quadrature in many digits."""

import math

import mpmath as mp
import pytest
import torch

from reparam.transforms.gaussian_tail import partial_moments

F64 = torch.float64
INF = math.inf
POINTS = [(y, w) for y in (-36.0, -5.5, -0.3, 0.0, 0.2, 2.9, 3.1, 36.0) for w in (1e-8, 0.03, 1.2, 7.0, INF)]


@pytest.mark.parametrize(("y", "w"), [*POINTS, (-36.0, 36.5), (-5.5, 5.4)])
def test_partial_moments_to_many_digits(y, w):
    """int_0^w t^k e^(-y t - t^2/2) dt = e^h A_k, relative to 4e-14 (exponents of 650 are rounded to 1e-13)."""
    h, *moments, edge = (v.item() for v in partial_moments(*torch.tensor([y, w], dtype=F64)))
    with mp.workdps(30):
        top = min(max(-y, 0.0), w)
        end = mp.mpf(w) if w < INF else mp.mpf(top) + 30
        cuts = {min(max(mp.mpf(top) + d, 0), end) for d in (-15, -5, -1, -0.2, -0.02, 0, 0.02, 0.2, 1, 5, 15)}
        cuts = sorted(cuts | {mp.mpf(0), end})
        for k, ours in enumerate(moments):
            right = mp.quad(lambda t, k=k: t**k * mp.exp(-y * t - t * t / 2 - mp.mpf(h)), cuts)
            assert abs(ours / float(right) - 1) < 4e-14
        right = mp.exp(-y * mp.mpf(w) - mp.mpf(w) ** 2 / 2 - mp.mpf(h)) if w < INF else 0
        assert abs(edge - float(right)) <= 4e-13 * float(right)


def test_derivatives_of_partial_moments():
    y = torch.tensor([-6.0, -0.4, 0.3, 4.0, 2.0], dtype=F64, requires_grad=True)
    w = torch.tensor([0.2, 3.0, 0.9, 2.5, 8.0], dtype=F64, requires_grad=True)

    def first(y, w):
        h, A0, A1, A2, _ = partial_moments(y, w)
        return h + A0.log(), A1 / A0, A2 / A0

    assert torch.autograd.gradcheck(first, (y, w), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(first, (y, w))
