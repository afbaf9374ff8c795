"""The verb `meta`: what meta classification makes of the segments of a finished run.

The published protocol learns from the labels of the evaluated frames and leaves out one segment at
a time; it is reported beside the run, marked as an oracle's, and ranks nobody.
"""

import datetime
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import provenance
from harness.conditions import are_averaged
from harness.data import Frames, load_frames
from harness.errors import RunError, UnknownName, unknown_name
from harness.meta_report import (
    BY_FRAMES,
    OWN,
    PUBLISHED,
    MetaReport,
    Removal,
    load_report,
    report_path,
    save_report,
)
from harness.method import METHODS_FOLDER, Method, import_named, load_method, with_imports
from harness.run import Progress, plan
from harness.types import PLACES, Run

FOLDS = 10  # of whole frames
MODULE = "methods._segment_report"  # by name: torch lives there
MOVABLE = (*PLACES, "device")  # options that may differ from those of the run


def meta(
    out: Path,
    run: Run,
    *,
    threshold: float | None = None,
    classifier: str = "logistic",
    folds: int = FOLDS,
    seed: int = 0,
    settings: Mapping[str, str] | None = None,
    root: Path | None = None,
    again: bool = False,
    command: str = "",
    progress: Progress = lambda what, done, total: None,
) -> MetaReport:
    """The meta classification of `run`, saved beside it; one that is there is read.

    The run keeps no class probabilities, so its method is built from its options and goes over
    the data set again; sources, weights and data must be those that the run records.

    Args:
        out: the folder of all runs.
        run: of a post-hoc method, on labelled frames.
        threshold: segments are connected pixels whose score is at least this; None: the method's
            own, where it removes segments, else the published 0.7.
        classifier: logistic or mlp.
        folds: of whole frames, for the classifier that is fitted to other frames.
        seed: of the classifier mlp.
        settings: options that say where weights lie now, or which device computes.
        root: the data root.
        again: make the report anew if it is there.
        command: recorded.
        progress: called with what is done, how many steps of it, of how many.

    Raises:
        RunError: the run cannot be reported, or is not that of the sources, weights and data here.
        MethodError: its method reads no network, or no classifier can be learned.
        DataError: the data are not there.
    """
    _check_reportable(run)
    method = _method(run, settings or {})
    limit = run.frames if "limited" in run.flags else None
    frames = load_frames(run.dataset, root=root, limit=limit)
    _check_same(run, method, frames)
    reporter: Any = import_named(MODULE, what="module")
    options: dict[str, Any] = {
        "threshold": reporter.chosen_threshold(method, threshold),
        "classifier": classifier,
        "folds": folds,
        "seed": seed,
    }
    sources = _sources()
    path = report_path(out, run, **options)
    if path.is_file() and not again:
        kept = load_report(path, run)
        if kept.provenance.get("sources") == sources:
            return kept
    found = reporter.segment_report(
        method,
        frames,
        **options,
        progress=lambda what, done, total: progress(f"{run.dataset}: {what}", done, total),
    )
    report = MetaReport(
        dataset=run.dataset,
        run=run.id,
        method=run.method,
        **options,
        frames=len(frames),
        segments=found.segments,
        objects=found.objects,
        removals=tuple(
            _removal(protocol, each, run.dataset)
            for protocol, each in (
                (PUBLISHED, found.published),
                (BY_FRAMES, found.by_frames),
                (OWN, found.own),
            )
            if each is not None
        ),
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        provenance={
            "code": provenance.code(),
            "sources": sources,
            "versions": {
                **provenance.versions(),
                "scikit-learn": importlib.metadata.version("scikit-learn"),
            },
            "machine": {**provenance.machine(), **method.environment()},
            "data": frames.where,
            "command": command,
        },
    )
    save_report(out, run, report)
    return report


def _check_reportable(run: Run) -> None:
    where = f"{run.dataset}/{run.id}"
    if run.kind != "run":
        raise RunError(
            f"{where}: is of kind {run.kind}: it has score maps and no class probabilities, which "
            "segments need; report a run of `harness run`."
        )
    missing = [flag for flag in ("hidden labels", "no anomaly labels") if flag in run.flags]
    if missing:
        raise RunError(f"{where}: the data set has {missing[0]}, and segments are judged by them.")


def _method(run: Run, settings: Mapping[str, str]) -> Method:
    """The method of the run, built from the options that it records."""
    where = f"{run.dataset}/{run.id}"
    for key in settings:
        if key not in MOVABLE or key not in run.options:
            movable = [name for name in MOVABLE if name in run.options]
            raise unknown_name(f"place that {run.method} records", key, movable)
    try:
        return load_method(run.method, **{**run.options, **settings})
    except UnknownName as error:
        raise RunError(
            f"{where}: its method or options are not those of this version ({error})"
        ) from error


def _check_same(run: Run, method: Method, frames: Frames) -> None:
    """Refuses sources, weights and data that are not those of the run."""
    where = f"{run.dataset}/{run.id}"
    if are_averaged(frames):
        raise RunError(
            f"{where}: its numbers are means over conditions; report a run on one of them, like "
            f"{run.dataset.partition(':')[0]}:fog:3."
        )
    if not frames.has_labels:
        raise RunError(
            f"{where}: the data set has no anomaly labels, and segments are judged by them."
        )
    if frames.fingerprint() != run.fingerprint:
        raise RunError(
            f"{where}: the data under the data root are not those that were scored (fingerprint "
            f"{frames.fingerprint()[:12]}, the run has {run.fingerprint[:12]}). Give the "
            "--data-root of that run."
        )
    facts = plan(run.method, method, frames).facts
    for name, what_to_do in (
        ("weights", "say where they lie, with --set weights=FILE or --set fitted=FOLDER"),
        ("sources", "score again with `harness run`, and report the new run"),
    ):
        then, now = run.provenance.get(name) or {}, facts[name]
        differing = sorted(k for k in {*then, *now} if then.get(k) != now.get(k))
        if differing:
            more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
            raise RunError(
                f"{where}: its {name} are not those of today ({', '.join(differing[:3])}{more}: "
                f"another sha256); {what_to_do}."
            )


def _removal(protocol: str, found: Any, dataset: str) -> Removal:
    """What `methods._segment_report.Removal` says; labels that are evaluated make an oracle."""
    learned_from = (dataset,) if found.learned_from is None else tuple(found.learned_from)
    names = (
        *("fp_before", "fp_removed", "fp_remaining", "tp_removed", "fn_before", "fn_after"),
        "fp_after_as_released",
    )
    return Removal(
        protocol=protocol,
        learned_from=learned_from,
        oracle=dataset in learned_from,
        **vars(found.quality),
        **{name: getattr(found.counts, name) for name in names},
    )


def _sources() -> dict[str, str]:
    """The sha256 of the source files that make the report."""
    own = METHODS_FOLDER.parent.joinpath(*MODULE.split(".")).with_suffix(".py")
    return provenance.source_sha256(with_imports([own]))
