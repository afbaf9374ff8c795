"""The verb `run`: score a data set with methods, evaluate the maps, save the runs."""

import datetime
import hashlib
import shutil
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness import provenance, score_files, store
from harness.conditions import Numbers, are_averaged, averaged, pooled
from harness.data import Frames
from harness.errors import HarnessError, MethodError, RunError, unknown_name
from harness.fit import FITS, fitted
from harness.method import (
    Method,
    load_method,
    method_class,
    method_name,
    option_fields,
    resolved_options,
    source_files,
)
from harness.metrics import METRIC_VERSION
from harness.metrics.classes import ClassCounts
from harness.metrics.score_map import checked
from harness.partial import Partial
from harness.record import SHOWN, clean_facts, save, save_averaged, threshold_facts
from harness.types import PLACES, Condition, Frame, Image, Prediction, Run

WRITERS = 2  # threads that compress and write maps while the next image computes

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, frames done, frames in all)."""


@dataclass(frozen=True)
class Planned:
    """One method on one data set, with the identity that its run will have."""

    name: str
    method: Method
    run_id: str
    facts: Mapping[str, Any]  # what the id was made of

    @property
    def title(self) -> str:
        """The method's name and network, for messages."""
        network = getattr(self.method, "network", "")
        return f"{self.name} ({network})" if network else self.name


def build(
    names: Sequence[str],
    options: Mapping[str, str],
    seeds: Sequence[int] = (),
    *,
    fits: Path = FITS,
) -> list[tuple[str, Method]]:
    """The named methods with `options` filled in wherever a method has the field; one per seed.

    A method that learns gets its fitted state from the folder `fits`.

    Raises:
        UnknownName: a method does not exist, or an option fits none of the methods.
        MethodError: a method is not fitted; the sentence says which command does that.
    """
    fields = {name: option_fields(method_class(name)) for name in names}
    for option in [*options, *(["seed"] if seeds else [])]:
        if not any(option in of_one for of_one in fields.values()):
            known = sorted({key for of_one in fields.values() for key in of_one})
            raise unknown_name(f"option of {', '.join(map(method_name, names))}", option, known)
    built = []
    for name, of_one in fields.items():
        chosen = {key: value for key, value in options.items() if key in of_one}
        for seed in seeds if seeds and "seed" in of_one else (None,):
            seeded = chosen if seed is None else {**chosen, "seed": str(seed)}
            method = load_method(name, **seeded)
            if (folder := fitted(name, method, fits=fits)) is not None:
                method = load_method(name, **seeded, fitted=str(folder))
            built.append((method_name(name), method))
    return built


def plan(name: str, method: Method, frames: Frames, *, threshold: float | None = None) -> Planned:
    """`method` on `frames` with its run id: equal ids mean that every input was equal.

    The id hashes the method's name and resolved options, its source files, weights and network,
    the data set's fingerprint, and the version of the metrics.
    """
    weights = {role: provenance.file_sha256(path) for role, path in method.weights_files().items()}
    options = {key: _plain(value) for key, value in resolved_options(method).items()}
    facts = {
        "method": name,
        "options": {k: v for k, v in options.items() if k not in PLACES},
        "weights": weights,
        "device": method.environment().get("device", ""),  # another kind may give other digits
        "sources": provenance.source_sha256(source_files(method)),
        "dataset": frames.dataset.name,
        "fingerprint": frames.fingerprint(),
        "frames": len(frames),
        "metric_version": METRIC_VERSION,
        "threshold": threshold,
    }
    return Planned(name, method, f"{name}-{provenance.digest(facts)[:10]}", facts)


