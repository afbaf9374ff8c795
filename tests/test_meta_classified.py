"""Meta classification as a method: which segments are lowered, how far, and what a fit leaves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import label as connected
from stand_in import options

from harness.errors import DataError, MethodError
from harness.method import load_method, source_files
from harness.types import ANOMALY, Frame, Image
from methods import _fitted
from methods._fitted import save_state
from methods._meta_classification import MetaClassifier, Scaling, removed
from methods._segments import segments_of
from methods.meta_classified import MetaClassified

THRESHOLD = 0.5


def image(seed: int = 0) -> Image:
    """Coloured blocks with noise."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (5, 7, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    return np.clip(blocks + random.normal(0, 12, blocks.shape), 0, 255).astype(np.uint8)


def frames(count: int = 4) -> list[Frame]:
    """Images with an anomaly in a corner and void below."""
    made = []
    for number in range(count):
        label = np.zeros((40, 56), np.uint8)
        label[4:16, 4:28] = ANOMALY
        label[36:] = 255
        made.append(Frame(f"{number}", image(number), label=label))
    return made


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {**options(tmp_path_factory.mktemp("weights"), spread=8.0), "threshold": THRESHOLD}


def state(folder: Path, weight_of_size: float, bias: float) -> str:
    """The folder of a classifier that looks at the size of a segment only."""
    weights = np.zeros((1, 75))
    weights[0, 20] = weight_of_size  # of S
    classifier = MetaClassifier(Scaling(np.zeros(75), np.ones(75)), ((weights, np.array([bias])),))
    save_state(folder, classifier.state())
    return str(folder)


def base_score(stand_in: dict[str, Any], base: str = "entropy") -> np.ndarray:
    given = {key: value for key, value in stand_in.items() if key != "threshold"}
    return load_method(base, **given).predict(image()).score


def test_segments_that_are_taken_for_false_end_just_below_the_threshold(
    stand_in: dict[str, Any], tmp_path: Path
) -> None:
    plain = base_score(stand_in)
    found = load_method("meta_classified", **stand_in, fitted=state(tmp_path, 0, 9))
    score = found.predict(image()).score
    above = plain >= THRESHOLD
    assert above.any()
    assert score[above] == pytest.approx(THRESHOLD, abs=1e-7)
    assert score.max() < THRESHOLD
    assert np.array_equal(score[~above], plain[~above])


def test_segments_that_are_taken_for_true_keep_their_scores(
    stand_in: dict[str, Any], tmp_path: Path
) -> None:
    found = load_method("meta_classified", **stand_in, fitted=state(tmp_path, 0, -9))
    assert np.array_equal(found.predict(image()).score, base_score(stand_in))


def test_only_small_segments_go_where_the_classifier_says_so(
    stand_in: dict[str, Any], tmp_path: Path
) -> None:
    plain = base_score(stand_in)
    segment, count = connected(plain >= THRESHOLD, np.ones((3, 3)))
    small = np.bincount(segment.ravel())[segment] < 20.5
    found = load_method("meta_classified", **stand_in, fitted=state(tmp_path, -1, 20.5))
    score = found.predict(image()).score
    gone = (plain >= THRESHOLD) & (score < THRESHOLD)
    assert count > 5
    assert gone.any()
    assert np.array_equal(gone, (segment > 0) & small)


def test_more_certainty_lets_fewer_segments_go(stand_in: dict[str, Any], tmp_path: Path) -> None:
    folder = state(tmp_path, -0.1, 2)
    lowered = [
        np.count_nonzero(
            load_method("meta_classified", **stand_in, fitted=folder, certainty=certainty)
            .predict(image())
            .score
            < THRESHOLD
        )
        for certainty in (0.0, 0.5, 0.8, 1.0)
    ]
    assert lowered == sorted(lowered, reverse=True)
    assert len(set(lowered)) == 4


def test_a_threshold_that_nothing_reaches_changes_nothing(
    stand_in: dict[str, Any], tmp_path: Path
) -> None:
    given = {**stand_in, "threshold": 2.0}
    found = load_method("meta_classified", **given, fitted=state(tmp_path, 0, 9))
    assert np.array_equal(found.predict(image()).score, base_score(stand_in))


@pytest.mark.parametrize(
    ("base", "threshold"), [("msp", 0.5), ("max_logit", -4.0), ("energy", -5.0)]
)
def test_any_score_can_be_the_base(
    base: str, threshold: float, stand_in: dict[str, Any], tmp_path: Path
) -> None:
    given = {**stand_in, "threshold": threshold}
    found = load_method("meta_classified", **given, base=base, fitted=state(tmp_path, 0, 9))
    score, plain = found.predict(image()).score, base_score(stand_in, base)
    assert (plain >= threshold).any()
    assert np.array_equal(score < threshold, np.ones_like(score, bool))
    assert np.array_equal(score[plain < threshold], plain[plain < threshold])


def test_a_base_that_scores_at_the_networks_resolution_does_so(
    stand_in: dict[str, Any], tmp_path: Path
) -> None:
    given = {**stand_in, "base": "mc_dropout"}
    found = load_method("meta_classified", **given, fitted=state(tmp_path, 0, -9))
    assert np.array_equal(found.predict(image()).score, base_score(stand_in, "mc_dropout"))


def test_classes_and_confidence_are_those_of_the_network(
    stand_in: dict[str, Any], tmp_path: Path
) -> None:
    found = load_method("meta_classified", **stand_in, fitted=state(tmp_path, 0, 9)).predict(
        image()
    )
    given = {key: value for key, value in stand_in.items() if key != "threshold"}
    expected = load_method("entropy", **given).predict(image())
    assert np.array_equal(found.classes, expected.classes)
    assert np.array_equal(found.confidence, expected.confidence)


