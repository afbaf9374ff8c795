"""`harness meta`: the report beside a run, when it is made anew, and what it refuses."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness import store
from harness.cli import main
from harness.data import Frames, load_frames
from harness.errors import HarnessError
from harness.meta import meta
from harness.meta_report import (
    BY_FRAMES,
    OWN,
    PUBLISHED,
    MetaReport,
    load_report,
    load_reports,
    report_path,
    save_report,
)
from harness.method import load_method
from harness.run import build
from harness.run import run as run_methods
from harness.types import Run
from methods import _meta_classification
from methods._fitted import save_state
from methods._meta_classification import MetaClassifier, Quality, Scaling, held_out, removed
from methods._segment_judgement import JudgedSegments
from methods._segment_sight import sight

LIMIT = 4


@pytest.fixture(scope="module")
def frames() -> Frames:
    return load_frames("synthroad", limit=LIMIT)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("meta") / "runs"


@pytest.fixture(scope="module")
def entropy(out: Path, frames: Frames) -> Run:
    """A run of `entropy` on four frames."""
    return run_methods(build(["entropy"], {"device": "cpu"}), frames, out=out)[0]


@pytest.fixture(scope="module")
def report(out: Path, entropy: Run) -> MetaReport:
    return meta(out, entropy)


@pytest.fixture(scope="module")
def lowered(out: Path, frames: Frames) -> Run:
    """A run of `meta_classified` whose classifier takes all but the largest segments for false."""
    folder = out.parent / "fit"
    folder.mkdir()
    weights = np.zeros((1, 75))
    weights[0, 20] = -1  # of S
    classifier = MetaClassifier(Scaling(np.zeros(75), np.ones(75)), ((weights, np.array([2e3])),))
    save_state(folder, classifier.state())
    (folder / "fit.json").write_text(json.dumps({"dataset": "synthroad_outliers"}))
    options = {"device": "cpu", "fitted": str(folder)}
    return run_methods(build(["meta_classified"], options), frames, out=out)[0]


@pytest.fixture
def harness(out: Path) -> Callable[..., Result]:
    def call(*words: object) -> Result:
        return CliRunner().invoke(main, [*map(str, words), "--out", str(out)])

    return call


def steps_of(asked: Callable[..., Any], *given: Any, **options: Any) -> set[str]:
    """What was told to be done by the call."""
    said: set[str] = set()
    asked(*given, **options, progress=lambda what, done, total: said.add(what))
    return said


def test_the_numbers_are_those_of_held_out_and_judged_segments(
    frames: Frames, report: MetaReport
) -> None:
    method: Any = load_method("entropy", device="cpu")
    parts = []
    for frame in frames:
        seen = sight(method, frame.image, method._loaded.preprocess(frame.image))
        assert frame.label is not None
        parts.append(JudgedSegments.seen(seen.probabilities, seen.mask(0.7), frame.label))
    judged = sum(parts[1:], parts[0])
    false = judged.false_positive
    chances = held_out(judged.features, false, normalisation="transductive")
    counts, quality = judged.removal(removed(chances)), Quality.of(chances, false)
    published = report.removals[0]
    assert (report.segments, report.objects) == (len(false), judged.objects)
    assert {name: getattr(published, name) for name in vars(quality)} == vars(quality)
    assert {name: getattr(published, name) for name in vars(counts)} == vars(counts)
    assert published.fp_removed == counts.fp_before - counts.fp_remaining
    assert published.fp_after_as_released == counts.tp_removed


def test_both_protocols_of_the_evaluated_labels_are_oracles(report: MetaReport) -> None:
    assert [(r.protocol, r.oracle) for r in report.removals] == [
        (PUBLISHED, True),
        (BY_FRAMES, True),
    ]
    assert {r.learned_from for r in report.removals} == {("synthroad",)}


def test_the_report_lies_beside_the_run_and_leaves_it_as_it_is(
    out: Path, entropy: Run, report: MetaReport
) -> None:
    assert store.load_run(store.run_folder(out, entropy)) == entropy
    assert report in load_reports(out, entropy, damaged=pytest.fail)
    assert {"code", "sources", "versions", "machine", "data", "command"} <= {*report.provenance}
    assert "scikit-learn" in report.provenance["versions"]
    assert "methods/_segment_report.py" in report.provenance["sources"]


def test_a_second_call_reads_what_the_first_one_saved(
    out: Path, entropy: Run, report: MetaReport
) -> None:
    assert meta(out, entropy, threshold=0.7) == report
    assert steps_of(meta, out, entropy) == set()


def test_other_sources_make_the_report_anew(out: Path, entropy: Run, report: MetaReport) -> None:
    facts = {**report.provenance, "sources": {"methods/_segments.py": "0" * 64}}
    save_report(out, entropy, dataclasses.replace(report, provenance=facts))
    assert "synthroad: finding segments" in steps_of(meta, out, entropy)
    assert meta(out, entropy).removals == report.removals


def test_the_removal_of_the_runs_own_classifier_is_no_oracle(out: Path, lowered: Run) -> None:
    *learned, own = meta(out, lowered).removals
    assert [each.protocol for each in learned] == [PUBLISHED, BY_FRAMES]
    assert (own.protocol, own.oracle, own.learned_from) == (OWN, False, ("synthroad_outliers",))
    assert own.fp_before == learned[0].fp_before > own.fp_remaining


def test_a_classifier_that_was_fitted_to_the_evaluated_data_is_an_oracle(
    out: Path, lowered: Run
) -> None:
    told = Path(lowered.options["fitted"]) / "fit.json"
    before = told.read_text()
    told.write_text(json.dumps({"dataset": "synthroad"}))  # beside the state, which counts
    try:
        assert meta(out, lowered, again=True).removals[-1].oracle
    finally:
        told.write_text(before)


# The command


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "json", "latex"])
def test_every_format_has_the_counts(
    form: str, harness: Callable[..., Result], entropy: Run, report: MetaReport
) -> None:
    result = harness("meta", entropy.id, "--format", form)
    assert result.exit_code == 0, result.stderr
    published = report.removals[0]
    for count in (published.fp_before, published.fp_remaining, published.fn_after):
        assert str(count) in result.stdout


def test_json_has_the_fields_that_scripts_read(
    harness: Callable[..., Result], entropy: Run, report: MetaReport
) -> None:
    rows = json.loads(harness("meta", entropy.id, "--format", "json").stdout)
    assert [row["protocol"] for row in rows] == [PUBLISHED, BY_FRAMES]
    assert rows[0]["run"] == entropy.id
    assert rows[0]["accuracy"] == 100 * report.removals[0].accuracy
    assert rows[0]["oracle"] is True


def test_other_options_are_another_report(
    harness: Callable[..., Result],
    out: Path,
    entropy: Run,
    report: MetaReport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_meta_classification, "EPOCHS", 2)
    before = len(load_reports(out, entropy, damaged=pytest.fail))
    result = harness("meta", entropy.id, "--classifier", "mlp", "--folds", 2, "--threshold", 0.8)
    assert result.exit_code == 0, result.stderr
    assert "score ≥ 0.8" in result.stdout
    assert "leave frames out, 2 folds†" in result.stdout
    assert len(load_reports(out, entropy, damaged=pytest.fail)) == before + 1


def test_the_legend_goes_to_stderr(
    harness: Callable[..., Result], entropy: Run, report: MetaReport
) -> None:
    result = harness("meta", entropy.id)
    assert "oracle: learned from the evaluated labels, and never ranked" in result.stderr
    assert "oracle" not in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--threshold", "1.5"], 1, "no labelled pixel scores 1.5 or more"),
        (["--set", "flip=yes"], 1, "no place that entropy records is called 'flip'"),
        (["--set", "weights=nowhere.pth"], 1, "nowhere.pth"),
        (["--threshold", "nan"], 2, "nan is no threshold"),
        (["--folds", "1"], 2, "1 is not in the range"),
        (["--classifier", "svm"], 2, "'svm' is not one of"),
        (["--set", "weights"], 2, "not of the form K=V"),
    ],
)
def test_wrong_words_are_one_sentence(
    words: list[str], code: int, sentence: str, harness: Callable[..., Result], entropy: Run
) -> None:
    result = harness("meta", entropy.id, *words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


# What is refused


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"kind": "submission"}, "is of kind submission: it has score maps and no class"),
        ({"flags": ("limited", "hidden labels")}, "the data set has hidden labels"),
        ({"flags": ("limited", "no anomaly labels")}, "the data set has no anomaly labels"),
        ({"fingerprint": "0" * 64}, "are not those that were scored"),
        ({"method": "margin"}, "its method or options are not those of this version"),
        ({"method": "random_score", "options": {}}, "RandomScore reads no network's output"),
    ],
)
def test_a_run_that_cannot_be_reported_is_one_sentence(
    facts: dict[str, Any], said: str, out: Path, entropy: Run
) -> None:
    method = facts.get("method")
    if method == "random_score":
        (run,) = run_methods(
            build([method], {}), load_frames("synthroad", limit=1), out=out.parent / "noise"
        )
    else:
        run = dataclasses.replace(entropy, **facts)
    with pytest.raises(HarnessError, match=said):
        meta(out, run)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("weights", r"its weights are not those of today \(network: another sha256\); say where"),
        ("sources", r"its sources are not those of today \(methods/.*score again with"),
    ],
)
def test_other_weights_or_sources_are_one_sentence(
    name: str, said: str, out: Path, entropy: Run
) -> None:
    changed = dict.fromkeys(entropy.provenance[name], "0" * 64)
    run = dataclasses.replace(entropy, provenance={**entropy.provenance, name: changed})
    with pytest.raises(HarnessError, match=said):
        meta(out, run)


def test_means_over_conditions_are_one_sentence(out: Path, entropy: Run) -> None:
    with pytest.raises(HarnessError, match="means over conditions; report a run on one of them"):
        meta(out, dataclasses.replace(entropy, dataset="synthroad_c"))


@pytest.mark.parametrize(
    "change",
    [
        {"removals": [{}]},
        {"removals": "none"},
        {"run": "another"},
        {"segments": "<b>"},
        {"segments": True},
        {"threshold": None},
        {"surplus": 1},
    ],
)
def test_a_damaged_report_is_one_sentence_and_left_out_of_lists(
    change: dict[str, Any], out: Path, entropy: Run, report: MetaReport
) -> None:
    known = load_reports(out, entropy, damaged=pytest.fail)
    good = report_path(out, entropy, threshold=0.7, classifier="logistic", folds=10, seed=0)
    path = store.run_folder(out, entropy) / "meta-damaged.json"
    path.write_text(json.dumps({**json.loads(good.read_text()), **change}))
    try:
        with pytest.raises(HarnessError, match="not a meta classification of this run"):
            load_report(path, entropy)
        said: list[HarnessError] = []
        assert load_reports(out, entropy, damaged=said.append) == known
        assert len(said) == 1
    finally:
        path.unlink()
