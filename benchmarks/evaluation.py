"""The whole evaluation of score maps: every metric, flavour, interval and row of the harness.

From files, as `harness evaluate` reads them, for its speed and how that grows; and of maps that are
drawn when they are asked for, so that only the evaluation's own memory is there, for its peak.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from contest import Contest, Contestant
from maps import Maps
from PIL import Image

import harness.evaluate
from harness import score_files
from harness.data import DATASETS, Frames, load_frames
from harness.evaluate import Evaluation
from harness.rescore import evaluate_folder
from harness.types import Classes, Frame, Label

NAMES = ("AP", "FPR95", "F1*", "smiyc_kit.AP")  # of the several dozen that are computed


def from_files(maps: Maps, threads: int) -> dict[str, float]:
    """Of `.score` files, with labels in PNG files."""
    with tempfile.TemporaryDirectory() as folder, _threads(threads):
        with maps.aside():
            frames = _laid_out(maps, Path(folder))
        return _some(evaluate_folder(Path(folder), frames))


def drawn(maps: Maps, threads: int = 2) -> dict[str, float]:
    """Of maps that exist only while they are counted."""
    readers = tuple(_Drawn(maps, index) for index in range(maps.frames))
    frames = Frames(DATASETS["custom"], readers, (), "drawn", True, False)
    places = {reader.id: reader.index for reader in readers}

    def score_of(frame_id: str) -> np.ndarray:
        return maps.score(places[frame_id])

    with _threads(threads):
        return _some(harness.evaluate.evaluate(frames, score_of))


@dataclass(frozen=True)
class _Drawn:
    maps: Maps
    index: int

    @property
    def id(self) -> str:
        return f"{self.index:05}"

    def frame(self) -> Frame:
        raise NotImplementedError("an evaluation needs no image")

    def label(self) -> Label:
        return self.maps.label(self.index)

    def classes(self) -> Classes | None:
        return None

    def state(self) -> str:
        return ""


def _laid_out(maps: Maps, folder: Path) -> Frames:
    """A data set of the user's own in `folder`, and the score maps in `folder/scores`."""
    for name in ("images", "labels", "scores"):
        (folder / name).mkdir()
    for index in range(maps.frames):
        name = f"{index:05}"
        Image.new("RGB", (maps.width, maps.height)).save(folder / "images" / f"{name}.jpg")
        Image.fromarray(maps.label(index)).save(folder / "labels" / f"{name}.png")
        score_files.write(folder / "scores" / f"{name}.score", maps.score(index))
    return load_frames("custom", root=folder)


@contextmanager
def _threads(threads: int) -> Iterator[None]:
    before = harness.evaluate.THREADS
    harness.evaluate.THREADS = threads
    try:
        yield
    finally:
        harness.evaluate.THREADS = before


def _some(evaluation: Evaluation) -> dict[str, float]:
    return {name: evaluation.metrics[name] for name in NAMES if name in evaluation.metrics}


_ONE, _TWO = partial(from_files, threads=1), partial(from_files, threads=2)

EVALUATION = Contest(
    task="every metric of saved maps",
    contestants={
        "1 thread": Contestant(_ONE),
        "2 threads": Contestant(_TWO, within=0),
        "1 thread, half of the frames": Contestant(_ONE, within=np.inf, part=1 / 2),
        "1 thread, a quarter": Contestant(_ONE, within=np.inf, part=1 / 4),
        "1 thread, an eighth": Contestant(_ONE, within=np.inf, part=1 / 8),
    },
    frames=40,
    smooth_px=4,
    columns=(
        *("seconds", "on the wall", "ms a frame", "frames a second and core", "ratio", "peak MB"),
    ),
)

MEMORY = Contest(
    task="peak memory of the whole evaluation",
    contestants={
        "all frames": Contestant(drawn),
        "half of them": Contestant(drawn, within=np.inf, part=1 / 2),
    },
    frames=40,
    smooth_px=4,
    columns=("peak MB",),
)
