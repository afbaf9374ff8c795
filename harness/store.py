"""Runs on disk: one folder a run, `run.json` written last; what is there can be read back.

runs/<dataset>/<method>-<hash>/
    run.json            the run: metrics, options, provenance (see `harness.types.Run`)
    frames.parquet      one row a frame: pixels, positives, AP, seconds
    curve.parquet       threshold, tpr, fpr, precision at up to 2,000 exact points
    components.parquet  one row a component: frame, labelled or predicted, area, overlap, union
    classes.json        counts of predicted classes and confidences, where classes are labelled
    conditions.parquet  one row a metric under a condition, of data sets made of conditions
    meta-<hash>.json    what meta classification makes of its segments (`harness meta`)
    grid.npz            pixels of each frame in bins of scores: what intervals are drawn from
    thumbnails/         <frame id>.{image,label,score}.webp
    scores/             <frame id>.score, with --keep-scores and for hidden labels
    classes/            <frame id>.png, predicted train ids, beside scores/ where there are labels
runs/<dataset>/.partial-<method>-<hash>/     a run that is not finished: journal.jsonl and its maps
"""

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import RunError, unknown_name
from harness.score_files import write_bytes
from harness.types import Condition, Interval, Run

try:
    import fcntl
except ImportError:  # Windows: two processes on one run are then not told apart
    fcntl = None  # type: ignore[assignment]

PARTIAL = ".partial-"


def run_folder(root: Path, run: Run) -> Path:
    """The folder of `run` below `root`, whether it exists or not."""
    return root / run.dataset / run.id


def partial_folder(root: Path, dataset: str, run_id: str) -> Path:
    """The folder where the run `run_id` is put together until it is complete."""
    return root / dataset / f"{PARTIAL}{run_id}"


def exists(root: Path, dataset: str, run_id: str) -> bool:
    """Whether the run is there and complete."""
    return (root / dataset / run_id / "run.json").is_file()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Makes `folder` and holds it for this process alone, for as long as the block runs.

    Raises:
        RunError: another process holds it, or it cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("w")
    with file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunError(
                    f"{folder}: another process is working on this run; wait for it, or stop it."
                ) from error
        yield


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns the failure of a write in the block into a `RunError` that names `folder`."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{folder}: cannot be written ({error.strerror or error}). Frames that were finished "
            "are kept; make room or choose another --out, then give the same command."
        ) from error


