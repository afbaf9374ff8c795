"""Score maps that lie on disk: evaluated, saved as a submission, and compared with the method's."""

import numpy as np
import pytest
from PIL import Image

from harness import score_files, store
from harness.data import load_frames
from harness.errors import MetricError, RunError, ScoreError
from harness.metrics import METRICS
from harness.metrics.classes import ClassCounts
from harness.rescore import evaluate_folder, folder_run
from harness.run import build, run

SPLIT = "synthroad"
LIMIT = 2


@pytest.fixture(scope="module")
def frames():
    return load_frames(SPLIT, limit=LIMIT)


@pytest.fixture(scope="module")
def kept(frames, tmp_path_factory):
    """A run of a post-hoc method with its maps and classes kept."""
    out = tmp_path_factory.mktemp("runs")
    (saved,) = run(build(["energy"], {}), frames, out=out, keep_scores=True)
    return saved, store.run_folder(out, saved)


def test_a_method_and_its_own_uploaded_maps_get_the_identical_numbers(frames, kept):
    saved, folder = kept
    uploaded = folder_run(folder, frames, name="uploaded")
    own = {name: value for name, value in saved.metrics.items() if name != "ECE"}
    assert uploaded.metrics == own  # the ECE needs confidences, which are not kept
    intervals = {name: each for name, each in saved.intervals.items() if name != "ECE"}
    assert uploaded.intervals == intervals


def test_maps_without_classes_give_the_anomaly_metrics(frames, kept, tmp_path):
    saved, folder = kept
    for path in (folder / "scores").iterdir():
        np.save(tmp_path / f"{path.stem}.npy", score_files.read(path))
    found = evaluate_folder(tmp_path, frames)
    assert found.metrics["AP"] == saved.metrics["AP"]
    assert found.metrics["F1*"] == saved.metrics["F1*"]
    assert "mIoU" not in found.metrics


def test_a_given_threshold_is_used_for_components_and_recorded(frames, kept, tmp_path):
    saved, folder = kept
    given = folder_run(folder, frames, name="x", threshold=1e9)
    assert given.metrics["AP"] == saved.metrics["AP"]
    assert given.metrics["TP@50"] == 0.0
    assert given.threshold_given == 1e9
    assert given.id != folder_run(folder, frames, name="x").id


@pytest.mark.parametrize("name", ["", "a/../b", ".hidden", "a\\b"])
def test_a_name_that_is_no_folders_name_is_refused(frames, kept, tmp_path, name):
    with pytest.raises(RunError, match="cannot name a run"):
        folder_run(kept[1], frames, name=name, out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_saved_maps_are_a_run_of_kind_submission(frames, kept, tmp_path):
    _, folder = kept
    found = folder_run(folder, frames, name="mine", out=tmp_path)
    (loaded,) = store.load_runs(tmp_path)
    assert loaded == found
    assert (loaded.kind, loaded.method) == ("submission", "mine")
    assert len(store.frame_table(tmp_path, loaded)) == LIMIT


def test_missing_maps_are_all_named_before_any_is_read(frames, tmp_path):
    with pytest.raises(ScoreError, match=r"2 of 2 score maps are missing: synthroad_0000, syn"):
        evaluate_folder(tmp_path, frames)


def test_a_folder_that_is_not_there_is_one_sentence(frames, tmp_path):
    with pytest.raises(ScoreError, match="no such folder"):
        evaluate_folder(tmp_path / "nowhere", frames)


def test_hidden_labels_cannot_be_evaluated(tmp_path):
    from harness.data import DATASETS

    folder = tmp_path / "data" / "dataset_AnomalyTrack" / "images"
    folder.mkdir(parents=True)
    maps = tmp_path / "maps"
    maps.mkdir()
    for frame_id in DATASETS["smiyc_anomaly21_test"].ids:
        Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(folder / f"{frame_id}.jpg")
        np.save(maps / f"{frame_id}.npy", np.zeros((8, 9), np.float32))
    hidden = load_frames("smiyc_anomaly21_test", root=tmp_path / "data")
    with pytest.raises(MetricError, match="no anomaly labels"):
        evaluate_folder(maps, hidden)


def test_the_table_of_components_holds_what_the_metrics_count(kept):
    saved, folder = kept
    rows = store.table(folder.parent.parent, saved, "components").to_pandas()
    labelled, predicted = (rows[rows.kind == kind] for kind in ("labelled", "predicted"))
    assert len(labelled) == saved.metrics["TP@50"] + saved.metrics["FN@50"]
    siou = (labelled.overlap_px / labelled.union_px).mean()
    assert siou == pytest.approx(saved.metrics["sIoU"], abs=1e-12)
    invented = (100 * predicted.overlap_px < 50 * predicted.area_px).sum()
    assert invented == saved.metrics["FP@50"]


def test_the_counts_of_classes_give_the_class_metrics(kept):
    saved, folder = kept
    counts = ClassCounts.from_json(store.class_counts(folder.parent.parent, saved))
    for name in ("mIoU", "accuracy", "ECE"):
        assert METRICS[name].value(counts) == saved.metrics[name]


def test_open_miou_at_a_given_threshold_is_that_threshold(frames, kept):
    saved, folder = kept
    tuned = saved.metrics["open-mIoU"]
    low = evaluate_folder(folder, frames, threshold=-1e9).metrics["open-mIoU"]
    high = evaluate_folder(folder, frames, threshold=1e9).metrics["open-mIoU"]
    assert low < tuned
    assert high != low
