"""Speed and memory of the metrics against named peers: the same maps, one run, as ratios.

    python benchmarks/metrics.py pixels --frames 100                  # every contestant
    python benchmarks/metrics.py pixels --frames 1200 --only harness  # one of them
    python benchmarks/metrics.py components --frames 5

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
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.ndimage import label as connected


@dataclass
class Maps:
    """Score maps and labels, drawn when they are asked for; `seconds` adds up what that took."""

    frames: int
    height: int
    width: int
    share: float  # of anomalous pixels
    dtype: str
    smooth_px: float = 0  # width of the Gaussian that makes blobs of the noise
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
        if self.smooth_px:
            score = gaussian_filter(score, self.smooth_px)
            score /= score.std()
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


THRESHOLD = 1.45  # of smoothed noise: about 2,000 predicted components in 1024x2048


def harness_components(maps: Maps) -> dict[str, float]:
    """Mean sIoU, mean PPV and F1* by runs."""
    from harness.metrics import component
    from harness.metrics.pixel import total

    counts = total(
        component.ComponentCounts.of(score, label, THRESHOLD, component.OBSTACLE_TRACK)
        for score, label in maps
    )
    return {
        "sIoU": component.mean_siou(counts),
        "PPV": component.mean_ppv(counts),
        "F1*": component.f1_star(counts),
    }


def loops_over_components(maps: Maps) -> dict[str, float]:
    """The same, as the definition reads: for each component, masks of the whole frame."""
    smallest_predicted, smallest_labelled, eight = 50, 10, np.ones((3, 3), int)
    siou, ppv = [], []
    for score, label in maps:
        predicted, how_many = connected((score >= THRESHOLD) & (label != 255), eight)
        for p in range(1, how_many + 1):
            if np.count_nonzero(predicted == p) < smallest_predicted:
                predicted[predicted == p] = 0
        labelled, how_many = connected(label == 1, eight)
        for k in range(1, how_many + 1):
            if np.count_nonzero(labelled == k) < smallest_labelled:
                predicted[labelled == k] = 0
                labelled[labelled == k] = 0
        for k in np.unique(labelled[labelled > 0]):
            this = labelled == k
            touching = np.isin(predicted, np.unique(predicted[this & (predicted > 0)]))
            union = (this | touching) & ~((labelled > 0) & ~this & touching)
            siou.append(np.count_nonzero(this & touching) / np.count_nonzero(union))
        for p in np.unique(predicted[predicted > 0]):
            this = predicted == p
            ppv.append(np.count_nonzero(this & (labelled > 0)) / np.count_nonzero(this))
    f1 = []
    for tau in range(25, 80, 5):
        tp = np.count_nonzero(100 * np.array(siou) >= tau)
        fp = np.count_nonzero(100 * np.array(ppv) < tau)
        f1.append(2 * tp / (tp + len(siou) + fp))
    return {
        "sIoU": float(np.mean(siou)),
        "PPV": float(np.mean(ppv)),
        "F1*": float(np.mean(f1)),
    }


CONTESTS: dict[str, dict[str, Callable[[Maps], dict[str, float]]]] = {
    "pixels": {"harness": harness, "scikit-learn": scikit_learn},
    "components": {"harness": harness_components, "loops": loops_over_components},
}


def measure(
    contestant: Callable[[Maps], dict[str, float]], maps: Maps
) -> dict[str, float | dict[str, float]]:
    """Numbers, seconds and peak memory of one contestant; call it in a fresh process.

    A small frame is counted before the clock starts: importing a library is not its work.
    """
    contestant(Maps(1, 200, 400, 0.01, maps.dtype, maps.smooth_px))
    start = time.process_time()
    numbers = contestant(maps)
    seconds = time.process_time() - start - maps.seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "numbers": numbers,
        "seconds": seconds,
        "ms_a_frame": seconds / maps.frames * 1e3,
        "ns_a_pixel": seconds / (maps.frames * maps.height * maps.width) * 1e9,
        "peak_mb": peak * 1024 / 1e6,
    }


def in_a_process_of_its_own(name: str, arguments: list[str]) -> dict[str, Any]:
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
    parser.add_argument("contest", choices=CONTESTS)
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--share", type=float, default=0.01, help="of anomalous pixels")
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32")
    parser.add_argument("--only", action="append", help="a contestant; may be repeated")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    contestants = CONTESTS[chosen.contest]
    smooth_px = 4.0 if chosen.contest == "components" else 0.0
    maps = Maps(chosen.frames, chosen.height, chosen.width, chosen.share, chosen.dtype, smooth_px)
    if chosen.measure:
        print(json.dumps(measure(contestants[chosen.measure], maps)))
        return

    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "scikit-learn"))
    print(
        f"{chosen.contest}: {chosen.frames} maps of {chosen.height}x{chosen.width} {chosen.dtype}, "
        f"{100 * chosen.share:g} % anomalous; {processor()}, {os.cpu_count()} cores, one used; "
        f"Python {platform.python_version()}, {versions}\n"
    )
    rows: dict[str, dict[str, Any]] = {}
    for name in chosen.only or contestants:
        rows[name] = row = in_a_process_of_its_own(name, sys.argv[1:])
        first = next(iter(rows.values()))
        if row is first:
            titles = [*row["numbers"], "seconds", "ms a frame", "ns a pixel", "ratio", "peak MB"]
            print("| | " + " | ".join(titles) + " |\n|---" + "|---:" * len(titles) + "|")
        print(
            f"| {name} | "
            + "".join(f"{number:.12f} | " for number in row["numbers"].values())
            + f"{row['seconds']:.2f} | {row['ms_a_frame']:.1f} | {row['ns_a_pixel']:.1f} | "
            f"{row['seconds'] / first['seconds']:.0f} | {row['peak_mb']:.0f} |",
            flush=True,
        )
    apart = max(
        abs(number - first["numbers"][name])
        for row in rows.values()
        for name, number in row["numbers"].items()
    )
    print(f"\nLargest difference of a number between contestants: {apart:.1e}")
    if apart > 1e-12:
        sys.exit("They do not agree.")


if __name__ == "__main__":
    main()
