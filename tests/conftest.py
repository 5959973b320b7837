"""One thread per worker: the suite runs in parallel processes already."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def arguments_are_validated():
    """Torch checks arguments by default; compiling a distribution turns that off for the whole process."""
    torch.distributions.Distribution.set_default_validate_args(True)
