"""The verb `fit`: learn what a network must learn, and save it with everything it came from."""

import importlib
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import provenance
from harness.data import DATASETS, Frames, load_frames
from harness.errors import MethodError, RunError

Progress = Callable[[str, int, int], None]
NETWORK = "network:"  # what begins the name of a network that is to be trained


@dataclass(frozen=True)
class FitResult:
    """What a fit has learned, and where it lies."""

    folder: Path  # <out>/<name>-<hash>, with fit.json
    weights: Path
    miou: float | None  # on the validation split, as a fraction; None: there is no such split
    seconds: float  # of this and of interrupted calls, as far as they were saved
    steps: int


def fit(
    name: str,
    *,
    dataset: str = "synthroad_train",
    out: Path = Path("fits"),
    steps: int | None = None,
    seed: int = 0,
    device: str = "auto",
    root: Path | None = None,
    progress: Progress = lambda what, done, total: None,
) -> FitResult:
    """The fitted state of `name`, saved in `<out>/<network>-<hash>/`; done already, it is read.

    The hash covers the network's and the training's source files, the data set's fingerprint and
    every option, so equal folders come from equal inputs. A fit that was killed goes on where its
    last checkpoint stands. `weights.safetensors` is written beside and renamed, `fit.json` last.

    Args:
        name: "network:" and the name of a network, for example "network:tiny".
        dataset: a data set with classes; where its name ends in `_train`, the split `_val` gives
            the mIoU.
        out: the folder of all fitted states.
        steps: how many steps of the optimiser; None: the training's own number.
        seed: what all random numbers are drawn from.
        device: auto (cuda where there is one), cpu, cuda, cuda:1, …
        root: the data root.
        progress: called with what is done, how many steps of it, of how many.

    Raises:
        UnknownName: no network or data set is called so.
        MethodError: `name` learns nothing, or the training failed.
        DataError: the data set is not there, or has no classes.
        RunError: the folder cannot be written.
    """
    if not name.startswith(NETWORK):
        raise MethodError(
            f"{name}: has nothing to learn; networks do, so give --method network:NAME."
        )
    network = name.removeprefix(NETWORK)
    training = _training()
    sources = [Path(file) for file in training.source_modules(network)]
    chosen = training.options(steps=steps, seed=seed)
    frames, validation = load_frames(dataset, root=root), _validation(dataset, root)
    progress(f"{dataset}: reading", 0, len(frames))
    facts = {
        "name": name,
        "options": training.facts(chosen),
        "sources": provenance.source_sha256(sources),
        "dataset": dataset,
        "fingerprint": frames.fingerprint(),
    }
    folder = out / f"{Path(network).stem}-{provenance.digest(facts)[:10]}"
    told, weights = folder / "fit.json", folder / "weights.safetensors"
    if told.is_file() and weights.is_file():
        return _read(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        began, before = time.monotonic(), _seconds_before(folder)
        trained = training.train(
            network, frames, validation, folder, chosen=chosen, device=device,
            progress=_timed(progress, folder, before),
        )  # fmt: skip
        seconds = before + time.monotonic() - began
        record = {
            **facts,
            "miou": None if math.isnan(trained.miou) else trained.miou,
            "class_iou": [None if math.isnan(value) else value for value in trained.class_iou],
            "losses": list(trained.losses),
            "seconds": seconds,
            "steps": chosen.steps,
            "threads": trained.threads,
            "device": trained.device,
            "weights_sha256": provenance.file_sha256(weights),
            "code": provenance.code(),
            "versions": provenance.versions(),
            "machine": provenance.machine(),
        }
        _write(told, record)
        for rest in ("checkpoint.pt", "seconds.json"):
            (folder / rest).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(
            f"{folder}: the fit cannot be saved ({error.strerror or error}); give another folder "
            "with --out, or make room."
        ) from error
    return _read(folder)


def _training() -> Any:
    try:
        return importlib.import_module("methods._training")
    except ModuleNotFoundError as error:
        raise MethodError(
            f"fit needs {error.name}, which is not installed; do: pip install -e '.[methods]'."
        ) from error


def _validation(dataset: str, root: Path | None) -> Frames | tuple[()]:
    """The frames of the data set's validation split, or none."""
    name = dataset.removesuffix("_train") + "_val"
    if not dataset.endswith("_train") or name not in DATASETS:
        return ()
    return load_frames(name, root=root)


def _timed(progress: Progress, folder: Path, before: float) -> Progress:
    """`progress` that also keeps the time spent, for a fit that is killed and goes on."""
    began, saved = time.monotonic(), [time.monotonic()]

    def noted(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - saved[0] > 10:
            saved[0] = now
            _write(folder / "seconds.json", {"seconds": before + now - began})
        progress(what, done, total)

    return noted


def _seconds_before(folder: Path) -> float:
    try:
        return float(json.loads((folder / "seconds.json").read_text("utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def _write(path: Path, record: dict[str, Any]) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        beside.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", "utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _read(folder: Path) -> FitResult:
    path = folder / "fit.json"
    try:
        told = json.loads(path.read_text("utf-8"))
        miou = None if told["miou"] is None else float(told["miou"])
        seconds, steps = float(told["seconds"]), int(told["steps"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: cannot be read ({error}); delete {folder} to fit anew.") from error
    return FitResult(folder, folder / "weights.safetensors", miou, seconds, steps)
