"""Speed and memory of the metrics against named peers: the same maps, one run, as ratios.

    python benchmarks/metrics.py --frames 100                      # every contestant
    python benchmarks/metrics.py --frames 1200 --only harness      # one of them

Maps are drawn from a seed, frame by frame, so nothing is stored and memory is the contestant's
own. Drawing is timed apart. Every contestant runs in a process of its own, on one thread, one
after the other; its processor time counts, which other programs on the machine disturb less than
the time on the wall. The digits are compared: a fast wrong number would be worth nothing.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np


@dataclass
class Maps:
    """Score maps and labels, drawn when they are asked for; `seconds` adds up what that took."""

    frames: int
    height: int
    width: int
    share: float  # of anomalous pixels
    dtype: str
    seconds: float = field(default=0.0, init=False)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for index in range(self.frames):
            start = time.process_time()
            drawn = self.draw(index)
            self.seconds += time.process_time() - start
            yield drawn

    def draw(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores around 0, anomalies 2 higher; a bonnet of 5 % ignored, anomalies in one block."""
        rng = np.random.default_rng([20240607, index])
        score = rng.standard_normal((self.height, self.width), dtype=np.float32)
        label = np.zeros((self.height, self.width), np.uint8)
        side = self.share**0.5
        rows, columns = round(side * self.height), round(side * self.width)
        top = int(rng.integers(0, round(0.95 * self.height) - rows + 1))
        left = int(rng.integers(0, self.width - columns + 1))
        label[top : top + rows, left : left + columns] = 1
        label[round(0.95 * self.height) :] = 255
        score[label == 1] += 2
        return score.astype(self.dtype), label


def harness(maps: Maps) -> dict[str, float]:
    """AP, AUROC and FPR95 by two passes over the maps."""
    from harness.metrics import METRICS
    from harness.metrics.pixel import Pivots, PixelCounts, total

    pivots = total(Pivots.of(score, label) for score, label in maps)
    counts = total(PixelCounts.of(score, label, pivots) for score, label in maps)
    return {name: METRICS[name].value(counts) for name in ("AP", "AUROC", "FPR95")}


def scikit_learn(maps: Maps) -> dict[str, float]:
    """AP, AUROC and FPR95 from all pixels that are not ignored, held in memory together."""
    from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

    scores, labels = [], []
    for score, label in maps:
        counted = label < 255
        scores.append(score[counted])
        labels.append(label[counted])
    score, label = np.concatenate(scores), np.concatenate(labels)
    del scores, labels
    # scikit-learn sums in the type of the scores in places; float16 would overflow there.
    score = score.astype(np.float32, copy=False)
    numbers = {
        "AP": float(average_precision_score(label, score)),
        "AUROC": float(roc_auc_score(label, score)),
    }
    fpr, tpr, _ = roc_curve(label, score, drop_intermediate=False)
    return numbers | {"FPR95": float(fpr[np.argmax(tpr >= 0.95)])}


CONTESTANTS: dict[str, Callable[[Maps], dict[str, float]]] = {
    "harness": harness,
    "scikit-learn": scikit_learn,
}


def measure(name: str, maps: Maps) -> dict[str, float]:
    """Numbers, seconds and peak memory of one contestant; call it in a fresh process.

    The first frames are counted once before the clock starts: importing a library is not its work.
    """
    CONTESTANTS[name](Maps(1, 64, 128, 0.01, maps.dtype))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    numbers = CONTESTANTS[name](maps)
    seconds = time.process_time() - start - maps.seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return numbers | {
        "seconds": seconds,
        "drawing": maps.seconds,
        "ns": seconds / (maps.frames * maps.height * maps.width) * 1e9,
        "peak_mb": peak * 1024 / 1e6,
        "start_mb": before * 1024 / 1e6,
    }


def in_a_process_of_its_own(name: str, arguments: list[str]) -> dict[str, float]:
    """What `measure` returns, from a new process on one thread."""
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, __file__, *arguments, "--measure", name],
        env=os.environ | one_thread,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(done.stdout)


def processor() -> str:
    """The name of the processor, as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    """Run the contestants and print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--share", type=float, default=0.01, help="of anomalous pixels")
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32")
    parser.add_argument("--only", choices=CONTESTANTS, action="append")
    parser.add_argument("--measure", choices=CONTESTANTS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    maps = Maps(chosen.frames, chosen.height, chosen.width, chosen.share, chosen.dtype)
    if chosen.measure:
        print(json.dumps(measure(chosen.measure, maps)))
        return

    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scikit-learn"))
    print(
        f"{chosen.frames} maps of {chosen.height}x{chosen.width} {chosen.dtype}, "
        f"{100 * chosen.share:g} % anomalous; {processor()}, {os.cpu_count()} cores, one used; "
        f"Python {platform.python_version()}, {versions}\n"
    )
    print("| | AP | AUROC | FPR95 | seconds | ns a pixel | time / harness | peak MB |")
    print("|---|---|---|---|---|---|---|---|")
    rows = {}
    for name in chosen.only or CONTESTANTS:
        rows[name] = row = in_a_process_of_its_own(name, sys.argv[1:])
        digits = " | ".join(f"{row[metric]:.12f}" for metric in ("AP", "AUROC", "FPR95"))
        ratio = f"{row['seconds'] / rows['harness']['seconds']:.0f}" if "harness" in rows else ""
        print(
            f"| {name} | {digits} | {row['seconds']:.2f} | {row['ns']:.1f} | {ratio} | "
            f"{row['peak_mb']:.0f} |",
            flush=True,
        )
    if len(rows) > 1:
        apart = max(
            abs(row[metric] - rows["harness"][metric])
            for row in rows.values()
            for metric in ("AP", "AUROC", "FPR95")
        )
        print(f"\nLargest difference of a number: {apart:.1e}")
        if apart > 1e-12:
            sys.exit("The contestants do not agree.")


if __name__ == "__main__":
    main()
