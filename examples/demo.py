"""The main job from end to end: train a VAE on the embedded digits, evaluate it, sample and reconstruct.

Started by `make demo`. Everything lands in runs/demo, inside this folder's parent.
"""

import sys
import time
from pathlib import Path

from reparam.cli import main

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / "runs" / "demo"

# binarised afresh at each step, the likelihood is a probability and has bits per dimension; a model this small
# gains nothing from a second thread
SETTINGS = [
    "--likelihood",
    "bernoulli",
    "--latent",
    "8",
    "--lr",
    "0.002",
    "--epochs",
    "200",
    "--threads",
    "1",
]
STEPS = [
    ["train", "vae", "--data", "digits", *SETTINGS, "--out", str(RUN), "--overwrite"],
    ["evaluate", str(RUN), "--samples", "500"],
    ["sample", str(RUN), "-n", "64", "--seed", "1", "--out", str(RUN / "samples-1.png"), "--overwrite"],
    ["reconstruct", str(RUN), "--out", str(RUN / "reconstructions-test.png"), "--overwrite"],
]

if __name__ == "__main__":
    started = time.monotonic()
    for arguments in STEPS:
        shown = ["reparam", *(a.replace(f"{ROOT}/", "") for a in arguments)]
        print(f"\n$ {' '.join(shown)}", flush=True)
        code = main(arguments)
        if code:
            sys.exit(code)
    print(f"\nDone in {time.monotonic() - started:.0f} seconds. Everything is in {RUN}:")
    for file in sorted(RUN.iterdir()):
        print(f"  {file.name}")
    print(f"Open {RUN / 'report.html'} in a browser.")