def run(
    methods: Sequence[tuple[str, Method]],
    frames: Frames,
    *,
    out: Path,
    again: bool = False,
    keep_scores: bool = False,
    threshold: float | None = None,
    command: str = "",
    progress: Progress = lambda what, done, total: None,
) -> list[Run]:
    """The saved runs of `methods` on `frames`, in the order of `methods`.

    Runs that are there already are read and not repeated, unless `again`. Methods with equal
    forward keys share one forward pass per image. A run that was killed resumes where it stopped.

    Raises:
        HarnessError: a frame, a method or a score map is at fault, or a write failed; frames
            that were finished before stay in the journal.
    """
    progress(f"{frames.dataset.name}: reading", 0, len(frames))
    for name, method in methods:
        _check_unseen(name, method, frames)
    plans = [plan(name, method, frames, threshold=threshold) for name, method in methods]
    if again:
        for planned in plans:
            _forget(out, frames, planned)
    pending = [
        planned
        for planned in _distinct(plans)
        if again
        or not store.exists(out, frames.dataset.name, planned.run_id)
        or (keep_scores and not _has_scores(out, frames, planned))
    ]
    for group in _groups(pending):
        with ExitStack() as stack:
            for planned in group:
                folder = store.partial_folder(out, frames.dataset.name, planned.run_id)
                stack.enter_context(store.locked(folder))
                stack.callback(_drop_if_empty, folder)
            if are_averaged(frames):
                _score_by_condition(group, frames, out, keep_scores, progress, threshold)
            else:
                _score(group, frames, out, progress)
            for planned in group:
                _finish(planned, group, frames, out, keep_scores, command, progress, threshold)
    return [store.load_run(out / frames.dataset.name / planned.run_id) for planned in plans]


def _score(group: Sequence[Planned], frames: Frames, out: Path, progress: Progress) -> None:
    """Writes the score maps of `group` that are still missing, and notes each in its journal."""
    name, with_classes = frames.dataset.name, frames.has_classes
    folders = {p.run_id: store.partial_folder(out, name, p.run_id) for p in group}
    journals = {}
    for planned in group:
        with store.writing(folders[planned.run_id]):
            (folders[planned.run_id] / "scores").mkdir(exist_ok=True)
            journals[planned.run_id] = store.Journal(folders[planned.run_id])
    missing = {
        run_id: {i for i in frames.ids if not _intact(folders[run_id], journals[run_id], i)}
        for run_id in folders
    }
    todo = [
        i for i, frame_id in enumerate(frames.ids) if any(frame_id in m for m in missing.values())
    ]
    if not todo:
        return
    titles = ", ".join(planned.title for planned in group)
    what = f"{name}: {titles}"
    done_before = len(frames) - len(todo)
    progress(what, done_before, len(frames))
    _check_space(out, frames[todo[0]].image, sum(map(len, missing.values())))

    def written(
        planned: Planned, frame: Frame, prediction: Prediction, seconds: float
    ) -> dict[str, Any]:
        where = f"{name}/{frame.id}: {planned.title}"
        content = score_files.encoded(checked(prediction.score, frame.image.shape[:2], where=where))
        files = {f"scores/{frame.id}.score": content}
        facts: dict[str, Any] = {"seconds": seconds}
        if with_classes and prediction.classes is not None:
            assert frame.classes is not None, "has_classes says so"
            counts = ClassCounts.of(prediction.classes, frame.classes, prediction.confidence)
            facts["classes"] = counts.to_json()
            files[f"classes/{frame.id}.png"] = score_files.encoded_classes(prediction.classes)
        folder = folders[planned.run_id]
        with store.writing(folder):
            for place, content in files.items():
                (folder / place).parent.mkdir(exist_ok=True)
                score_files.write_bytes(folder / place, content)
        facts["files"] = {n: hashlib.sha256(content).hexdigest() for n, content in files.items()}
        return facts

    waiting: deque[tuple[str, str, Future[dict[str, Any]]]] = deque()

    def note_oldest() -> None:
        run_id, frame_id, future = waiting.popleft()
        facts = future.result()
        with store.writing(folders[run_id]):
            journals[run_id].add(frame_id, **facts)

    with (
        ThreadPoolExecutor(WRITERS, thread_name_prefix="write") as pool,
        closing(_predicted(group, frames.take(todo))) as steps,
    ):
        for count, (frame, predictions, seconds) in enumerate(steps, 1):
            for planned, prediction in zip(group, predictions, strict=True):
                if frame.id in missing[planned.run_id]:
                    future = pool.submit(written, planned, frame, prediction, seconds)
                    waiting.append((planned.run_id, frame.id, future))
            while len(waiting) > len(group) * WRITERS:
                note_oldest()
            progress(what, done_before + count, len(frames))
        while waiting:
            note_oldest()


