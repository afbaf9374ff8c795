"""`harness check`: every problem of a submission at once, from names, headers and values."""

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness import score_files
from harness.data import DATASETS, load_frames
from harness.errors import DataError, ScoreError
from harness.score_files import Scaling
from submissions.archive import Limits
from submissions.check import Expected, check, opened
from submissions.report import CODES, Report

CARD = """
method = "Test"
anonymous = true
contact = "a@example.org"
network = "none"
trained_on = []
proxy_outliers = []
same_checkpoint = true
accepts_terms = true
"""
SHAPE = (24, 40)
IDS = ("a", "b", "c")


def label_of(index: int) -> np.ndarray:
    label = np.zeros(SHAPE, np.uint8)
    label[8:14, 10 : 20 + 5 * index] = 1
    label[:2] = 255
    return label


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Three small frames with public labels."""
    root = tmp_path_factory.mktemp("data")
    (root / "images").mkdir()
    (root / "labels").mkdir()
    rng = np.random.default_rng(3)
    for index, frame in enumerate(IDS):
        image = rng.integers(0, 255, (*SHAPE, 3)).astype(np.uint8)
        Image.fromarray(image).save(root / "images" / f"{frame}.png")
        Image.fromarray(label_of(index)).save(root / "labels" / f"{frame}.png")
    return load_frames("custom", root=root)


@pytest.fixture
def folder(tmp_path):
    """A valid submission of random scores, a little higher where the label says anomaly."""
    made = tmp_path / "submission"
    (made / "scores").mkdir(parents=True)
    (made / "submission.toml").write_text(CARD)
    for index, frame in enumerate(IDS):
        np.save(made / "scores" / f"{frame}.npy", scores(index))
    return made


def scores(index: int) -> np.ndarray:
    noise = np.random.default_rng(index).normal(size=SHAPE)
    return (noise + (label_of(index) == 1)).astype(np.float32)


def put(folder: Path, frame: str, score: np.ndarray) -> None:
    np.save(folder / "scores" / f"{frame}.npy", score)


def codes(report: Report) -> list[tuple[str, str]]:
    return [(each.code, each.frame) for each in report.problems]


def test_a_good_submission_has_no_problem(frames, folder):
    report = check(folder, frames)
    assert report.valid
    assert report.text() == "valid for custom: 3 score maps"


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("ending", [".score", ".npy", ".hdf5"])
def test_every_format_is_valid(frames, folder, ending, dtype):
    for path in list((folder / "scores").iterdir()):
        score = np.load(path).astype(dtype)
        path.unlink()
        score_files.write(path.with_suffix(ending), score)
    assert check(folder, frames).problems == ()


@pytest.mark.parametrize("ending", [".png", ".tif", ".tiff"])
def test_levels_are_valid_with_a_scale_and_not_without(frames, folder, ending):
    scaling = Scaling(10 / 65535, -5.0)
    for path in list((folder / "scores").iterdir()):
        score_files.write(path.with_suffix(ending), np.load(path), scaling=scaling)
        path.unlink()
    assert codes(check(folder, frames)) == [("scale-missing", "")]
    card = f"{CARD}\n[scores]\nscale = {scaling.scale!r}\noffset = {scaling.offset!r}\n"
    (folder / "submission.toml").write_text(card)
    assert check(folder, frames).problems == ()


def test_formats_may_be_mixed(frames, folder):
    (folder / "scores" / "a.npy").unlink()
    score_files.write(folder / "scores" / "a.hdf5", scores(0))
    assert check(folder, frames).problems == ()


def test_the_kits_layout_is_valid_whatever_else_it_holds(frames, folder):
    kit = folder / "anomaly_p" / "my_method" / "custom"
    kit.mkdir(parents=True)
    for index, frame in enumerate((*IDS, "of_another_split")):
        score_files.write(kit / f"{frame}.hdf5", scores(index % 3).astype(np.float16))
    shutil.rmtree(folder / "scores")
    assert check(folder, frames).problems == ()
    shutil.copytree(kit.parent, kit.parents[1] / "another")
    assert {code for code, _ in codes(check(folder, frames))} == {"several"}


def change(name):
    """The change that gives exactly the problem `name` to frame b."""
    score = scores(1)
    return {
        "nan": np.where(score > 2, np.nan, score),
        "infinite": np.where(score > 2, np.inf, score),
        "constant": np.full(SHAPE, 0.5, np.float32),
        "saturated": np.minimum(score, 1.0),
        "few-levels": np.round(score * 10),
        "repeated": scores(0),
        "transposed": score.T,
        "resized": score[::2, ::2],
        "size": score[:, 1:],
        "eight-bit": np.zeros(SHAPE, np.uint8),
        "unreadable": np.zeros(SHAPE, np.float64),
    }[name]


WARNINGS = ("constant", "saturated", "few-levels", "repeated")


@pytest.mark.parametrize(
    "code",
    ["nan", "infinite", "transposed", "resized", "size", "eight-bit", "unreadable", *WARNINGS],
)
def test_a_bad_map_is_told_by_its_code_and_frame(frames, folder, code):
    score = change(code)
    put(folder, "b", score if code in ("eight-bit", "unreadable") else score.astype(np.float32))
    report = check(folder, frames)
    assert codes(report) == [(code, "b")]
    assert report.valid == (code in WARNINGS)


def test_an_axis_too_many_is_named(frames, folder):
    put(folder, "b", scores(1)[None])
    (problem,) = check(folder, frames).problems
    assert problem.code == "size"
    assert "axis of length 1" in problem.sentence


def test_infinity_in_float16_says_where_float16_ends(frames, folder):
    with np.errstate(over="ignore"):
        put(folder, "b", (scores(1) * 1e5).astype(np.float16))
    (problem,) = check(folder, frames).problems
    assert problem.code == "infinite"
    assert "65504" in problem.sentence


def test_only_constant_maps_are_an_error(frames, folder):
    for frame in IDS:
        put(folder, frame, np.zeros(SHAPE, np.float32))
    report = check(folder, frames)
    assert not report.valid
    assert ("constant", "") in codes(report)


def test_missing_extra_and_double_files_are_told(frames, folder):
    (folder / "scores" / "a.npy").unlink()
    put(folder, "of_another_set", scores(0))
    score_files.write(folder / "scores" / "b.score", scores(1))
    (folder / "notes.txt").write_text("x")
    report = check(folder, frames)
    assert set(codes(report)) == {("missing", "a"), ("several", "b"), ("extra", "")}
    assert "of_another_set.npy belongs to no frame" in report.text()
    assert "warning extra: notes.txt is passed over" in report.text()


def test_all_problems_are_told_at_once(frames, folder):
    (folder / "submission.toml").write_text("method = 3")
    (folder / "scores" / "a.npy").unlink()
    put(folder, "b", scores(1).T)
    put(folder, "c", np.full(SHAPE, np.nan, np.float32))
    found = {code for code, _ in codes(check(folder, frames))}
    assert found == {"card-field", "missing", "transposed", "nan"}


@pytest.mark.parametrize(
    ("content", "code"), [(None, "card-missing"), ("a = ", "card-syntax"), ("a = 1", "card-field")]
)
def test_the_card_is_checked(frames, folder, content, code):
    (folder / "submission.toml").unlink()
    if content is not None:
        (folder / "submission.toml").write_text(content)
    report = check(folder, frames)
    assert {each for each, _ in codes(report)} == {code}
    assert not report.valid


def test_an_inverted_sign_is_a_warning_with_its_number(frames, folder):
    for index, frame in enumerate(IDS):
        put(folder, frame, -scores(index))
    report = check(folder, frames)
    assert report.valid
    (problem,) = report.problems
    assert problem.code == "inverted"
    assert "AUROC is about 2" in problem.sentence


def test_hidden_labels_are_never_an_oracle(frames, folder):
    hidden = replace(frames, dataset=replace(frames.dataset, hidden_labels=True))
    assert hidden.has_labels  # as next to a judge
    for index, frame in enumerate(IDS):
        put(folder, frame, -scores(index))
    assert check(folder, hidden).problems == ()


def test_a_check_without_labels_reads_everything_else(frames, folder, tmp_path):
    shutil.copytree(Path(frames.where.split(" (")[0]) / "images", tmp_path / "images")
    unlabelled = load_frames("custom", root=tmp_path)
    assert not unlabelled.has_labels
    assert check(folder, unlabelled).problems == ()
    put(folder, "b", scores(1).T)
    assert codes(check(folder, unlabelled)) == [("transposed", "b")]


def test_without_images_ids_and_values_are_checked_and_sizes_are_said_not_to_be(tmp_path):
    expected = Expected.at("smiyc_anomaly21_val", tmp_path)
    (tmp_path / "scores").mkdir()
    (tmp_path / "submission.toml").write_text(CARD)
    for index, frame in enumerate(DATASETS["smiyc_anomaly21_val"].ids):
        put(tmp_path, frame, np.random.default_rng(index).normal(size=SHAPE).astype(np.float32))
    report = check(tmp_path, expected)
    assert report.valid
    assert codes(report) == [("unchecked", "")]


def test_without_images_or_known_ids_the_images_are_asked_for():
    with pytest.raises(DataError, match="known only from its images"):
        Expected.without_images(DATASETS["lost_and_found_test"])


def test_the_frames_of_a_limited_set_are_enough_and_more_is_not_extra(frames, folder):
    limited = replace(frames.take([0]), flags=("limited",))
    assert check(folder, limited).problems == ()


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (np.full(SHAPE, 18, np.uint8), ""),
        (np.full(SHAPE, 255, np.uint8), ""),
        (np.full(SHAPE, 19, np.uint8), "holds [19]"),
        (np.full((3, 4), 1, np.uint8), "(3, 4), not (24, 40)"),
        (np.zeros((*SHAPE, 3), np.uint8), "one byte a pixel"),
        (None, "no file of this frame"),
    ],
)
def test_predicted_classes_are_checked(frames, folder, classes, said):
    (folder / "classes").mkdir()
    for frame in IDS:
        array = np.zeros(SHAPE, np.uint8) if frame != "b" else classes
        if array is not None:
            Image.fromarray(array).save(folder / "classes" / f"{frame}.png")
    problems = check(folder, frames).problems
    assert [(each.code, each.frame) for each in problems] == [("classes", "b")] * bool(said)
    assert said in "".join(each.sentence for each in problems)


def zipped(folder: Path, path: Path, below: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, f"{below}{file.relative_to(folder).as_posix()}")
    return path


@pytest.mark.parametrize("below", ["", "my_submission/"])
def test_a_zip_is_checked_like_its_folder(frames, folder, tmp_path, below):
    put(folder, "b", scores(1).T)
    report = check(zipped(folder, tmp_path / "a.zip", below), frames)
    assert report == check(folder, frames)


def test_a_hostile_zip_is_a_report(frames, folder, tmp_path):
    path = zipped(folder, tmp_path / "a.zip", "../")
    report = check(path, frames)
    assert {code for code, _ in codes(report)} == {"archive"}
    assert not report.valid


def test_a_zip_that_unpacks_to_far_more_than_the_frames_is_refused(frames, folder, tmp_path):
    put(folder, "b", np.zeros((2000, 2000), np.float32))
    path = zipped(folder, tmp_path / "a.zip")
    assert codes(check(path, frames)) == [("archive", "")]
    with opened(path, frames, limits=Limits()) as checked:
        assert codes(checked.report) == [("size", "b")]


def test_nothing_there_is_one_sentence(frames, tmp_path):
    with pytest.raises(ScoreError, match="no such folder or zip"):
        check(tmp_path / "nothing", frames)


def test_an_empty_folder_names_every_frame(frames, tmp_path):
    assert codes(check(tmp_path, frames)) == [("card-missing", ""), *(("missing", i) for i in IDS)]


def test_many_equal_problems_are_one_line_of_text_and_all_in_json(folder, tmp_path):
    expected = replace(
        Expected.at("smiyc_anomaly21_test", tmp_path), shapes={f"f{i}": SHAPE for i in range(90)}
    )
    shutil.rmtree(folder / "scores")
    report = check(folder, replace(expected, unchecked=""))
    assert report.text().count("\n") == 1
    assert "error missing: f0, f1, f2 and 87 more: no score map of f0" in report.text()
    assert len(json.loads(report.to_json())["problems"]) == 90


def test_the_json_form_has_the_fields_that_programs_read(frames, folder):
    (folder / "scores" / "a.npy").unlink()
    facts = json.loads(check(folder, frames).to_json())
    assert (facts["dataset"], facts["valid"], facts["frames"]) == ("custom", False, 3)
    (problem,) = facts["problems"]
    assert set(problem) == {"code", "frame", "level", "sentence"}
    assert problem["code"] in CODES


def test_file_names_from_strangers_cannot_speak_to_the_terminal(frames, folder):
    (folder / "scores" / "a\x1b[2Jb.npy").write_bytes(b"")
    (folder / "x\ny").write_bytes(b"")
    assert "\x1b" not in check(folder, frames).text()
    assert len(check(folder, frames).text().splitlines()) == 3


def test_no_sentence_names_the_folder_of_an_unpacked_zip(frames, folder, tmp_path):
    (folder / "scores" / "a.npy").write_bytes(b"nothing")
    report = check(zipped(folder, tmp_path / "a.zip"), frames)
    (problem,) = report.problems
    assert problem.sentence.startswith("a.npy: not a readable")
    assert "/" not in problem.sentence


def test_every_code_is_documented():
    document = (Path(__file__).parents[1] / "submissions" / "README.md").read_text("utf-8")
    assert [code for code in CODES if f"`{code}`" not in document] == []
