"""The verb `fit`: learn what a network or method must learn, and save it with all it came from."""

import importlib
import inspect
import json
import math
import os
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import provenance
from harness.data import DATASETS, Frames, load_frames
from harness.errors import HarnessError, MethodError, RunError
from harness.method import (
    STATE,
    Method,
    load_method,
    method_class,
    method_name,
    option_fields,
    resolved_options,
    source_files,
)

Progress = Callable[[str, int, int], None]

SHORT = {"coco": "coco_proxy"}  # what papers call proxy outliers -> the data set's name
NETWORK = "network:"  # what begins the name of a network that is to be trained
WEIGHTS = "weights.safetensors"
FITS = Path("fits")  # where fitted states lie unless somebody says otherwise


@dataclass(frozen=True)
class FitResult:
    """What a fit has learned, and where it lies."""

    folder: Path  # <out>/<name>-<hash>, with fit.json
    weights: Path  # of a network; or the state of a method
    miou: float | None  # on the validation split, as a fraction; None: there is no such split
    seconds: float  # of this and of interrupted calls, as far as they were saved
    steps: int | None  # None: it learns without steps


@dataclass(frozen=True)
class _Task:
    """One thing to fit: what decides its result, and the call that learns it."""

    stem: str  # of the folder's name
    file: str  # of the state, in the folder
    facts: Mapping[str, Any]
    learn: Callable[[Path, Progress], Mapping[str, Any]]  # (folder, progress) -> facts of fit.json


def fit(
    name: str,
    *,
    options: Mapping[str, Any] | None = None,
    dataset: str = "synthroad_train",
    outliers: str = "",
    out: Path = FITS,
    steps: int | None = None,
    seed: int = 0,
    device: str = "auto",
    root: Path | None = None,
    progress: Progress = lambda what, done, total: None,
) -> FitResult:
    """The fitted state of `name`, saved in `<out>/<name>-<hash>/`; done already, it is read.

    The hash covers the source files, the weights of the network, the data sets' fingerprints and
    every option that counts, so equal folders come from equal inputs. A fit that was killed goes
    on where its last checkpoint stands. The state is written beside and renamed, `fit.json` last.

    Args:
        name: a method that learns; or "network:" and the name of a network, like "network:tiny".
        options: of the method, by name; values may be text.
        dataset: what is learned from; where its name ends in `_train`, the split `_val` gives
            the validation.
        outliers: a data set of proxy outliers, for methods that learn from them.
        out: the folder of all fitted states.
        steps: how many steps of the optimiser; None: the training's own number.
        seed: what all random numbers are drawn from.
        device: auto (cuda where there is one), cpu, cuda, cuda:1, …
        root: the data root.
        progress: called with what is done, how many steps of it, of how many.

    Raises:
        UnknownName: no method, network, option or data set is called so.
        MethodError: `name` learns nothing, or not so, or the training failed.
        DataError: a data set is not there, or has no classes.
        RunError: the folder cannot be written.
    """
    frames, validation = load_frames(dataset, root=root), _validation(dataset, root)
    outliers = SHORT.get(outliers, outliers)
    proxies = load_frames(outliers, root=root) if outliers else None
    progress(f"{dataset}: reading", 0, len(frames))
    if name.startswith(NETWORK):
        for unused in [*(options or ()), *(["outliers"] if outliers else ())]:
            raise MethodError(f"{name}: the training of a network has no option {unused}.")
        task = _network_task(name, frames, validation, steps, seed, device)
    else:
        given = {**(options or {})}
        if "device" in option_fields(method_class(name)):
            given.setdefault("device", device)
        keywords = {"validation": validation, "outliers": proxies, "steps": steps, "seed": seed}
        task = _method_task(name, load_method(name, **given), frames, keywords)
    facts = {
        **task.facts,
        "dataset": dataset,
        "fingerprint": frames.fingerprint(),
        **(
            {"outliers": outliers, "outliers_fingerprint": proxies.fingerprint()} if proxies else {}
        ),
    }
    folder = out / f"{task.stem}-{provenance.digest(facts)[:10]}"
    told = folder / "fit.json"
    if told.is_file() and (folder / task.file).is_file():
        return _read(folder, task.file)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        began, before = time.monotonic(), _seconds_before(folder)
        learned = task.learn(folder, _timed(progress, folder, before))
        record = {
            "miou": None,
            "steps": steps,
            **facts,
            **learned,
            "seconds": before + time.monotonic() - began,
            "weights_sha256": provenance.file_sha256(folder / task.file),
            "code": provenance.code(),
            "versions": provenance.versions(),
            "machine": provenance.machine(),
        }
        _write(told, record)
        for rest in (*folder.glob("checkpoint.*"), folder / "seconds.json"):
            rest.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(
            f"{folder}: the fit cannot be saved ({error.strerror or error}); give another folder "
            "with --out, or make room."
        ) from error
    return _read(folder, task.file)


