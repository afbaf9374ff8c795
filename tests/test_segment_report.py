"""What meta classifiers make of a data set's segments: the numbers equal those of their parts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import label as connected
from stand_in import options

from harness.errors import DataError, MethodError
from harness.method import load_method
from harness.types import ANOMALY, IGNORE, NORMAL, Frame, Image, Label
from methods import _meta_classification
from methods._fitted import save_state
from methods._meta_classification import MetaClassifier, Quality, Scaling, held_out, removed
from methods._segment_judgement import JudgedSegments
from methods._segment_report import SegmentReport, chosen_threshold, segment_report
from methods._upsampling import resized

THRESHOLD = 0.5
EIGHT = np.ones((3, 3))


def image(seed: int = 0) -> Image:
    """Coloured blocks with noise."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (5, 7, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    return np.clip(blocks + random.normal(0, 12, blocks.shape), 0, 255).astype(np.uint8)


def label() -> Label:
    """An anomaly in a corner, void in a bar across the middle and below."""
    found = np.zeros((40, 56), np.uint8)
    found[4:16, 4:28] = ANOMALY
    found[:, 30:32] = found[36:] = IGNORE
    return found


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return [Frame(f"{number}", image(number), label=label()) for number in range(4)]


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return options(tmp_path_factory.mktemp("weights"), spread=8.0)


def reported(method: Any, frames: list[Frame], **chosen: Any) -> SegmentReport:
    given: dict[str, Any] = {"threshold": THRESHOLD, "classifier": "logistic", "folds": 3}
    return segment_report(
        method, frames, **{**given, "seed": 0, "progress": lambda *_: None, **chosen}
    )


def judged_directly(method: Any, frames: list[Frame]) -> JudgedSegments:
    """The segments of the frames, from the network's own output."""
    parts = []
    for frame in frames:
        score = method.predict(frame.image).score
        with torch.inference_mode():
            output = method._output(method._loaded.preprocess(frame.image))
            full = resized(output, frame.image.shape[:2])
        probabilities = full.logits.softmax(dim=0).numpy()
        assert frame.label is not None
        parts.append(JudgedSegments.seen(probabilities, score >= THRESHOLD, frame.label))
    return sum(parts[1:], parts[0])


@pytest.mark.parametrize("classifier", ["logistic", "mlp"])
def test_the_published_numbers_are_those_of_held_out_and_judged_segments(
    classifier: Any,
    stand_in: dict[str, Any],
    frames: list[Frame],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_meta_classification, "EPOCHS", 2)
    method = load_method("entropy", **stand_in)
    found = reported(method, frames[:2], classifier=classifier)
    judged = judged_directly(method, frames[:2])
    chances = held_out(
        judged.features, judged.false_positive, normalisation="transductive", kind=classifier
    )
    assert (found.segments, found.objects) == (len(judged.iou), judged.objects)
    assert found.published.quality == Quality.of(chances, judged.false_positive)
    assert found.published.counts == judged.removal(removed(chances))
    assert found.own is None


def test_the_numbers_by_frames_never_fit_to_a_segment_of_a_frame_that_is_asked(
    stand_in: dict[str, Any], frames: list[Frame]
) -> None:
    method = load_method("entropy", **stand_in)
    found = reported(method, frames, folds=4)
    judged = judged_directly(method, frames)
    chances = held_out(judged.features, judged.false_positive, folds=judged.frame)
    assert found.by_frames.quality == Quality.of(chances, judged.false_positive)
    assert found.by_frames.counts == judged.removal(removed(chances))


def test_more_folds_than_frames_leave_out_one_frame_at_a_time(
    stand_in: dict[str, Any], frames: list[Frame]
) -> None:
    method = load_method("entropy", **stand_in)
    assert reported(method, frames, folds=9) == reported(method, frames, folds=4)


def remover(stand_in: dict[str, Any], folder: Path, weight: float, bias: float, **more: Any) -> Any:
    """A method with a classifier that looks at the size of a segment only."""
    weights = np.zeros((1, 75))
    weights[0, 20] = weight  # of S
    classifier = MetaClassifier(Scaling(np.zeros(75), np.ones(75)), ((weights, np.array([bias])),))
    save_state(folder, classifier.state())
    (folder / "fit.json").write_text(json.dumps({"dataset": "elsewhere"}))
    return load_method(
        "meta_classified", **stand_in, threshold=THRESHOLD, fitted=str(folder), **more
    )


