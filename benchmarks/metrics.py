"""Speed and memory of the metrics against named peers: the same maps, one run, as ratios.

    python benchmarks/metrics.py                                      # every contest, a few minutes
    python benchmarks/metrics.py pixels --frames 100                  # one of them, at full size
    python benchmarks/metrics.py pixels --frames 1200 --only harness  # one contestant

Maps are drawn from a seed, frame by frame, so nothing is stored and memory is the contestant's
own. Drawing is timed apart. README.md holds what was measured.
"""

import argparse
import os
import platform
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from contest import Contest, Measured, held, in_a_process_of_its_own, measured, written
from maps import Maps

CONTESTS = {
    "pixels": "pixels",
    "torchmetrics": "pixels",
    "components": "components",
    "bootstrap": "bootstrap",
    "evaluation": "evaluation",
    "memory": "evaluation",
}
"""Contest -> the module beside this one that holds it, loaded only for it: memory is measured."""


def contest_of(name: str) -> Contest:
    """The contest of this name."""
    found: Contest = getattr(import_module(CONTESTS[name]), name.upper())
    return found


def processor() -> str:
    """The name of the processor, as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    """Hold the chosen contests, or all of them, and print a Markdown table of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("contest", nargs="?", choices=CONTESTS, help="default: all of them")
    parser.add_argument("--frames", type=int, help="default: what a minute allows")
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--share", type=float, default=0.01, help="of anomalous pixels")
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32")
    parser.add_argument("--only", action="append", help="a contestant; may be repeated")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    chosen = parser.parse_args()

    def maps(contest: Contest, part: float) -> Maps:
        frames = max(2, round((chosen.frames or contest.frames) * part))
        size = chosen.height, chosen.width
        return Maps(frames, *size, chosen.share, chosen.dtype, contest.smooth_px, contest.unit)

    if chosen.measure:
        contest = contest_of(chosen.contest)
        contestant = contest.contestants[chosen.measure]
        print(written(measured(contestant, maps(contest, contestant.part))))
        return

    libraries = ("numpy", "scipy", "scikit-learn")
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    print(
        f"{processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, {versions}; "
        f"maps of {chosen.height}x{chosen.width} {chosen.dtype}, {100 * chosen.share:g} % anomalous"
    )
    agree = True
    for name in [chosen.contest] if chosen.contest else CONTESTS:
        contest = contest_of(name)
        print(f"\n{name}: {contest.task}\n")
        own = [] if chosen.contest else [name]

        def measure(contestant: str, own: list[str] = own) -> Measured:
            return in_a_process_of_its_own([*own, *sys.argv[1:], "--measure", contestant])

        agree &= held(contest, chosen.only or list(contest.contestants), measure)
    if not agree:
        sys.exit("They do not agree.")


if __name__ == "__main__":
    main()