def _predicted(
    group: Sequence[Planned], frames: Frames
) -> Generator[tuple[Frame, tuple[Prediction, ...], float]]:
    """Each frame with one prediction per method and the seconds that the method took for it."""
    methods = [planned.method for planned in group]
    titles = ", ".join(planned.title for planned in group)
    given: deque[Frame] = deque()

    def images() -> Generator[Image]:
        for frame in frames:
            given.append(frame)
            yield frame.image

    # Closed from the outside in: a method may read ahead in a thread until it is closed itself.
    with closing(images()) as stream, closing(_together(methods, stream)) as results:
        for _ in range(len(frames)):
            begin = time.perf_counter()
            try:
                predictions = next(results)
            except HarnessError:
                raise
            except StopIteration:
                raise MethodError(f"{titles}: fewer predictions than images came back.") from None
            except Exception as error:
                where = f"{frames.dataset.name}/{given[0].id}" if given else frames.dataset.name
                raise MethodError(f"{titles}: {where}: {type(error).__name__}: {error}") from error
            for planned, prediction in zip(group, predictions, strict=True):
                if not isinstance(prediction, Prediction):
                    raise MethodError(
                        f"{planned.title}: {frames.dataset.name}/{given[0].id}: a "
                        f"{type(prediction).__name__} came back, not a Prediction; end predict "
                        "with `return Prediction(score)`."
                    )
            yield given.popleft(), predictions, time.perf_counter() - begin


def _together(
    methods: Sequence[Method], images: Iterable[Image]
) -> Generator[tuple[Prediction, ...]]:
    """Per image, one prediction of each method, by one forward pass where there are several."""
    if len(methods) > 1:
        yield from type(methods[0]).predictions_together(methods, images)
        return
    for prediction in methods[0].predictions(images):
        yield (prediction,)


def _score_by_condition(
    group: Sequence[Planned],
    frames: Frames,
    out: Path,
    keep_scores: bool,
    progress: Progress,
    threshold: float | None,
) -> None:
    """Scores and counts one condition after the other; only one has its maps on the disk."""
    parts = [
        (part, [p for p in group if _remains(_partial(p, frames, out), name, part, keep_scores)])
        for name, part in frames.by_condition().items()
    ]
    if keep_scores:
        _check_space(out, frames[0].image, sum(len(part) * len(todo) for part, todo in parts))
    pictured = {int(at) for at in np.linspace(0, len(parts) - 1, SHOWN)}
    done = 0
    for at, (part, todo) in enumerate(parts):

        def over_all(what: str, count: int, _of: int, before: int = done) -> None:
            progress(what, before + count, len(frames))

        if todo:
            _score(todo, part, out, over_all)
        for planned in todo:
            partial = _partial(planned, frames, out)
            partial.count(part, threshold, pictured=at in pictured)
            if not keep_scores:
                partial.free(part)
        done += len(part)


def _finish(
    planned: Planned,
    group: Sequence[Planned],
    frames: Frames,
    out: Path,
    keep_scores: bool,
    command: str,
    progress: Progress,
    threshold: float | None,
) -> None:
    """Evaluates the maps of one complete run and saves it."""
    partial = _partial(planned, frames, out)
    evaluation = None
    found = Numbers({}, {}, {}, {})
    conditions: dict[str, Condition] = {}
    if are_averaged(frames):
        names = list(frames.by_condition())
        counted = [partial.condition(name) for name in names]
        conditions = {name: each for name, (each, _) in zip(names, counted, strict=True)}
        seconds = [each for _, of_frames in counted for each in of_frames]
        found = averaged(conditions)
    else:
        seconds = partial.seconds(frames)
        progress(f"{frames.dataset.name}: counting {planned.title}", len(frames), len(frames))
        evaluation = partial.evaluation(frames, threshold)
        if evaluation is not None:
            found = pooled(frames, evaluation, partial.evaluated(threshold))
    method = planned.method
    saved = Run(
        id=planned.run_id,
        kind="run",
        method=planned.name,
        options={key: _plain(value) for key, value in resolved_options(method).items()},
        dataset=frames.dataset.name,
        frames=len(frames.clean or frames),
        fingerprint=planned.facts["fingerprint"],
        metric_version=METRIC_VERSION,
        metrics=found.metrics,
        undefined=found.undefined,
        intervals=found.intervals,
        conditions=found.conditions,
        flags=_flags(frames, bool(found.metrics)),
        trained_on=tuple(method.trained_on),
        paper=method.paper,
        seconds=sum(seconds),
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        provenance={
            "code": provenance.code(),
            "sources": planned.facts["sources"],
            "weights": planned.facts["weights"],
            "versions": provenance.versions(),
            "machine": {**provenance.machine(), **method.environment()},
            "data": frames.where,
            **clean_facts(frames),
            "command": command,
            "threshold": threshold_facts(evaluation, threshold),
            "seconds_per_frame_median": float(np.median(seconds)),
            # One forward pass served all of these; the seconds are those of the whole step.
            "shared_forward_with": [p.name for p in group if p is not planned],
        },
    )
    if conditions:
        table = partial.frame_table(list(conditions))
        save_averaged(out, saved, conditions, table, keep_scores=keep_scores)
        return
    save(
        out,
        saved,
        evaluation,
        frames,
        partial.score_of,
        seconds=seconds,
        keep_scores=keep_scores or evaluation is None,
    )


