"""The configuration of a training run: one frozen record; the command line and TOML files fill it.

Nothing here imports torch, so that `reparam train --help` answers at once.
"""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_origin

MODELS = ("vae",)
NETS = ("auto", "mlp", "conv")
LIKELIHOODS = ("auto", "bernoulli", "gaussian")
PRECISIONS = ("float32", "float64", "bfloat16")
MOST_THREADS = 1024  # far more, and the system ends the process
LARGEST = 1 << 62  # what an int64 and a float32 hold with room to spare


class ConfigError(ValueError):
    """A setting that cannot be used: who, what, got, remedy."""


def setting(default: Any, text: str) -> Any:
    """Declare a field of the configuration with its help text."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the result of a training run."""

    data: str = setting(
        "", "Data: 'digits', an .npy or .npz file (PATH:KEY for one array), or a folder of pictures."
    )
    model: str = setting("vae", "The kind of model.")
    epochs: int = setting(100, "Passes over the training data.")
    seed: int = setting(0, "Seed of everything random: split, weights, order, noise.")
    batch_size: int = setting(128, "Examples per step.")
    lr: float = setting(1e-3, "Learning rate of Adam.")
    latent: int = setting(16, "Latent units.")
    net: str = setting("auto", "mlp, conv, or auto: conv for pictures of 16 pixels or more a side.")
    hidden: tuple[int, ...] = setting(
        (), "Hidden widths, encoder first. Default: 400 (mlp); 32 64 128 (conv)."
    )
    likelihood: str = setting(
        "auto",
        "bernoulli, gaussian (learned scale), or auto by the data. bernoulli binarises grey pictures afresh.",
    )
    beta: float = setting(1.0, "Weight of the KL in what is optimised; 1 is the ELBO.")
    warmup: float = setting(0.0, "Fraction of the run over which the KL weight rises from 0 to beta.")
    free_bits: float = setting(0.0, "Nats of KL per example that are not pressed further.")
    grad_clip: float = setting(0.0, "Largest norm of the gradient; 0 is no clipping.")
    precision: str = setting(
        "float32", "float32, float64, or bfloat16 (nets in bfloat16, weights in float32)."
    )
    device: str = setting("cpu", "cpu, cuda, cuda:1, ...")
    checkpoint_seconds: float = setting(
        5.0, "Least time between checkpoints, which never changes the result."
    )
    threads: int = setting(
        0, "Threads of torch; 0 is torch's own choice. Small models on a busy machine want 1."
    )
    size: int = setting(
        0, "Side in pixels that pictures are brought to; 0 keeps them, or 32 for mixed sizes."
    )

    def __post_init__(self) -> None:
        _check_choices(self)
        for name in ("epochs", "batch_size", "latent"):
            if not 1 <= getattr(self, name) < LARGEST:
                bound = "1 or more" if getattr(self, name) < 1 else "below 2^62"
                raise ConfigError(f"train: {dashed(name)} must be {bound}; got {getattr(self, name)}")
        for name in ("beta", "free_bits", "grad_clip", "size", "threads", "checkpoint_seconds"):
            if not 0 <= getattr(self, name) < LARGEST:
                bound = "below 2^62" if getattr(self, name) >= LARGEST else "0 or more"
                raise ConfigError(f"train: {dashed(name)} must be {bound}; got {getattr(self, name)}")
        if self.threads > MOST_THREADS:
            raise ConfigError(f"train: threads must be {MOST_THREADS} at the most; got {self.threads}")
        if not 0 < self.lr < LARGEST:
            raise ConfigError(f"train: lr must be positive; got {self.lr}")
        if not 0 <= self.warmup <= 1:
            raise ConfigError(f"train: warmup must be a fraction of the run, 0 to 1; got {self.warmup}")
        if not 0 <= self.seed < 1 << 64:
            raise ConfigError(f"train: seed must be in [0, 2^64); got {self.seed}")
        if any(width < 1 for width in self.hidden):
            raise ConfigError(f"train: hidden widths must be 1 or more; got {list(self.hidden)}")

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values fit for JSON."""
        return {**asdict(self), "hidden": list(self.hidden)}


def _check_choices(config: TrainConfig) -> None:
    choices = {"model": MODELS, "net": NETS, "likelihood": LIKELIHOODS, "precision": PRECISIONS}
    for name, allowed in choices.items():
        value = getattr(config, name)
        if value not in allowed:
            raise ConfigError(
                f"train: {dashed(name)} must be {one_of(allowed)}; got {value!r}{meant(value, allowed)}"
            )


def resolve(*layers: Mapping[str, Any]) -> TrainConfig:
    """Return the configuration that layers of settings give, later ones winning."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update(layer)
    return TrainConfig(**merged)


def read_toml(path: str) -> dict[str, Any]:
    """Read settings from a TOML file; keys are the names of the options, with - or _.

    Raises:
        ConfigError: no such file, broken TOML, an unknown key (with a suggestion), a value of another type.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(
            f"config: {path} must be a readable file; {error.strerror}; check the path"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"config: {path} must be TOML; {error}; mend that line") from None
    settings: dict[str, Any] = {}
    for key, value in table.items():
        name, value = _read_key(path, key, value)
        if name in settings:
            raise ConfigError(f"config: {path} sets {dashed(name)} twice, with - and with _; remove one")
        settings[name] = value
    return settings


def from_record(record: Mapping[str, Any], where: str) -> TrainConfig:
    """Return the configuration that a run folder recorded."""
    return resolve(dict(_read_key(where, key, value) for key, value in record.items()))


def _read_key(where: str, key: str, value: Any) -> tuple[str, Any]:
    known = {f.name: f for f in fields(TrainConfig)}
    name = key.replace("-", "_")
    if name not in known:
        raise ConfigError(
            f"config: {where} has the unknown key {key!r}{meant(name, known)}; remove or rename it"
        )
    kind = known[name].type
    if get_origin(kind) is tuple and isinstance(value, list) and all(type(v) is int for v in value):
        return name, tuple(value)
    if kind is float and type(value) is int:
        return name, float(value)
    if type(value) is not kind:
        want = "a list of integers" if get_origin(kind) is tuple else getattr(kind, "__name__", str(kind))
        raise ConfigError(f"config: {where}: {key} must be {want}; got {value!r} ({type(value).__name__})")
    return name, value


def dashed(name: str) -> str:
    """Return a field's name as it is written on the command line."""
    return name.replace("_", "-")


def one_of(words: Any) -> str:
    """Return "a, b or c"."""
    words = list(words)
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def meant(word: str, known: Any) -> str:
    """Return "; did you mean 'x'?" for a word close to a known one, else nothing."""
    close = difflib.get_close_matches(str(word), list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


__all__ = ["ConfigError", "TrainConfig", "from_record", "read_toml", "resolve"]
