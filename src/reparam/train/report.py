"""Pictures and report.html of a run."""

import base64
import html
import io
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.figure import Figure

from reparam.data.files import write_text
from reparam.data.pictures import MODES, grid, pairs, save_picture
from reparam.models import VAE
from reparam.noise import Noise
from reparam.train.folder import RunFolder

if TYPE_CHECKING:
    from reparam.train.job import Prepared

SHOWN = 64


def shows_pictures(model: VAE, kind: str) -> bool:
    """Tell whether data of a kind, and a model of them, can be seen as pictures: values in [0, 1]."""
    return len(model.event) == 3 and model.event[0] in MODES and kind in ("pictures", "binary")


@torch.no_grad()
def write_pictures(run: RunFolder, model: VAE, ready: "Prepared") -> list[str]:
    """Write samples.png and reconstructions.png of a picture model; return their names."""
    if not shows_pictures(model, ready.dataset.kind):
        return []
    samples = model.sample(SHOWN, noise=Noise(ready.config.seed).child("sample"))
    save_picture(grid(samples.float().cpu().clamp(0, 1), columns=16), run.file("samples.png"), who="train")
    test = ready.parts()[2]
    x = test.batch(torch.arange(min(len(test), SHOWN // 2)))
    shown = model.reconstruct(x).float().cpu().clamp(0, 1)
    save_picture(pairs(x.float().cpu(), shown, columns=16), run.file("reconstructions.png"), who="train")
    return ["samples.png", "reconstructions.png"]


def curves(history: list[dict[str, Any]]) -> bytes:
    """Return a PNG of the loss, reconstruction and KL against the epoch."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [r["epoch"] for r in history]
    for axes, names in ((left, ("loss", "validation_loss")), (right, ("kl",))):
        for name in names:
            values = [r.get(name) for r in history]
            if any(v is not None for v in values):
                axes.plot(
                    epochs, [float("nan") if v is None else v for v in values], label=name.replace("_", " ")
                )
        axes.set_xlabel("epoch")
        axes.set_ylabel("nats per example")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def plain(value: Any) -> str:
    """Return a value of a record as people write it."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {plain(part)}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value)) or "auto"
    return str(value)


def write_report(run: RunFolder, history: list[dict[str, Any]], pictures: list[str]) -> None:
    """Write report.html: one file with everything in it, readable anywhere."""

    def picture(content: bytes, title: str) -> str:
        data = base64.b64encode(content).decode()
        return f'<h2>{html.escape(title)}</h2><img alt="{html.escape(title)}" src="data:image/png;base64,{data}">'

    def table(rows: dict[str, Any]) -> str:
        cells = "".join(f"<tr><th>{html.escape(k)}<td>{html.escape(plain(v))}" for k, v in rows.items())
        return f"<table>{cells}</table>"

    titles = {
        "samples.png": "Samples: E[x|z], z from the prior",
        "reconstructions.png": "Test data and reconstructions",
    }
    parts = [picture(curves(history), "Training")] if history else []
    parts += [picture(run.file(name).read_bytes(), titles[name]) for name in pictures]
    notes = "".join(f"<li>{html.escape(note)}" for note in run.record.get("notes", []))
    last = {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in (history[-1] if history else {}).items()}
    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>reparam: {html.escape(run.path.name)}</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}}
img{{max-width:100%}}th{{text-align:left;padding-right:1.5rem;font-weight:normal;color:#666}}
@media(prefers-color-scheme:dark){{body{{background:#181818;color:#ddd}}th{{color:#999}}}}</style>
<h1>{html.escape(run.path.name)}</h1>
<ul>{notes}</ul>
{"".join(parts)}
<h2>Last epoch</h2>{table(last)}
<h2>Configuration</h2>{table(run.record["config"])}
<h2>Environment</h2>{table(run.record.get("environment", {}))}
</html>
"""
    write_text(run.file("report.html"), page, who="train")