def export_fit(name: str, options: Mapping[str, Any], folder: Path | None, file: Path) -> None:
    """Writes the state in `folder` to `file`, in the layout of the method's authors.

    Args:
        name: a method that learns, and has an `export`.
        options: of the method.
        folder: of a fit; None: only looks whether it could be exported.
        file: where to.

    Raises:
        MethodError: the method has no other layout.
    """
    exporter: Any = None
    if not name.startswith(NETWORK):
        exporter = getattr(method_class(name), "export", None)
    if exporter is None:
        raise MethodError(
            f"{method_name(name)}: has no layout of its authors to export to; its state lies in "
            "the folder of the fit."
        )
    if folder is not None:
        learned: Any = load_method(name, **{**options, "fitted": str(folder)})
        learned.export(file)


def fitted(name: str, method: Method, *, fits: Path = FITS) -> Path | None:
    """The folder in `fits` with the state that `method` needs; None: it needs none.

    It fits where method, options that count, and weights are those of the fit, whatever part of
    the frames it saw. A state of as many frames as the method asks for goes before others, and so
    does one fitted on the data that the network was trained on.

    Raises:
        MethodError: there is none, and which command makes one; or there are several; or the one
            that was given is of another method, of other options or weights.
    """
    if not _learns(method) or not getattr(method, "needs_fit", True):
        return None
    key = _key(name, method)
    if given := getattr(method, "fitted", ""):
        _check_given(method_name(name), method, Path(given), key)
        return None
    found = []
    for told in sorted(fits.glob("*/fit.json")):
        try:
            record = json.loads(told.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if record.get("key") == key and (told.parent / STATE).is_file():
            frames = record.get("options", {}).get("frames")
            found.append((str(record.get("dataset")), frames, told.parent))
    network = getattr(method, "network", "")
    home = _home(method)
    found = [each for each in found if each[1] == str(getattr(method, "frames", ""))] or found
    found = [each for each in found if each[0] == home] or found
    if len(found) == 1:
        return found[0][-1]
    short = method_name(name)
    if found:
        listed = ", ".join(str(folder) for *_, folder in found[:5])
        raise MethodError(f"{short}: several fits suit: {listed}; choose by --set fitted=FOLDER.")
    words = ["harness", "fit", "--method", name, "--network", network]
    if weights := getattr(method, "weights", ""):
        words += ["--weights", weights]
    for option, value in _counting(method).items():
        if option != "network" and value != option_fields(type(method))[option]:
            words += ["--set", f"{option}={_as_given(value)}"]
    command = shlex.join([*words, "--dataset", home])
    if "outliers" in _accepted(method):
        command += (
            " --outliers synthroad_outliers"
            if home.startswith("synthroad")
            else " --outliers coco_proxy"
        )
    raise MethodError(
        f"{short} with network {network} is not fitted: nothing under {fits} suits. Do: {command}"
    )


def _network_task(
    name: str,
    frames: Frames,
    validation: Frames | tuple[()],
    steps: int | None,
    seed: int,
    device: str,
) -> _Task:
    network = name.removeprefix(NETWORK)
    training = _training()
    chosen = training.options(steps=steps, seed=seed)

    def learn(folder: Path, progress: Progress) -> dict[str, Any]:
        trained = training.train(
            network, frames, validation, folder, chosen=chosen, device=device, progress=progress
        )
        return {
            "miou": None if math.isnan(trained.miou) else trained.miou,
            "class_iou": [None if math.isnan(value) else value for value in trained.class_iou],
            "losses": list(trained.losses),
            "steps": chosen.steps,
            "threads": trained.threads,
            "device": trained.device,
        }

    facts = {
        "name": name,
        "options": training.facts(chosen),
        "sources": provenance.source_sha256(training.source_modules(network)),
    }
    return _Task(Path(network).stem, WEIGHTS, facts, learn)


def _method_task(name: str, method: Method, frames: Frames, keywords: Mapping[str, Any]) -> _Task:
    short = method_name(name)
    if not _learns(method):
        raise MethodError(
            f"{short}: has nothing to learn; `harness run --method {name}` needs no fit."
        )
    accepted = _accepted(method)
    if keywords["steps"] is not None and "steps" not in accepted:
        raise MethodError(f"{short}: learns without steps; leave --steps out.")
    if keywords["outliers"] is not None and "outliers" not in accepted:
        raise MethodError(f"{short}: learns without proxy outliers; leave --outliers out.")
    if keywords["outliers"] is None and "outliers" in accepted:
        raise MethodError(f"{short}: learns from proxy outliers; give --outliers DATASET.")
    given = {key: value for key, value in keywords.items() if key in accepted}

    def learn(folder: Path, progress: Progress) -> Mapping[str, Any]:
        try:
            learner: Any = method
            return dict(learner.fit(frames, folder, progress=progress, **given) or {})
        except (HarnessError, OSError):
            raise
        except Exception as error:
            raise MethodError(f"{short}: {type(error).__name__}: {error}") from error

    facts: dict[str, Any] = {
        "name": name,
        "key": _key(name, method),
        "options": {key: str(value) for key, value in _counting(method).items()},
        "trained_on": list(method.trained_on),
        "sources": provenance.source_sha256(source_files(method)),
        **{key: keywords[key] for key in ("steps", "seed") if key in accepted},
    }
    network = Path(getattr(method, "network", "")).stem
    return _Task(f"{short}-{network}" if network else short, STATE, facts, learn)


def _learns(method: Method) -> bool:
    return callable(getattr(method, "fit", None))


def _accepted(method: Method) -> frozenset[str]:
    """The keywords that the method's `fit` takes."""
    learner: Any = method
    return frozenset(inspect.signature(learner.fit).parameters)


def _counting(method: Method) -> dict[str, Any]:
    """The options of the method that its fit depends on, without the paths of files."""
    names = method.fit_options
    return {k: v for k, v in resolved_options(method).items() if k in names and k != "weights"}


def _check_given(short: str, method: Method, folder: Path, key: str) -> None:
    """Refuses a fit of another method, other options or other weights, as far as it says so."""
    try:
        told = json.loads((folder / "fit.json").read_text("utf-8"))
        then, options = told.get("key", key), told.get("options", {})
        of = f"{told.get('name', short)} with network {options.get('network', '?')}"
    except (OSError, ValueError, AttributeError):
        return  # not made by `harness fit`: what it holds will show
    if then == key:
        return
    differing = [
        f"{name} = {options[name]}, here {value}"
        for name, value in _counting(method).items()
        if name != "frames" and name in options and options[name] != str(value)
    ]
    why = "; ".join(differing) or "another method, or other weights"
    raise MethodError(
        f"{short}: {folder} is a fit of {of}, which does not suit ({why}). Leave --set fitted out "
        "for the fit that does, or give the options of that fit."
    )


def _as_given(value: Any) -> str:
    """An option's value as `--set` takes it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _key(name: str, method: Method) -> str:
    """The sha256 over what a state and the method that reads it must have in common."""
    files = {role: path for role, path in method.weights_files().items() if role != "fit"}
    weights = {role: provenance.file_sha256(path) for role, path in files.items()}
    options = {k: str(v) for k, v in _counting(method).items() if k != "frames"}
    return provenance.digest({"method": method_name(name), "options": options, "weights": weights})


def _home(method: Method) -> str:
    """What the method is best fitted on: the data that its network was trained on, if known.

    Where anomalies are needed, a set beside it that has them.
    """
    seen: tuple[str, ...] = method.trained_on
    known = next((name for name in seen if name in DATASETS), "cityscapes_train")
    if method.fits_on_anomalies:
        return "synthroad_outliers" if known.startswith("synthroad") else "fs_static_val"
    return known


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


def _read(folder: Path, file: str) -> FitResult:
    path = folder / "fit.json"
    try:
        told = json.loads(path.read_text("utf-8"))
        miou = None if told["miou"] is None else float(told["miou"])
        seconds = float(told["seconds"])
        steps = None if told["steps"] is None else int(told["steps"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: cannot be read ({error}); delete {folder} to fit anew.") from error
    return FitResult(folder, folder / file, miou, seconds, steps)
