"""Local `harness submit`: the same maps get the same row, and the card is recorded."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from harness import score_files, store
from harness.data import load_frames
from harness.errors import DataError
from harness.run import build, run
from harness.score_files import Scaling
from harness.types import Run
from submissions.card import parsed
from submissions.check import check
from submissions.example_maps import block_contrast
from submissions.judge import claims, slug, submit
from submissions.report import InvalidSubmission

REPOSITORY = Path(__file__).parents[1]
EXAMPLE = REPOSITORY / "submissions" / "example"
SPLIT, LIMIT = "synthroad", 2
CARD = """
method = "Energy of <b>someone</b>"
authors = ["A. Researcher"]
contact = "secret@example.org"
paper = "https://example.org/paper"
network = "tiny"
trained_on = ["synthroad_train"]
proxy_outliers = ["COCO"]
same_checkpoint = true
accepts_terms = true
"""


@pytest.fixture(scope="module")
def frames():
    return load_frames(SPLIT, limit=LIMIT)


@pytest.fixture(scope="module")
def own(frames, tmp_path_factory):
    """A run of a post-hoc method with its maps and classes kept, and their folder."""
    out = tmp_path_factory.mktemp("runs")
    (saved,) = run(build(["energy"], {}), frames, out=out, keep_scores=True)
    return saved, store.run_folder(out, saved)


@pytest.fixture
def submission(own, tmp_path):
    """A function that makes a submission of the run's maps, each written by a function given."""

    def make(write=shutil.copy, ending=".score", card=CARD, classes=False):
        folder = tmp_path / f"submission{ending}"
        (folder / "scores").mkdir(parents=True)
        (folder / "submission.toml").write_text(card)
        for path in (own[1] / "scores").iterdir():
            write(path, folder / "scores" / f"{path.stem}{ending}")
        if classes:
            shutil.copytree(own[1] / "classes", folder / "classes")
        return folder

    return make


def submitted(folder: Path, tmp_path: Path, **options) -> Run:
    return submit(folder, SPLIT, out=tmp_path / "runs", limit=LIMIT, **options)


def as_float32(source: Path, target: Path) -> None:
    score_files.write(target, score_files.read(source))


@pytest.mark.parametrize("ending", [".score", ".npy", ".hdf5"])
def test_a_method_and_its_own_uploaded_maps_get_the_identical_row(
    own, submission, tmp_path, ending
):
    saved = own[0]
    found = submitted(submission(as_float32, ending, classes=True), tmp_path)
    assert found.metrics == {k: v for k, v in saved.metrics.items() if k != "ECE"}
    assert found.intervals == {k: v for k, v in saved.intervals.items() if k != "ECE"}
    assert (found.fingerprint, found.frames) == (saved.fingerprint, saved.frames)


def test_the_kept_maps_of_a_run_are_a_valid_submission_with_a_card(own, submission, tmp_path):
    found = submitted(submission(), tmp_path)
    assert found.metrics["AP"] == own[0].metrics["AP"]
    assert found.metrics["F1*"] == own[0].metrics["F1*"]


def as_kit(source: Path, target: Path) -> None:
    folder = target.parents[1] / "anomaly_p" / "my_method" / SPLIT
    folder.mkdir(parents=True, exist_ok=True)
    score_files.write(folder / f"{source.stem}.hdf5", score_files.read(source))


def test_the_kits_layout_gets_the_identical_row(own, submission, tmp_path):
    folder = submission(as_kit, classes=True)
    shutil.rmtree(folder / "scores")
    found = submitted(folder, tmp_path)
    assert found.metrics == {k: v for k, v in own[0].metrics.items() if k != "ECE"}


def as_float16(source: Path, target: Path) -> None:
    score_files.write(target, score_files.read(source).astype(np.float16))


def as_compact_float16(source: Path, target: Path) -> None:
    score_files.write_bytes(target, score_files.encoded_compact(score_files.read(source)))


def as_compact_uint16(source: Path, target: Path) -> None:
    score_files.write_bytes(target, score_files.encoded_compact(score_files.read(source), "uint16"))


LEVELS = Scaling(80 / 65535, -70.0)


def as_levels(source: Path, target: Path) -> None:
    score = score_files.read(source)
    assert score.min() > LEVELS.offset
    assert score.max() < LEVELS.offset + 65535 * LEVELS.scale
    score_files.write(target, score, scaling=LEVELS)


@pytest.mark.parametrize(
    ("write", "ending"),
    [
        (as_float16, ".npy"),
        (as_float16, ".hdf5"),
        (as_compact_float16, ".score"),
        (as_compact_uint16, ".score"),
        (as_levels, ".png"),
        (as_levels, ".tiff"),
    ],
)
def test_rounded_forms_stay_within_the_stated_tolerance(own, submission, tmp_path, write, ending):
    card = f"{CARD}\n[scores]\nscale = {LEVELS.scale!r}\noffset = {LEVELS.offset!r}\n"
    found = submitted(submission(write, ending, card), tmp_path)
    for name in ("AP", "AUROC", "FPR95", "bestF1"):
        assert found.metrics[name] == pytest.approx(own[0].metrics[name], abs=1e-3)


