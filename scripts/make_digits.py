"""Make src/reparam/data/digits.npz from scikit-learn's copy of the UCI digits.

Run ``python scripts/make_digits.py`` with scikit-learn installed. The file has two arrays, x (1797, 8, 8)
and y (1797,), both uint8, and its bytes depend on nothing but numpy and zlib. The numbers are unchanged: only
their dtype (float64 -> uint8, exact for 0 .. 16) and the container differ from scikit-learn's.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TARGET = Path(__file__).parents[1] / "src" / "reparam" / "data" / "digits.npz"


def main() -> None:
    digits = load_digits()
    x, y = digits.images.astype(np.uint8), digits.target.astype(np.uint8)
    if not (np.array_equal(x, digits.images) and np.array_equal(y, digits.target)):
        raise ValueError(
            "make_digits: the digits must be integers from 0 to 16; got others; check scikit-learn"
        )
    np.savez_compressed(TARGET, x=x, y=y)
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