@pytest.mark.parametrize("certainty", [0.2, 0.5, 0.9])
def test_the_methods_own_counts_are_those_of_its_maps_before_and_after(
    certainty: float, stand_in: dict[str, Any], frames: list[Frame], tmp_path: Path
) -> None:
    method = remover(stand_in, tmp_path, -0.1, 4, certainty=certainty)
    found = reported(method, frames).own
    assert found is not None
    counted = dict.fromkeys(vars(found.counts), 0)
    for frame in frames:
        judged = label() != IGNORE
        before = (load_method("entropy", **stand_in).predict(frame.image).score >= 0.5) & judged
        after = (method.predict(frame.image).score >= THRESHOLD) & judged
        segments, count = connected(before, EIGHT)
        objects, known = connected(label() == ANOMALY, EIGHT)
        for number in range(1, count + 1):
            segment = segments == number
            false, stays = not (label()[segment] == ANOMALY).any(), after[segment].any()
            assert stays == after[segment].all()
            counted["fp_before"] += false
            counted["fp_remaining"] += false and stays
            counted["tp_removed"] += not false and not stays
        for number in range(1, known + 1):
            counted["fn_before"] += not before[objects == number].any()
            counted["fn_after"] += not after[objects == number].any()
    assert vars(found.counts) == counted
    assert found.counts.fp_removed > 0
    assert found.learned_from == ("elsewhere",)


def test_the_accuracy_of_the_methods_own_classifier_is_at_its_certainty(
    stand_in: dict[str, Any], frames: list[Frame], tmp_path: Path
) -> None:
    found = reported(remover(stand_in, tmp_path, 0, 1, certainty=0.99), frames)
    assert found.own is not None
    share = found.own.counts.fp_before / found.segments
    assert found.own.quality.accuracy == pytest.approx(1 - share)  # nothing is called false


def test_the_labels_report_of_a_remover_is_that_of_its_base(
    stand_in: dict[str, Any], frames: list[Frame], tmp_path: Path
) -> None:
    own = reported(remover(stand_in, tmp_path, 0, 1), frames)
    base = reported(load_method("entropy", **stand_in), frames)
    assert (own.published, own.by_frames) == (base.published, base.by_frames)


def test_the_threshold_is_the_given_or_the_published_or_the_methods_own(
    stand_in: dict[str, Any], tmp_path: Path
) -> None:
    entropy, own = load_method("entropy", **stand_in), remover(stand_in, tmp_path, 0, 1)
    assert [chosen_threshold(entropy, given) for given in (None, 0.3)] == [0.7, 0.3]
    assert [chosen_threshold(own, given) for given in (None, THRESHOLD)] == [THRESHOLD] * 2
    with pytest.raises(MethodError, match=r"at its own threshold 0\.5; leave --threshold out"):
        chosen_threshold(own, 0.3)


def test_a_method_without_a_network_is_one_sentence() -> None:
    with pytest.raises(MethodError, match="RandomScore reads no network's output"):
        chosen_threshold(load_method("random_score"), None)


@pytest.mark.parametrize(
    ("chosen", "everywhere", "said"),
    [
        ({"threshold": 2.0}, None, "no labelled pixel scores 2 or more, the highest score is 0"),
        ({}, NORMAL, r"none of the \d+ segments lies on a labelled object at threshold 0\.5"),
        ({}, ANOMALY, r"all \d+ segments lie on labelled objects at threshold 0\.5"),
        ({}, IGNORE, "no labelled pixel scores"),
    ],
)
def test_segments_that_teach_nothing_are_one_sentence(
    chosen: dict[str, float],
    everywhere: int | None,
    said: str,
    stand_in: dict[str, Any],
    frames: list[Frame],
) -> None:
    if everywhere is not None:
        same = np.full((40, 56), everywhere, np.uint8)
        frames = [Frame(each.id, each.image, label=same) for each in frames]
    with pytest.raises(MethodError, match=said):
        reported(load_method("entropy", **stand_in), frames, **chosen)


def test_segments_of_a_single_frame_are_one_sentence(
    stand_in: dict[str, Any], frames: list[Frame]
) -> None:
    empty = Frame("void", image(), label=np.full((40, 56), IGNORE, np.uint8))
    with pytest.raises(DataError, match="lie in one frame"):
        reported(load_method("entropy", **stand_in), [empty, frames[0]])


def test_a_frame_without_a_label_is_one_sentence(stand_in: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="a: has no anomaly label"):
        reported(load_method("entropy", **stand_in), [Frame("a", image())])