class Journal:
    """The frames of one unfinished run that are scored already; a killed run resumes from it.

    One JSON line a frame, flushed to the disk before the next begins; a last line cut short by a
    kill is dropped.
    """

    def __init__(self, folder: Path):
        self.path = folder / "journal.jsonl"
        self.entries: dict[str, dict[str, Any]] = {}
        whole = 0
        if self.path.is_file():
            for line in self.path.read_bytes().splitlines(keepends=True):
                try:
                    entry = json.loads(line)
                except ValueError:
                    break
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                self.entries[entry["id"]] = entry
            with self.path.open("r+b") as file:
                file.truncate(whole)

    def add(self, frame_id: str, **facts: Any) -> None:
        """Notes that the frame is done."""
        entry = {"id": frame_id, **facts}
        with self.path.open("ab") as file:
            file.write(json.dumps(entry, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.entries[frame_id] = entry


def save(
    root: Path,
    run: Run,
    *,
    tables: Mapping[str, pa.Table],
    classes: list[int] | None,
    grid: Mapping[str, np.ndarray[Any, Any]] | None,
    pictures: Mapping[str, bytes],
    keep_scores: bool,
) -> Path:
    """The folder of the saved run: the partial folder, completed, then renamed.

    Args:
        root: the folder of all runs.
        run: what is saved; a complete run of the same id is replaced.
        tables: by name; "frames" always, "curve" and "components" where there are anomaly labels,
            "conditions" where the data set is made of conditions.
        classes: `ClassCounts.to_json()`; None where no classes are labelled.
        grid: arrays by name, the counts per frame; None where there are no anomaly labels.
        pictures: file name in thumbnails/ to content.
        keep_scores: whether `scores/` stays.
    """
    partial, final = partial_folder(root, run.dataset, run.id), run_folder(root, run)
    with writing(partial):
        thumbnails = partial / "thumbnails"
        thumbnails.mkdir(exist_ok=True)
        for name, content in pictures.items():
            write_bytes(thumbnails / name, content)
        for name, table in tables.items():
            pq.write_table(table, partial / f"{name}.parquet", compression="zstd")
        if classes is not None:
            write_bytes(partial / "classes.json", json.dumps(classes).encode() + b"\n")
        if grid is not None:
            buffer = io.BytesIO()
            np.savez_compressed(buffer, allow_pickle=False, **grid)
            write_bytes(partial / "grid.npz", buffer.getvalue())
        if not keep_scores:
            for name in ("scores", "classes"):
                shutil.rmtree(partial / name, ignore_errors=True)
        (partial / "journal.jsonl").unlink(missing_ok=True)
        write_bytes(partial / "run.json", encoded(run))
        shutil.rmtree(partial / "conditions", ignore_errors=True)
        (partial / "lock").unlink(missing_ok=True)
        if final.exists():
            old = final.with_name(f".old-{run.id}")
            shutil.rmtree(old, ignore_errors=True)
            final.replace(old)
            partial.replace(final)
            shutil.rmtree(old)
        else:
            partial.replace(final)
    return final


def encoded(run: Run) -> bytes:
    """The bytes of `run.json`: sorted keys, so that equal runs are equal files."""
    return json.dumps(run.record(), indent=1, sort_keys=True).encode() + b"\n"


def load_run(folder: Path) -> Run:
    """The run saved in `folder`.

    Raises:
        RunError: `run.json` is missing or damaged.
    """
    path = folder / "run.json"
    try:
        facts = json.loads(path.read_text("utf-8"))
        for name in ("flags", "trained_on"):
            facts[name] = tuple(facts[name])
        facts["intervals"] = {k: Interval(**v) for k, v in facts["intervals"].items()}
        facts["conditions"] = {k: Condition(**v) for k, v in facts.get("conditions", {}).items()}
        return Run(**facts)
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise RunError(
            f"{path}: not a run of this version ({error}); delete the folder, or score again with "
            "--again."
        ) from error


def load_runs(root: Path, *, damaged: Callable[[RunError], None] | None = None) -> list[Run]:
    """Every complete run below `root`, sorted by data set and id; unfinished ones are left out.

    Args:
        root: the folder of all runs.
        damaged: told of each record that cannot be read, which is then left out.

    Raises:
        RunError: a record cannot be read, and nobody is to be told.
    """
    runs = []
    for path in sorted(root.glob("*/*/run.json")):
        if path.parent.name.startswith("."):
            continue
        try:
            runs.append(load_run(path.parent))
        except RunError as error:
            if damaged is None:
                raise
            damaged(error)
    return runs


def find_run(root: Path, name: str) -> Run:
    """The run called `name`: its id, `dataset/id`, its folder, or a beginning that fits only one.

    Raises:
        UnknownName: none is called so.
        RunError: several are, or the folder does not lie below `root`.
    """
    folder = Path(name)
    if (folder / "run.json").is_file():
        run = load_run(folder)
        if folder.resolve() != run_folder(root, run).resolve():
            raise RunError(
                f"{folder}: not below {root}, where runs are looked for; give "
                f"--out {folder.parent.parent}."
            )
        return run
    runs = {f"{run.dataset}/{run.id}": run for run in load_runs(root)}
    exact = [run for key, run in runs.items() if name in (key, run.id)]
    found = exact or [
        run for key, run in runs.items() if key.startswith(name) or run.id.startswith(name)
    ]
    if not found:
        raise unknown_name(f"run in {root}", name, (run.id for run in runs.values()))
    if len(found) > 1:
        several = ", ".join(f"{run.dataset}/{run.id}" for run in found)
        raise RunError(f"{name} fits several runs: {several}. Give more of the name.")
    return found[0]


def delete(root: Path, run: Run) -> None:
    """Removes the folder of `run`, its record first, so that no half run is ever listed."""
    folder = run_folder(root, run)
    with writing(folder):
        (folder / "run.json").unlink()
        shutil.rmtree(folder)


def replace_record(root: Path, run: Run) -> None:
    """Writes a changed record of a run that is there (rescored, invalidated) in place."""
    with writing(run_folder(root, run)):
        write_bytes(run_folder(root, run) / "run.json", encoded(run))


def frame_table(root: Path, run: Run) -> pa.Table:
    """The per-frame table of `run`."""
    return table(root, run, "frames")


def table(root: Path, run: Run, name: str) -> pa.Table:
    """The table `name` of `run`: frames, curve or components.

    Raises:
        RunError: the run has none, or it is damaged.
    """
    path = run_folder(root, run) / f"{name}.parquet"
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise RunError(
            f"{path}: cannot be read; the run has no such table, or score again."
        ) from error


def class_counts(root: Path, run: Run) -> list[int]:
    """What `ClassCounts.from_json` reads: predicted classes and confidences of all frames.

    Raises:
        RunError: the run has none.
    """
    path = run_folder(root, run) / "classes.json"
    try:
        return [int(number) for number in json.loads(path.read_text("utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{path}: no counts of classes can be read.") from error


def grid_arrays(root: Path, run: Run) -> dict[str, np.ndarray[Any, Any]]:
    """The counts per frame that `run` saved, by name.

    Raises:
        RunError: the run has none.
    """
    path = run_folder(root, run) / "grid.npz"
    try:
        with np.load(path, allow_pickle=False) as saved:
            return dict(saved)
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: no counts per frame can be read; score again.") from error


def table_of(columns: Mapping[str, list[Any] | np.ndarray[Any, Any]]) -> pa.Table:
    """The columns as an Arrow table; None and NaN become missing values."""
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()})