def test_equal_maps_are_the_same_run_and_other_maps_another(submission, tmp_path):
    folder = submission()
    first = submitted(folder, tmp_path)
    assert submitted(folder, tmp_path).id == first.id
    other = submitted(submission(as_float16, ".npy"), tmp_path)
    assert other.id != first.id
    assert {each.id for each in store.load_runs(tmp_path / "runs")} == {first.id, other.id}


def test_the_card_is_recorded_and_the_contact_is_not(submission, tmp_path):
    made = submitted(submission(), tmp_path, command="harness submit x")
    (saved,) = store.load_runs(tmp_path / "runs")
    assert saved == made
    assert (saved.kind, saved.method) == ("submission", "Energy of <b>someone</b>")
    assert saved.paper == "https://example.org/paper"
    assert saved.trained_on == ("synthroad_train", "COCO as proxy outliers")
    assert saved.options == {"network": "tiny"}
    card = saved.provenance["card"]
    assert (card["authors"], card["same_checkpoint"]) == (["A. Researcher"], True)
    assert saved.provenance["level"] == "recomputed from maps"
    assert "secret@example.org" not in store.encoded(saved).decode()


def test_the_id_of_a_run_is_a_plain_file_name_whatever_the_method_is_called(submission, tmp_path):
    card = CARD.replace("Energy of <b>someone</b>", "../../Über/方法")
    assert submitted(submission(card=card), tmp_path).id.startswith("uber-")
    assert slug("/") == "submission"
    assert slug("a" * 100) == "a" * 40


def test_claims_stand_beside_what_was_recomputed(own, submission, tmp_path):
    percent = 100 * own[0].metrics["AP"]
    card = f"{CARD}\n[claimed]\nAP = {percent:.1f}\nAUROC = 1\nmIoU = 50\n"
    found = submitted(submission(card=card), tmp_path).provenance["claims"]
    assert found["AP"]["agrees"]
    assert found["AP"]["recomputed"] == pytest.approx(percent)
    assert not found["AUROC"]["agrees"]
    assert found["mIoU"] == {"claimed": 50.0, "recomputed": None, "agrees": False}


def test_without_claims_there_is_nothing_to_compare():
    card, _ = parsed(CARD.encode())
    assert card is not None
    assert claims(card, {"AP": 0.5}) == {}


def test_an_invalid_submission_is_told_with_all_its_problems_and_saves_nothing(
    submission, tmp_path
):
    folder = submission(card="method = 1")
    (folder / "scores" / f"{SPLIT}_0000.score").unlink()
    with pytest.raises(InvalidSubmission, match="not valid for synthroad") as raised:
        submitted(folder, tmp_path)
    assert {each.code for each in raised.value.report.errors} == {"card-field", "missing"}
    assert not (tmp_path / "runs").exists()


def test_hidden_labels_cannot_be_evaluated_here(tmp_path):
    from PIL import Image

    from harness.data import DATASETS

    images = tmp_path / "dataset_AnomalyTrack" / "images"
    images.mkdir(parents=True)
    for frame_id in DATASETS["smiyc_anomaly21_test"].ids:
        Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(images / f"{frame_id}.jpg")
    with pytest.raises(DataError, match="labels are hidden"):
        submit(tmp_path, "smiyc_anomaly21_test", root=tmp_path, out=tmp_path / "runs")


def test_the_example_is_valid_and_its_maps_are_those_of_its_method(frames):
    limited = check(EXAMPLE, frames)
    assert limited.problems == ()
    for frame in frames:
        kept = score_files.read(EXAMPLE / "scores" / f"{frame.id}.score")
        assert np.allclose(kept, block_contrast(frame.image), rtol=1e-3)


def test_the_example_holds_a_map_of_every_frame_in_little_space():
    ids = load_frames(SPLIT).ids
    assert sorted(path.stem for path in (EXAMPLE / "scores").iterdir()) == sorted(ids)
    assert sum(path.stat().st_size for path in EXAMPLE.rglob("*.*")) < 200_000


def test_the_example_is_submitted(tmp_path):
    found = submitted(EXAMPLE, tmp_path)
    assert found.method == "Block contrast"
    assert found.flags == ("limited",)


def test_a_board_shows_the_fields_of_a_card_as_text(submission, tmp_path):
    from leaderboard.site import write_site

    name = "<script>alert(1)</script>"
    card = CARD.replace("Energy of <b>someone</b>", name).replace("A. Researcher", name)
    submitted(submission(card=card), tmp_path)
    runs = tmp_path / "runs"
    page = Path(
        write_site(
            store.load_runs(runs), runs, tmp_path / "board", with_images=False, date="2026-01-01"
        )
    )
    assert name not in page.read_text("utf-8")
