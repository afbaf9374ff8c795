"""The meta classification of a finished run, as it is saved beside it: meta-<hash>.json."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import provenance, store
from harness.errors import RunError
from harness.score_files import write_bytes
from harness.types import Run

PUBLISHED, BY_FRAMES, OWN = "published", "by frames", "own"
"""Protocols of `Removal`: each segment left out alone, whole frames left out, the run's own."""


@dataclass(frozen=True)
class Removal:
    """What becomes of a run's segments when a meta classifier removes those it takes for false."""

    protocol: str  # PUBLISHED, BY_FRAMES or OWN
    learned_from: tuple[str, ...]  # names of data sets; (): not known
    oracle: bool  # whether it learned from the labels of the evaluated frames; never ranks
    auroc: float  # of telling false segments from others; rates as fractions
    ap: float
    accuracy: float
    fp_before: int  # segments that lie on no object
    fp_removed: int
    fp_remaining: int
    tp_removed: int  # segments on an object that are removed
    fn_before: int  # objects without a predicted pixel
    fn_after: int
    fp_after_as_released: int  # what the released code calls so; it counts `tp_removed`


@dataclass(frozen=True)
class MetaReport:
    """The meta classification of one run, which never ranks."""

    dataset: str
    run: str  # its id
    method: str
    threshold: float  # segments are connected pixels whose score is at least this
    classifier: str  # logistic or mlp, of PUBLISHED and BY_FRAMES
    folds: int  # of BY_FRAMES
    seed: int
    frames: int
    segments: int
    objects: int  # connected regions of anomalous labels
    removals: tuple[Removal, ...]
    finished: str = ""  # UTC, ISO 8601
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def report_path(
    root: Path, run: Run, *, threshold: float, classifier: str, folds: int, seed: int
) -> Path:
    """Where the report with these options lies, in the folder of `run` below `root`."""
    digest = provenance.digest([float(threshold), classifier, folds, seed])
    return store.run_folder(root, run) / f"meta-{digest[:10]}.json"


def save_report(root: Path, run: Run, report: MetaReport) -> Path:
    """The path of the saved report; one with equal options is replaced.

    Raises:
        RunError: it cannot be written.
    """
    path = report_path(
        *(root, run),
        threshold=report.threshold,
        classifier=report.classifier,
        folds=report.folds,
        seed=report.seed,
    )
    content = json.dumps(dataclasses.asdict(report), indent=1, sort_keys=True)
    with store.writing(path.parent):
        write_bytes(path, content.encode() + b"\n")
    return path


def load_report(path: Path, run: Run) -> MetaReport:
    """The report in the file `path`, which must be of `run`.

    Raises:
        RunError: it is damaged, or of another run.
    """
    try:
        facts = json.loads(path.read_text("utf-8"))
        removals = tuple(
            _typed(Removal, {**each, "learned_from": tuple(map(str, each["learned_from"]))})
            for each in facts["removals"]
        )
        report: MetaReport = _typed(MetaReport, {**facts, "removals": removals})
        if (report.dataset, report.run) != (run.dataset, run.id):
            raise ValueError(f"it is of {report.dataset}/{report.run}")
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path}: not a meta classification of this run ({error}); delete the file, or make it "
            "anew with `harness meta --again`."
        ) from error
    return report


def load_reports(
    root: Path, run: Run, *, damaged: Callable[[RunError], None]
) -> tuple[MetaReport, ...]:
    """Every report beside `run`, sorted by the names of their files.

    Args:
        root: the folder of all runs.
        run: the run.
        damaged: told of each report that cannot be read, which is then left out.
    """
    found = []
    for path in sorted(store.run_folder(root, run).glob("meta-*.json")):
        try:
            found.append(load_report(path, run))
        except RunError as error:
            damaged(error)
    return tuple(found)


def _typed(cls: type[Any], facts: Mapping[str, Any]) -> Any:
    """A `cls` of the facts, every number of the type of its field: files come from anybody."""
    kinds: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(cls)}
    for name, value in facts.items():
        accepted = _ACCEPTED.get(kinds[name], (tuple, dict))
        if type(value) not in accepted:
            raise TypeError(f"{name} is {value!r}")
    return cls(**facts)


_ACCEPTED: Mapping[Any, tuple[type, ...]] = {
    **{kind: (kind,) for kind in (bool, int, str)},
    float: (float, int),
}
