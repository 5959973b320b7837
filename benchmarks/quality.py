"""Run dieharder over streams of words taken along every coordinate of the address.

    python benchmarks/quality.py [--psamples 40] [--streams rows seeds] [--out benchmarks/results/quality.md]

The streams are those of tests/streams.py: neighbours in a stream differ in one coordinate. First the same tests
read a deliberately broken generator (Philox with 2 rounds), which must fail; then the streams, which must not.

A p-value below 1e-6 is a failure, one in a million of right words; below .005 it is weak. The upper tail is not
judged: dieharder compares its n p-samples with i/(n + 1), which lie nearer to them than their distribution
function does, so right words come above 1 - 1e-6 in .26 % of all tests with n = 20, .06 % with 40, .01 % with 100
(simulated), and words that are too regular show in the p-samples, hence in the lower tail. The exit code is 1 when
a stream fails or the broken generator passes. Its tests 5, 6, 7 ("suspect") and 14 ("do not use") are left out, as
its authors advise.

dieharder is in Debian's package of that name (Brown, Eddelbuettel and Bauer, version 3.31.1).
"""

import argparse
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from subprocess import PIPE
from typing import IO

from streams import STREAMS, chunks

TESTS = {
    0: "birthdays",
    1: "operm5",
    2: "rank 32x32",
    3: "rank 6x8",
    4: "bitstream",
    8: "count of ones, stream",
    9: "count of ones, bytes",
    10: "parking lot",
    11: "minimum distance, 2d",
    12: "minimum distance, 3d",
    13: "squeeze",
    15: "runs",
    16: "craps",
    17: "gcd",
    100: "monobit",
    101: "runs of bits",
    102: "serial",
    202: "permutations",
    204: "Kolmogorov-Smirnov",
    205: "bytes",
    206: "dct",
    207: "fill tree",
    208: "fill tree 2",
    209: "monobit 2",
}
LARGE_TESTS = (205, 206, 207, 208, 209)  # one p-sample of these reads up to 10^8 words
BROKEN_TESTS = (2, 8, 102)


@dataclass(frozen=True)
class Outcome:
    test: int
    ntuple: int
    p_value: float

    @property
    def failed(self) -> bool:
        return self.p_value < 1e-6

    @property
    def weak(self) -> bool:
        return 1e-6 <= self.p_value < 0.005


def main() -> int:
    arguments = parse()
    if which("dieharder") is None:
        print(
            "quality: dieharder must be installed; it is not on PATH; apt-get install dieharder",
            file=sys.stderr,
        )
        return 2
    psamples = dict.fromkeys(TESTS, arguments.psamples) | dict.fromkeys(LARGE_TESTS, arguments.large_psamples)
    broken = [outcome for test in BROKEN_TESTS for outcome in run("broken", test, psamples[test])]
    found = sum(outcome.failed for outcome in broken)
    print(f"broken generator: {found} of {len(broken)} p-values failed")
    if not found:
        print(
            "quality: the battery did not find a broken generator: its verdicts mean nothing", file=sys.stderr
        )
        return 1
    results = {name: battery(name, psamples) for name in arguments.streams}
    if arguments.out is not None:
        arguments.out.write_text(
            table(results, found, len(broken), arguments.psamples, arguments.large_psamples)
        )
    return int(any(outcome.failed for outcomes in results.values() for outcome in outcomes))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--psamples", type=int, default=40, help="p-values behind each one printed")
    parser.add_argument("--large-psamples", type=int, default=8, help="the same for tests 205 to 209")
    parser.add_argument("--streams", nargs="+", default=list(STREAMS), choices=list(STREAMS))
    parser.add_argument("--out", type=Path, help="write a table (Markdown)")
    return parser.parse_args()


def battery(name: str, psamples: dict[int, int]) -> list[Outcome]:
    outcomes = []
    for test, title in TESTS.items():
        made = run(name, test, psamples[test])
        outcomes += made
        print(f"{name:14s} {title:24s} " + " ".join(f"{outcome.p_value:.6f}" for outcome in made), flush=True)
    return outcomes


def run(name: str, test: int, psamples: int) -> list[Outcome]:
    """Return the p-values of one test, of all its n-tuples, on a fresh start of a stream."""
    fields = [part for field in ("test_name", "ntuple", "pvalues") for part in ("-D", field)]
    command = ["dieharder", "-g", "200", "-d", str(test), "-p", str(psamples), "-c", ",", *fields]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        threading.Thread(target=feed, args=(process.stdin, name), daemon=True).start()
        lines = process.stdout.read().decode().splitlines()
    rows = [line.split(",") for line in lines if line.count(",") == 2]
    if process.returncode or not rows:
        raise RuntimeError(f"quality: dieharder -d {test} ended with {process.returncode} and said {lines}")
    return [Outcome(test, int(ntuple), float(p_value)) for _, ntuple, p_value in rows]


def feed(pipe: IO[bytes], name: str) -> None:
    """Write words until the reader has enough and closes the pipe."""
    try:
        for words in chunks(name):
            pipe.write(words.tobytes())
    except (BrokenPipeError, ValueError):  # ValueError: closed on our side, between two chunks
        return


def table(results: dict[str, list[Outcome]], found: int, of: int, psamples: int, large: int) -> str:
    everything = [outcome for outcomes in results.values() for outcome in outcomes]
    lines = [
        "# dieharder over streams along every coordinate of the address",
        "",
        f"Made by `make quality`: {psamples} p-samples behind each p-value, {large} for tests 205 to 209. The broken",
        f"generator (Philox with 2 rounds) failed {found} of {of} p-values of tests "
        f"{', '.join(map(str, BROKEN_TESTS))}. Of the {len(everything)} p-values of our streams "
        f"{sum(o.failed for o in everything)} failed and {sum(o.weak for o in everything)} are weak, below .005 "
        f"({0.005 * len(everything):.0f} expected).",
        "",
        "| test | " + " | ".join(results) + " |",
        "|---|" + "---|" * len(results),
    ]
    for test, title in TESTS.items():
        cells = []
        for outcomes in results.values():
            values = [outcome.p_value for outcome in outcomes if outcome.test == test]
            cells.append(
                f"{values[0]:.4f}" if len(values) == 1 else f"{min(values):.4f} to {max(values):.4f}"
            )
        lines.append(f"| {test} {title} | " + " | ".join(cells) + " |")
    return "\n".join(
        [
            *lines,
            "",
            "A cell with two numbers holds the least and the largest p-value of a test with several. Values near 1",
            "are no failures: the upper tail is not judged, for the reason that the script gives.",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
