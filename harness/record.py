"""From an evaluation to what is saved of a run: its tables, counts and pictures."""

from pathlib import Path
from typing import Any

import numpy as np

from harness import pictures, store
from harness.data import Frames
from harness.evaluate import Evaluation, ScoreOf
from harness.metrics.pixel import curve
from harness.types import Run

SHOWN = 6  # frames with pictures in each run: the same ones for every method, and its own worst


def save(
    out: Path,
    run: Run,
    evaluation: Evaluation | None,
    frames: Frames,
    score_of: ScoreOf,
    *,
    seconds: list[float],
    keep_scores: bool,
) -> Path:
    """The folder of the saved run, which must have been begun as a partial folder.

    Args:
        out: the folder of all runs.
        run: the record.
        evaluation: None where nothing could be counted.
        frames: what was scored.
        score_of: the score maps, for pictures.
        seconds: of each frame; empty where they are not known.
        keep_scores: whether maps that lie in the partial folder stay.
    """
    return store.save(
        out,
        run,
        frames=_frame_table(frames, evaluation, seconds),
        curve=_curve_table(evaluation),
        grid=_grid_arrays(evaluation),
        pictures=_pictures(frames, evaluation, score_of),
        keep_scores=keep_scores,
    )


def threshold_facts(evaluation: Evaluation | None, given: float | None) -> dict[str, Any]:
    """What a run records of the threshold of its component metrics."""
    origin = "best F1 on the evaluated labels (oracle)" if given is None else "given"
    return {"value": evaluation.threshold if evaluation else given, "from": origin}


def _frame_table(frames: Frames, evaluation: Evaluation | None, seconds: list[float]) -> Any:
    timed = {"seconds": seconds} if seconds else {}
    if evaluation is None or not evaluation.rows:
        return store.table_of({"id": list(frames.ids), **timed})
    rows = evaluation.rows
    return store.table_of(
        {
            "id": [row.id for row in rows],
            "pixels": [row.pixels for row in rows],
            "anomalous": [row.anomalous for row in rows],
            "AP": [row.average_precision for row in rows],
            "FPR": [row.fpr for row in rows],
            "found": [row.found for row in rows],
            "missed": [row.missed for row in rows],
            "invented": [row.invented for row in rows],
            **timed,
        }
    )


def _curve_table(evaluation: Evaluation | None) -> Any:
    if evaluation is None or evaluation.grid is None or evaluation.counts is None:
        return None
    points = curve(evaluation.counts)
    return store.table_of(
        {
            "threshold": points.threshold,
            "tpr": points.tpr,
            "fpr": points.fpr,
            "precision": points.precision,
        }
    )


def _grid_arrays(evaluation: Evaluation | None) -> dict[str, Any] | None:
    if evaluation is None or evaluation.grid is None:
        return None
    grid = evaluation.grid
    return {
        "thresholds": grid.grid.thresholds,
        "tied": grid.grid.tied,
        "normal": grid.normal,
        "anomaly": grid.anomaly,
    }


def _pictures(frames: Frames, evaluation: Evaluation | None, score_of: ScoreOf) -> dict[str, bytes]:
    """Thumbnails of a few frames: the same ones for every method, and the method's worst."""
    anomalous = [
        i for i, row in enumerate(evaluation.rows if evaluation else ()) if row.average_precision
    ] or list(range(len(frames)))
    chosen = {anomalous[i] for i in np.linspace(0, len(anomalous) - 1, SHOWN - 1).astype(int)}
    if evaluation and evaluation.rows:
        rows = evaluation.rows
        chosen.add(min(anomalous, key=lambda i: rows[i].average_precision or 0.0))
    files = {}
    for index in sorted(chosen):
        frame = frames[index]
        files[f"{frame.id}.image.webp"] = pictures.webp(pictures.image_picture(frame.image))
        files[f"{frame.id}.score.webp"] = pictures.webp(
            pictures.score_picture(np.asarray(score_of(frame.id), np.float32))
        )
        if frame.label is not None:
            files[f"{frame.id}.label.webp"] = pictures.webp(pictures.label_picture(frame.label))
    return files
