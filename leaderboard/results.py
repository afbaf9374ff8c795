"""Run records on the Hub: pushed from a folder of runs, read by a board, told to model pages."""

import datetime
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness import store
from harness.data import DATASETS, hub, lock, publish
from harness.data.repositories import REPOSITORIES
from harness.errors import DataError, RunError
from harness.metrics import METRICS
from harness.types import Run

RECORD = ("run.json", "*.parquet", "classes.json", "grid.npz", "meta-*.json")
"""The files of a run that are its record."""
MAPS = ("scores/*", "classes/*")
PICTURES = ("thumbnails/*",)
CARD = "README.md"
_CARD_TEXT = """---
license: cc-by-4.0
tags:
- anomaly-segmentation
viewer: false
---
# Runs of anomaly segmentation methods on road scenes

One folder for each data set, in it one for each run: `run.json` holds the numbers with their
options and provenance. To see them as a board: `harness board --from hub:{repository}`.
"""


def push_results(
    runs: Sequence[Run],
    root: Path,
    repository: str,
    *,
    scores: bool = False,
    private: bool = False,
    create_pr: bool = False,
) -> publish.Pushed:
    """The commit or pull request with the records of `runs`; what is there already is not resent.

    Pictures are sent of data sets that anybody may see; score maps where `scores` asks for them.

    Args:
        runs: from the folder `root`.
        root: the folder of all runs.
        repository: "owner/name", of data sets; made if it is not there.
        scores: whether kept score maps are sent, too.
        private: whether a new repository is private.
        create_pr: open a pull request instead of a commit.

    Raises:
        RunError: there are no runs, or maps were asked for that were not kept.
        DataError: the Hub refuses, or cannot be reached.
    """
    if not runs:
        raise RunError(f"{root}: no runs to push; `harness run` makes some.")
    files = []
    for run in runs:
        entry = DATASETS.get(run.dataset)
        wanted = [*RECORD, *(PICTURES if entry is not None and entry.public_images else ())]
        if scores:
            if not (store.run_folder(root, run) / "scores").is_dir():
                raise RunError(
                    f"{run.dataset}/{run.id}: its score maps were not kept; score again with "
                    "--keep-scores, or push the record without --scores."
                )
            wanted += MAPS
        files += [f"{run.dataset}/{run.id}/{name}" for name in wanted]
    message = f"Add {len(runs)} runs" if len(runs) > 1 else f"Add {runs[0].dataset}/{runs[0].id}"
    request = publish.open_request(repository, message) if create_pr else None
    done = publish.push(
        *(root, repository), files=files, message=message, private=private, request=request
    )
    with hub.asking(repository):
        there = hub.client().file_exists(
            repository, CARD, repo_type="dataset", revision=done.revision
        )
    if not there:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / CARD).write_text(_CARD_TEXT.format(repository=repository), "utf-8")
            publish.push(
                *(Path(folder), repository), files=(CARD,), message="Add a card", request=request
            )
    return done


def pulled_runs(address: str) -> Path:
    """A folder of runs with what `hub:owner/name` holds now, or at `@revision`, in the cache.

    The Hub is asked what is newest; offline, what was newest when it was asked last is taken.

    Raises:
        DataError: no such repository, or it cannot be asked and was never read before.
    """
    name, _, revision = address.removeprefix("hub:").partition("@")
    if name.count("/") != 1:
        raise DataError(f"{address}: expected hub:owner/name, or hub:owner/name@revision.")
    if lock.is_revision(revision):
        commit = revision
    else:
        key = f"{name}@{revision}" if revision else name
        before = lock.revisions().get(key, "")
        commit = before if hub.offline() and before else hub.moved(name, revision)[1]
    files = [f"*/*/{pattern}" for pattern in (*RECORD, *PICTURES)]
    return hub.snapshot(name, files, commit).folder


def merged_runs(folders: Iterable[Path], into: Path) -> Path:
    """`into`, with the runs of all `folders`; of equal names, the first one's."""
    for folder in folders:
        for path in sorted(folder.glob("*/*/run.json")):
            target = into / path.parent.relative_to(folder)
            if not target.exists():
                shutil.copytree(path.parent, target)
    return into


def eval_results(runs: Iterable[Run], *, benchmark: str = "", source: str = "") -> str:
    """The text of `.eval_results/road-anomaly.yaml` for a model's repository.

    One entry a data set: its AP in per cent as the value, the other numbers as notes.

    Args:
        runs: of one method, one a data set.
        benchmark: "owner/name" of the benchmark on the Hub, with the data sets' names as tasks;
            "": each data set's own repository, where the catalogue knows one.
        source: a web address where the runs can be seen.

    Raises:
        RunError: a run has no AP, may not rank, or its data set has no repository.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    from huggingface_hub.utils import yaml_dump  # type: ignore[attr-defined]

    entries = []
    for run in runs:
        if not run.ranks or "AP" not in run.metrics:
            why = ", ".join(run.flags) or "it has no AP"
            raise RunError(f"{run.dataset}/{run.id}: cannot be told to a model page ({why}).")
        known = REPOSITORIES.get(run.dataset)
        if not benchmark and known is None:
            raise RunError(
                f"{run.dataset}: has no repository on the Hub; name the benchmark's with "
                "--benchmark OWNER/NAME."
            )
        dataset = benchmark or (known.name if known is not None else "")
        entries.append(
            EvalResultEntry(
                dataset_id=dataset,
                task_id=run.dataset,
                value=round(100 * run.metrics["AP"], 2),
                dataset_revision=lock.revisions().get(dataset),
                date=run.finished or datetime.datetime.now(datetime.UTC).isoformat(),
                source_url=source or None,
                source_name="road-anomaly-harness" if source else None,
                notes=_notes(run),
            )
        )
    return yaml_dump(eval_result_entries_to_yaml(entries))


def push_eval_results(text: str, model: str) -> publish.Pushed:
    """The pull request to the repository `model` that adds `.eval_results/road-anomaly.yaml`.

    Raises:
        DataError: the Hub refuses, or cannot be reached.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ".eval_results" / "road-anomaly.yaml"
        path.parent.mkdir()
        path.write_text(text, "utf-8")
        message = "Add anomaly segmentation results"
        request = publish.open_request(model, message, kind="model")
        return publish.push(
            *(Path(folder), model),
            files=(".eval_results/*.yaml",),
            message=message,
            request=request,
            kind="model",
        )


def _notes(run: Run) -> str:
    shown = [
        f"{name} {100 * run.metrics[name]:.2f} %"
        for name in ("AP", "FPR95", "AUROC")
        if name in run.metrics and METRICS[name].unit == "%"
    ]
    return f"{', '.join(shown)}; {run.method}, run {run.id}, data {run.fingerprint[:12]}"
