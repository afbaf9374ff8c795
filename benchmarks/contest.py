"""Contestants on equal maps: each in a process of its own, one after the other, one table.

Every process computes on one thread unless its contestant says otherwise. Processor time counts,
which other programs on the machine disturb less than the time on the wall. The digits are
compared: a fast wrong number would be worth nothing.
"""

import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from maps import Maps

COLUMNS: dict[str, Callable[["Measured", "Measured"], str]] = {
    "seconds": lambda row, first: f"{row.seconds:.2f}",
    "on the wall": lambda row, first: f"{row.wall_seconds:.2f}",
    "ms a frame": lambda row, first: f"{row.seconds / row.frames * 1e3:.1f}",
    "ns a pixel": lambda row, first: f"{row.seconds / row.pixels * 1e9:.1f}",
    "frames a second and core": lambda row, first: f"{row.frames / row.seconds:.1f}",
    "ratio": lambda row, first: f"{row.seconds / row.frames / (first.seconds / first.frames):.3g}",
    "peak MB": lambda row, first: f"{row.peak_mb:.0f}",
}
"""What a table may show of a contestant, also relative to the first."""


@dataclass(frozen=True)
class Contestant:
    """One way to get the numbers."""

    numbers: Callable[[Maps], dict[str, float]]
    within: float = 1e-12  # of the first contestant's numbers; inf where they may differ
    package: str = ""  # which it needs and which need not be there
    part: float = 1  # of the frames


@dataclass(frozen=True)
class Contest:
    """A task, its maps, and who takes part; the first sets the numbers and the ratio 1."""

    task: str
    contestants: dict[str, Contestant]
    frames: int  # unless said otherwise
    smooth_px: float = 0
    unit: bool = False
    columns: tuple[str, ...] = ("seconds", "ms a frame", "ns a pixel", "ratio", "peak MB")


@dataclass(frozen=True)
class Measured:
    """What one contestant gave and took."""

    numbers: dict[str, float]
    frames: int
    pixels: int
    seconds: float  # of the processor, over all threads
    wall_seconds: float
    peak_mb: float  # of the whole process, libraries included


def measured(contestant: Contestant, maps: Maps) -> Measured:
    """Numbers, seconds and peak memory of one contestant; call it in a fresh process.

    Two small frames are counted before the clock starts: importing a library is not its work.
    """
    contestant.numbers(Maps(2, 200, 400, 0.01, maps.dtype, maps.smooth_px, maps.unit))
    wall, processor = time.perf_counter(), time.process_time()
    numbers = contestant.numbers(maps)
    return Measured(
        numbers,
        maps.frames,
        maps.frames * maps.height * maps.width,
        time.process_time() - processor - maps.seconds,
        time.perf_counter() - wall - maps.wall_seconds,
        _peak_kib() * 1024 / 1e6,
    )


def _peak_kib() -> int:
    status = Path("/proc/self/status")
    if status.is_file():  # of this program alone; the other also knows the one that started it
        return int(status.read_text().partition("VmHWM:")[2].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def written(measurement: Measured) -> str:
    """One line that `in_a_process_of_its_own` reads back."""
    return json.dumps(asdict(measurement))


def in_a_process_of_its_own(arguments: list[str]) -> Measured:
    """What `measured` returns, from a new process that is given `arguments`, on one thread."""
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, sys.argv[0], *arguments],
        env=os.environ | one_thread,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return Measured(**json.loads(done.stdout))


def held(contest: Contest, names: list[str], measure: Callable[[str], Measured]) -> bool:
    """Prints one Markdown table, a row for each of `names`; returns whether the numbers agree."""
    rows: dict[str, Measured] = {}
    agree = True
    for name in names:
        contestant = contest.contestants[name]
        if contestant.package and importlib.util.find_spec(contestant.package) is None:
            print(
                f"{name} is left out: {contestant.package} is not installed; "
                "pip install -e '.[bench]' -c constraints.txt adds it.",
                file=sys.stderr,
            )
            continue
        rows[name] = row = measure(name)
        first = next(iter(rows.values()))
        if row is first:
            titles = ["frames", *row.numbers, "apart", *contest.columns]
            print("| | " + " | ".join(titles) + " |\n|---" + "|---:" * len(titles) + "|")
        both = [each for each in row.numbers if each in first.numbers]
        apart = max((abs(row.numbers[each] - first.numbers[each]) for each in both), default=0.0)
        agree &= apart <= contestant.within
        numbers = [f"{row.numbers[n]:.12g}" if n in row.numbers else "" for n in first.numbers]
        shown = [COLUMNS[column](row, first) for column in contest.columns]
        comparable = row is not first and both and row.frames == first.frames
        cells = [name, str(row.frames), *numbers, f"{apart:.1e}" if comparable else "", *shown]
        print("| " + " | ".join(cells) + " |", flush=True)
    return agree