def test_views_of_the_image_are_those_of_the_base(stand_in: dict[str, Any], tmp_path: Path) -> None:
    given = {**stand_in, "flip": True, "scales": (1.0, 0.5)}
    found = load_method("meta_classified", **given, fitted=state(tmp_path, 0, -9))
    assert np.array_equal(found.predict(image()).score, base_score(given))


def test_the_bases_source_and_fit_belong_to_the_method(
    stand_in: dict[str, Any], tmp_path: Path
) -> None:
    folder = state(tmp_path, 0, 9)
    found = load_method(
        "meta_classified", **stand_in, base="sml", base_fitted=folder, fitted=folder
    )
    assert {"entropy.py", "meta_classified.py"} <= {
        path.name for path in source_files(load_method("meta_classified", **stand_in))
    }
    assert {"network", "fit", "base_fit"} == set(found.weights_files())


# The fit


def test_a_fit_says_what_the_method_then_does(stand_in: dict[str, Any], tmp_path: Path) -> None:
    learner = load_method("meta_classified", **stand_in)
    assert isinstance(learner, MetaClassified)
    told = learner.fit(frames(), tmp_path, progress=lambda *_: None)
    assert told["objects"] == 4
    removal = told["held_out_removal"]
    assert told["segments"] > removal[0]["fp_before"] > 0
    assert [each["certainty"] for each in removal] == sorted(
        {each["certainty"] for each in removal}
    )
    remaining = [each["fp_remaining"] for each in removal]
    assert remaining == sorted(remaining)
    assert 0 <= told["held_out_auroc"] <= 1
    learner.load(tmp_path)
    one = frames()[0]
    found = learner._seen(one.image, learner._loaded.preprocess(one.image))
    plain = found.prediction.score
    segments = segments_of(found.probabilities, plain >= THRESHOLD)
    gone = removed(MetaClassifier.from_state(learner.state).chances(segments.features))
    lowered = (plain >= THRESHOLD) & (learner.predict(one.image).score < THRESHOLD)
    expected = np.isin(segments.components.index, np.flatnonzero(gone) + 1)
    assert np.array_equal(lowered, expected)


@pytest.mark.parametrize("classifier", ["logistic", "mlp"])
def test_the_same_fit_leaves_the_same_bytes(
    classifier: str, stand_in: dict[str, Any], tmp_path: Path
) -> None:
    left = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        learner: Any = load_method("meta_classified", **stand_in, classifier=classifier)
        learner.fit(frames(2), tmp_path / name, progress=lambda *_: None)
        left.append((tmp_path / name / "state.safetensors").read_bytes())
    assert left[0] == left[1]


def test_a_killed_fit_goes_on_and_ends_with_the_same_bytes(
    stand_in: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_fitted, "CHECKPOINT_EVERY", 1)
    learner: Any = load_method("meta_classified", **stand_in)
    steps: list[int] = []

    def kill(what: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    (tmp_path / "whole").mkdir()
    learner.fit(frames(), tmp_path / "whole", progress=lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        learner.fit(frames(), tmp_path, progress=kill)
    learner.fit(frames(), tmp_path, progress=lambda what, done, total: steps.append(done))
    assert steps == [3, 4]
    one, other = (
        (folder / "state.safetensors").read_bytes() for folder in (tmp_path, tmp_path / "whole")
    )
    assert one == other


def test_frames_without_anomalies_are_one_sentence(
    stand_in: dict[str, Any], tmp_path: Path
) -> None:
    normal = [Frame(each.id, each.image, label=np.zeros_like(each.label)) for each in frames()]
    learner: Any = load_method("meta_classified", **stand_in)
    with pytest.raises(DataError, match="the frames have no labelled anomaly"):
        learner.fit(normal, tmp_path, progress=lambda *_: None)


def test_frames_without_labels_are_one_sentence(stand_in: dict[str, Any], tmp_path: Path) -> None:
    learner: Any = load_method("meta_classified", **stand_in)
    with pytest.raises(DataError, match="a: has no anomaly label"):
        learner.fit([Frame("a", image())], tmp_path, progress=lambda *_: None)


# Mistakes


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"base": "random_score"}, "random_score does not read a network's output"),
        ({"base": "meta_classified"}, "meta_classified does not read"),
        ({"base_fitted": "somewhere"}, "entropy learns nothing; leave base_fitted out"),
    ],
)
def test_a_base_that_makes_no_sense_is_one_sentence(
    chosen: dict[str, str], said: str, stand_in: dict[str, Any]
) -> None:
    with pytest.raises(MethodError, match=said):
        load_method("meta_classified", **stand_in, **chosen)


def test_a_base_that_learns_asks_for_its_fit(stand_in: dict[str, Any], tmp_path: Path) -> None:
    found = load_method("meta_classified", **stand_in, base="sml", fitted=state(tmp_path, 0, 9))
    with pytest.raises(MethodError, match="sml learns; give the folder of its fit as base_fitted"):
        found.predict(image())


def test_the_threshold_is_compared_as_the_number_it_is(
    stand_in: dict[str, Any], tmp_path: Path
) -> None:
    plain = base_score(stand_in)
    level = float(np.sort(plain.ravel())[-3])
    above = {**stand_in, "threshold": float(np.nextafter(level, np.inf))}
    folder = state(tmp_path, 0, 9)
    at = load_method("meta_classified", **{**stand_in, "threshold": level}, fitted=folder)
    beyond = load_method("meta_classified", **above, fitted=folder)
    assert (at.predict(image()).score != plain).sum() == (plain >= level).sum()
    assert (beyond.predict(image()).score != plain).sum() == (plain > level).sum()
