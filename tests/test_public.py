"""Public names are promises: they exist, with these signatures."""

import inspect

import pytest

import reparam as rp

SIGNATURES = {
    "expect": "f, q, *, samples, noise, estimator",
    "elbo": "log_density, q, *, prior, kl, beta, free_bits, samples, noise, gradient",
    "iwae": "log_joint, q, *, samples, noise, gradient",
    "functional": "module, example_inputs",
    "draw": "q, sample_shape, *, noise",
    "detach": "q",
    "load": "path",
}
KEYWORDS_OF_FIT = {
    "loss",
    "noise",
    "epochs",
    "batch_size",
    "optimizer",
    "validation",
    "out",
    "resume",
    "overwrite",
}


def shape(function) -> str:
    parts, star = [], False
    for p in inspect.signature(function).parameters.values():
        if p.kind == p.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        parts.append(p.name)
    return ", ".join(parts)


def test_every_public_name_resolves():
    assert len(rp.__all__) <= 50
    for name in rp.__all__:
        assert getattr(rp, name) is not None
    assert set(rp.__all__) <= set(dir(rp))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = rp.nonsense


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name):
    assert shape(getattr(rp, name)) == SIGNATURES[name]


def test_signature_of_fit():
    parameters = inspect.signature(rp.fit).parameters
    assert list(parameters)[:2] == ["module", "data"]
    assert set(parameters) >= KEYWORDS_OF_FIT


def test_noise_interface():
    draws = [
        "bits",
        "uniform",
        "normal",
        "gumbel",
        "exponential",
        "logistic",
        "laplace",
        "cauchy",
        "rademacher",
        "randint",
        "permutation",
    ]
    for name in ("child", "at", "rows", "split", "from_generator", "draw", *draws):
        assert callable(getattr(rp.Noise, name))
    for name in draws:
        parameters = inspect.signature(getattr(rp.Noise, name)).parameters
        assert parameters["device"].kind == inspect.Parameter.KEYWORD_ONLY


def test_model_interface():
    from reparam.models import VAE

    for name in ("encode", "reconstruct", "sample", "log_prob", "elbo"):
        assert callable(getattr(VAE, name))
    assert shape(VAE.sample) == "self, n, *, noise, draw"
    assert shape(VAE.log_prob) == "self, x, *, samples, noise, chunk"


def test_importing_is_light():
    """Neither the package nor the command line's help imports torch."""
    import subprocess
    import sys

    code = "import sys, reparam, reparam.cli; assert 'torch' not in sys.modules, 'torch was imported'"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
