"""Kinks and jumps of one draw along a line: where a value is continuous, its own derivative is the one that counts.

    |g(m) - (1 - c) g(a) - c g(b)|,   m = (1 - c) a + c b

is 0 on a straight piece, at most a quarter of the change of slope times b - a where a kink lies inside, and c or 1 - c
of the jump where one does. So cutting the intervals that are not straight makes kinks vanish, and leaves jumps.
"""

from collections.abc import Callable

CUT = 0.382  # c; not a half: what is symmetric around a middle would not show
DEPTH = 20  # cuts: a kink is then 7e-5 of what it was, or less
MOST = 400  # values taken on one line


def jump_variation(g: Callable[[float], float], h: float, slack: float) -> float:
    """Return the sum of the moduli of the jumps of g on [-h, h] that exceed 3 `slack`; inf where there are too many.

    Args:
        g: the value along a line.
        h: half the length, > 0.
        slack: deviation from a straight line that does not matter, > 0; above the rounding error of g.

    Example:
        >>> abs(jump_variation(lambda t: abs(t - 0.3) + 2.0 * (t > 0.1), 1.0, 1e-3) - 2.0) < 1e-3
        True
    """
    stack = [(-h, h, g(-h), g(h), 0)]
    total, taken = 0.0, 2
    while stack:
        a, b, at_a, at_b, depth = stack.pop()
        m = (1 - CUT) * a + CUT * b
        at_m, taken = g(m), taken + 1
        if taken > MOST or not abs(at_m) < float("inf"):
            return float("inf")
        if abs(at_m - (1 - CUT) * at_a - CUT * at_b) <= slack:
            continue
        if depth == DEPTH:
            total += abs(at_b - at_a)
        else:
            stack += [(a, m, at_a, at_m, depth + 1), (m, b, at_m, at_b, depth + 1)]
    return total