def _check_unseen(name: str, method: Method, frames: Frames) -> None:
    """Refuses a method that was fitted on the very labels that it would be measured by."""
    data = frames.dataset.name
    if frames.has_labels and data in getattr(method, "fitted_on", ()):
        raise MethodError(
            f"{name}: was fitted on {data}, whose labels it would be measured by; fit it on other "
            "frames. What meta classification learns from evaluated frames, `harness meta` reports."
        )


def _remains(partial: Partial, condition: str, frames: Frames, keep_scores: bool) -> bool:
    """Whether the condition's frames must be scored, or be scored again for their maps."""
    return not partial.is_counted(condition) or (keep_scores and not partial.has_maps(frames))


def _flags(frames: Frames, measured: bool) -> tuple[str, ...]:
    """The flags of a run; a set that has classes only, and was measured by them, has no flag."""
    if frames.has_labels or (measured and "pixel" not in frames.dataset.metric_families):
        return frames.flags
    why = "hidden labels" if frames.dataset.hidden_labels else "no anomaly labels"
    return (*frames.flags, why)


def _partial(planned: Planned, frames: Frames, out: Path) -> Partial:
    return Partial(store.partial_folder(out, frames.dataset.name, planned.run_id))


def _groups(plans: Sequence[Planned]) -> list[list[Planned]]:
    """The plans that share a forward pass together, in the order of the first of each group."""
    groups: dict[Any, list[Planned]] = {}
    for planned in plans:
        key = planned.method.forward_key()
        groups.setdefault(planned.run_id if key is None else key, []).append(planned)
    return list(groups.values())


def _distinct(plans: Sequence[Planned]) -> list[Planned]:
    return list({planned.run_id: planned for planned in plans}.values())


def _intact(folder: Path, journal: store.Journal, frame_id: str) -> bool:
    """Whether the frame's files are noted in the journal and lie on the disk unharmed."""
    files = journal.entries.get(frame_id, {}).get("files", {})
    return bool(files) and all(
        (folder / place).is_file() and provenance.file_sha256(folder / place) == sha256
        for place, sha256 in files.items()
    )


def _has_scores(out: Path, frames: Frames, planned: Planned) -> bool:
    return (out / frames.dataset.name / planned.run_id / "scores").is_dir()


def _forget(out: Path, frames: Frames, planned: Planned) -> None:
    """Drops the unfinished maps of a run that is scored again; a complete run stays until then."""
    folder = store.partial_folder(out, frames.dataset.name, planned.run_id)
    if folder.is_dir():
        with store.locked(folder):
            for name in ("scores", "conditions", "thumbnails"):
                shutil.rmtree(folder / name, ignore_errors=True)
            (folder / "journal.jsonl").unlink(missing_ok=True)


def _drop_if_empty(folder: Path) -> None:
    """Removes a partial folder in which no frame was finished, so that failures leave nothing."""
    journal = folder / "journal.jsonl"
    begun = (journal.is_file() and journal.stat().st_size) or (folder / "conditions").is_dir()
    if folder.is_dir() and not begun:
        shutil.rmtree(folder, ignore_errors=True)


def _check_space(out: Path, image: Image, maps: int) -> None:
    """Refuses to begin when the maps would not fit on the disk; 4 bytes a pixel at the most."""
    needed = 4 * image.shape[0] * image.shape[1] * maps
    with store.writing(out):
        out.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(out).free
    if needed > free:
        raise RunError(
            f"{out}: {maps} score maps may need {needed / 1e6:,.0f} MB and {free / 1e6:,.0f} MB "
            "are free. Make room, choose another --out, or use --limit."
        )


def _plain(value: Any) -> Any:
    """The option's value as JSON knows it."""
    return str(value) if isinstance(value, Path) else value
