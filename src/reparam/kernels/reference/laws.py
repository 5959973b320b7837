"""The base laws as maps of random words: the definition, in float64, rounded once.

A number of n bits (n = 32, or 64 for float64) is read as a centred integer s in [-2^(n-1), 2^(n-1)), so that

    u = 1/2 + y            y = (s + 1/2) 2^-n
    p = min(u, 1 - u)        = (m + 1/2) 2^-n,   m = min(s + 2^(n-1), 2^(n-1) - 1 - s)

and both y and p keep their full relative precision: no tail is lost, and the number of the complemented word
is exactly 1 - u. Every law is F^{-1}(u), increasing in u.

The normal map uses +, -, *, / and sqrt alone, hence gives the same bits on every CPU.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

# Made by scripts/fit_normal.py, which states the form. Relative errors of the exact quotients: below 1e-16.
CENTRE_TOP = (
    4.856508936238101,
    -208.2811958028718,
    3472.3800992650545,
    -28536.10282610209,
    121236.63940609839,
    -255820.53038009763,
    234556.8825243964,
    -66522.94282407007,
    606.2056247714506,
)
CENTRE_BOTTOM = (
    1.0,
    -48.869969280510304,
    956.6460881967321,
    -9624.133036978394,
    53179.90886270352,
    -160291.11478835501,
    246790.9819551233,
    -166966.0365148079,
    34438.05957007137,
)
TAIL_EDGES = (3.783184333682032, 5.664473168396443, 9.135235371872875, 15.064998393988725, 25.28720032315741)
TAIL_Z = (1.6875, 2.3125, 3.125, 4.25, 5.75, 7.75)
TAIL_L_HIGH = (
    3.0844842562630475,
    4.568349209703584,
    7.025384864915545,
    11.446339749365848,
    19.227630092220455,
    33.01388872274309,
)
TAIL_L_LOW = (
    -1.0672010578428566e-16,
    -1.987157621090053e-16,
    1.545803509776121e-16,
    -5.801574097196647e-16,
    9.375649348777446e-16,
    -2.7647643205748236e-15,
)
TAIL_TOP = (
    (
        0.47629512896051,
        0.3769726835829615,
        0.2941592970402893,
        0.2239905946538288,
        0.16907015040769408,
        0.12698323748543697,
    ),
    (
        0.42633312065138496,
        0.22793784405033699,
        0.11516971255721681,
        0.05376640046169121,
        0.02419881893766776,
        0.01052063520605938,
    ),
    (
        0.14176881613849612,
        0.051204520664802834,
        0.0167364216871594,
        0.0047891315525575955,
        0.0012857377067426914,
        0.0003231805847611761,
    ),
    (
        0.021475508264664277,
        0.005240378838785434,
        0.0011065717206321052,
        0.0001940245498257953,
        3.108804564415189e-05,
        4.510564243019618e-06,
    ),
    (
        0.0014485392176429527,
        0.00023882477211520644,
        3.252036120079236e-05,
        3.4924333351008216e-06,
        3.3421805360451367e-07,
        2.7928123424846626e-08,
    ),
    (
        3.502222573691217e-05,
        3.9019404465855135e-06,
        3.417025972496345e-07,
        2.246269834394361e-08,
        1.285295887293127e-09,
        6.165834109074455e-11,
    ),
    (
        1.3330147334960886e-07,
        1.0040785654523463e-08,
        5.632915374210958e-10,
        2.2650556779913646e-11,
        7.762480512728734e-13,
        2.1275411640838428e-14,
    ),
)
TAIL_BOTTOM = (
    (1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    (
        0.9932288208258727,
        0.6687788121055884,
        0.4318976777229058,
        0.26405863862985607,
        0.1570521837870535,
        0.09079053734359133,
    ),
    (
        0.37717153039311746,
        0.1709241495573864,
        0.0711975648781718,
        0.02659905226372748,
        0.009409954390451985,
        0.0031410749961718895,
    ),
    (
        0.06825239575825191,
        0.02080409489214716,
        0.005580516481791767,
        0.0012730924504099823,
        0.00026792966511152193,
        5.156544573149248e-05,
    ),
    (
        0.005949926352528797,
        0.001218850241043263,
        0.00021008735723959836,
        2.924091145703777e-05,
        3.6618021273238178e-06,
        4.0552859738493677e-07,
    ),
    (
        0.00021975383228636946,
        3.021878738845874e-05,
        3.3368951970758277e-06,
        2.8303348956297305e-07,
        2.109843010718443e-08,
        1.340861737071587e-09,
    ),
    (
        2.284654700960955e-06,
        2.105176428705103e-07,
        1.4826913046446623e-08,
        7.651460886632314e-10,
        3.397132480565321e-11,
        1.2341106463656928e-12,
    ),
)
CENTRE_SHIFT, CENTRE_EDGE = 0.18, 0.425
ROOT_2PI_HIGH, ROOT_2PI_LOW = 2.5066282746310007, -1.8328579980459167e-16

LN2_HIGH, LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
ATANH = tuple(2.0 / (2 * k + 1) for k in range(1, 13))

# bits of a uniform: one less than the significand, so that k + 1/2 is exact and 0 and 1 are never reached
UNIFORM_BITS = {torch.float64: 52, torch.float32: 23, torch.float16: 10, torch.bfloat16: 7}


def words_per_number(law: str, dtype: torch.dtype) -> int:
    """Return how many 32-bit words one number takes: two for float64 and for 64-bit integers, else one."""
    return 2 if dtype == torch.float64 or law == "bits64" else 1


def centred(words: Tensor) -> tuple[Tensor, int]:
    """Return the centred integer s (int64) and its number of bits, from words of shape (..., 1 or 2)."""
    if words.shape[-1] == 1:
        return words[..., 0] - (1 << 31), 32
    return (words[..., 1] ^ 0x80000000) << 32 | words[..., 0], 64


def places(words: Tensor) -> tuple[Tensor, Tensor]:
    """Return y = u - 1/2 and p = min(u, 1 - u) in float64, each with its full relative precision."""
    s, bits = centred(words)
    half = 1 << (bits - 1)
    m = torch.where(s < 0, s + (half if bits == 32 else -half), half - 1 - s)
    away = torch.where(s < 0, -1 - s, s)  # |y| = (away + 1/2) 2^-n: rounded alike on both sides
    y = torch.where(s < 0, -1.0, 1.0).to(torch.float64) * ((away.to(torch.float64) + 0.5) * 2.0**-bits)
    return y, (m.to(torch.float64) + 0.5) * 2.0**-bits


def polynomial(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    """Return sum_k c_k x^k by Horner's rule, multiplication and addition rounded apart."""
    value = torch.full_like(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        value = value * x + c
    return value


def log(x: Tensor) -> Tensor:
    """Return log x for normal positive float64, within 1 ulp away from x = 1, by elementary operations alone.

    x = 2^e m with m in [sqrt(1/2), sqrt(2)), a = (m - 1)/(m + 1), log m = 2 atanh(a).
    """
    m, e = torch.frexp(x)
    small = m < math.sqrt(0.5)
    m, e = torch.where(small, m * 2, m), torch.where(small, e - 1, e).to(x.dtype)
    a = (m - 1) / (m + 1)
    square = a * a
    return e * LN2_HIGH + (a * 2 + (a * square * polynomial(square, ATANH) + e * LN2_LOW))


def normal(words: Tensor) -> Tensor:
    """Return Phi^{-1}(u) in float64."""
    y, p = places(words)
    t = y * y
    x = t - CENTRE_SHIFT
    curve = t * (polynomial(x, CENTRE_TOP) / polynomial(x, CENTRE_BOTTOM))
    centre = y * ROOT_2PI_HIGH + y * (curve + ROOT_2PI_LOW)
    return torch.where(y.abs() <= CENTRE_EDGE, centre, torch.copysign(normal_tail(p), y))


def normal_tail(p: Tensor) -> Tensor:
    """Return |z| = z_i + d C_i(d)/D_i(d), d = L - L_i, L = -log p, in piece i."""
    L = -log(p)
    piece = torch.bucketize(L.contiguous(), torch.tensor(TAIL_EDGES, dtype=p.dtype, device=p.device))

    def table(row: tuple[float, ...]) -> Tensor:
        return torch.tensor(row, dtype=p.dtype, device=p.device)[piece]

    d = (L - table(TAIL_L_HIGH)) - table(TAIL_L_LOW)
    top, bottom = table(TAIL_TOP[-1]), table(TAIL_BOTTOM[-1])
    for c_top, c_bottom in zip(TAIL_TOP[-2::-1], TAIL_BOTTOM[-2::-1]):
        top, bottom = top * d + table(c_top), bottom * d + table(c_bottom)
    return table(TAIL_Z) + d * (top / bottom)


def log_lower(words: Tensor) -> Tensor:
    """Return log u in float64."""
    y, p = places(words)
    return torch.where(y < 0, torch.log(p), torch.log1p(-p))


def exponential(words: Tensor) -> Tensor:
    """Return -log(1 - u) in float64."""
    y, p = places(words)
    return torch.where(y < 0, -torch.log1p(-p), -torch.log(p))


def gumbel(words: Tensor) -> Tensor:
    """Return -log(-log u) in float64."""
    return -torch.log(-log_lower(words))


def logistic(words: Tensor) -> Tensor:
    """Return log(u / (1 - u)) = sign(y) log1p(2 |y| / p) in float64."""
    y, p = places(words)
    return torch.copysign(torch.log1p(2 * y.abs() / p), y)


def laplace(words: Tensor) -> Tensor:
    """Return -sign(y) log(1 - 2 |y|) = -sign(y) log(2 p) in float64."""
    y, p = places(words)
    size = torch.where(y.abs() < 0.25, -torch.log1p(-2 * y.abs()), -torch.log(2 * p))
    return torch.copysign(size, y)


def cauchy(words: Tensor) -> Tensor:
    """Return tan(pi y) = sign(y) / tan(pi p) in float64."""
    y, p = places(words)
    size = torch.where(y.abs() < 0.25, torch.tan(math.pi * y.abs()), 1 / torch.tan(math.pi * p))
    return torch.copysign(size, y)


def rademacher(words: Tensor) -> Tensor:
    """Return -1 or +1 with probability 1/2 each: the sign of u - 1/2."""
    s, _ = centred(words)
    return torch.where(s < 0, -1.0, 1.0).to(torch.float64)


def uniform(words: Tensor, dtype: torch.dtype) -> Tensor:
    """Return u in the open interval (0, 1), on the grid (k + 1/2) 2^-b that the dtype holds exactly."""
    bits = UNIFORM_BITS[dtype]
    s, width = centred(words)
    k = (s >> (width - bits)) + (1 << (bits - 1))
    return ((k.to(torch.float64) + 0.5) * 2.0**-bits).to(dtype)


LAWS: dict[str, Callable[[Tensor], Tensor]] = {
    "normal": normal,
    "exponential": exponential,
    "gumbel": gumbel,
    "logistic": logistic,
    "laplace": laplace,
    "cauchy": cauchy,
    "rademacher": rademacher,
}


def from_words(law: str, words: Tensor, dtype: torch.dtype) -> Tensor:
    """Return numbers of a law and dtype from words of shape (..., words per number)."""
    if law == "bits":
        return words[..., 0].to(dtype)
    if law == "bits64":
        return words[..., 1] << 32 | words[..., 0]
    if law == "uniform":
        return uniform(words, dtype)
    value = LAWS[law](words)
    # float16 and bfloat16 are rounded from float32, as every back end does
    return value.to(torch.float32).to(dtype) if dtype in (torch.float16, torch.bfloat16) else value.to(dtype)
