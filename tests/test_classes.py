"""Class metrics: equal to literal definitions, to golden numbers, and obedient to the laws."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, jaccard_score, precision_recall_curve

from harness.errors import DataError, MetricError, ScoreError
from harness.metrics import METRICS
from harness.metrics.classes import (
    BestOpenMIoU,
    ClassCounts,
    OpenCounts,
    aurc,
    best_open_miou,
    excess_aurc,
    expected_calibration_error,
    flowenedet_threshold,
    iou_per_class,
    mean_threshold,
    miou,
    misclassification_label,
    open_iou_per_class,
    open_miou,
    pixel_accuracy,
    rejection_label,
    reliability_curve,
)
from harness.metrics.pixel import Pivots, PixelCounts, total


def frames(seed=0, sizes=((20, 30), (7, 9), (1, 40)), classes=19):
    """Per frame: predicted and labelled classes, confidence, and a score that mostly knows."""
    rng = np.random.default_rng(seed)
    for size in sizes:
        label = rng.integers(0, classes, size).astype(np.uint8)
        predicted = np.where(rng.random(size) < 0.7, label, rng.integers(0, classes, size))
        label[rng.random(size) < 0.15] = 255
        confidence = np.maximum(rng.beta(4, 2, size), 1 / 19).astype(np.float32)
        score = (rng.normal(size=size) + (predicted != label)).astype(np.float32)
        yield predicted.astype(np.uint8), label, confidence, score


def counted(seed=0, **options):
    return total(ClassCounts.of(p, c, conf) for p, c, conf, _ in frames(seed, **options))


def flat(seed=0, **options):
    """Labelled pixels: label, predicted, confidence."""
    rows = [(c[c < 255], p[c < 255], conf[c < 255]) for p, c, conf, _ in frames(seed, **options)]
    return tuple(np.concatenate(column) for column in zip(*rows, strict=True))


def golden():
    """Score, predicted, labelled classes of the three frames of FlowEneDet's golden vectors."""
    h, w = np.mgrid[:16, :20]
    made = []
    for k in range(3):
        predicted = ((h // 4) * 5 + w // 4 + k) % 19
        wrong = (3 * h + 5 * w + k) % 11 < 2
        void = (h + 2 * w + 3 * k) % 13 == 0
        classes = np.where(void, 255, np.where(wrong, (predicted + 1) % 19, predicted))
        score = 0.5 + 0.35 * np.sin(1.7 * h + 0.9 * w + k) + 0.3 * (wrong | void)
        made.append((score.astype(np.float32), predicted.astype(np.uint8), classes.astype("u1")))
    return made


# ---- confusion, IoU, accuracy


def test_confusion_and_iou_equal_those_of_scikit_learn():
    counts, (label, predicted, _) = counted(), flat()
    everything = list(range(19))
    assert np.array_equal(counts.confusion, confusion_matrix(label, predicted, labels=everything))
    assert iou_per_class(counts) == pytest.approx(
        jaccard_score(label, predicted, labels=everything, average=None), abs=1e-15
    )
    assert pixel_accuracy(counts) == np.mean(label == predicted)


def test_a_class_neither_labelled_nor_predicted_is_left_out_of_the_mean():
    iou = iou_per_class(ClassCounts.of(np.array([[0, 1, 1]]), np.array([[0, 0, 1]])))
    assert iou == (0.5, 0.5, *[None] * 17)
    assert miou(ClassCounts.of(np.array([[0, 1, 1]]), np.array([[0, 0, 1]]))) == (0.5, 2)


def test_a_class_predicted_but_never_labelled_has_iou_zero():
    counts = ClassCounts.of(np.array([[0, 0, 7]]), np.array([[0, 0, 0]]))
    assert iou_per_class(counts)[7] == 0
    assert miou(counts) == (pytest.approx(1 / 3), 2)


def test_predictions_on_ignored_pixels_do_not_count():
    counts = ClassCounts.of(np.array([[0, 7]]), np.array([[0, 255]]), np.full((1, 2), 0.9, "f4"))
    assert miou(counts) == (1.0, 1)
    assert counts.pixels.sum() == 1


def test_golden_miou_of_flowenedet():
    counts = total(ClassCounts.of(predicted, classes) for _, predicted, classes in golden())
    assert 100 * miou(counts).value == pytest.approx(69.6484, abs=5e-5)


# ---- calibration


def test_calibration_error_equals_the_literal_definition():
    for seed in range(5):
        label, predicted, confidence = flat(seed)
        error = Fraction()
        for i in range(15):  # in exact arithmetic: a float32 is a fraction
            inside = [
                (Fraction(float(c)), bool(right))
                for c, right in zip(confidence, label == predicted, strict=True)
                if i < 15 * Fraction(float(c)) <= i + 1
            ]
            error += abs(sum(c for c, _ in inside) - sum(right for _, right in inside))
        assert expected_calibration_error(counted(seed)) == float(error / len(label))


def test_a_confidence_on_a_bin_edge_belongs_to_the_bin_below():
    edges = np.array([[0.0, 1 / 3, 1.0, np.nextafter(np.float32(0.8), np.float32(0)), 0.8]], "f4")
    zeros = np.zeros((1, 5), np.uint8)
    counts = ClassCounts.of(zeros, zeros, edges)
    # float32(1 / 3) is above 1/3 and float32(0.8) above 4/5, so they lie in the bins above.
    assert np.flatnonzero(counts.pixels).tolist() == [0, 5, 11, 12, 14]


def test_confidences_are_summed_exactly():
    _, _, confidence = flat(3)
    exact = sum(Fraction(float(c)) for c in confidence)
    assert Fraction(sum(counted(3).confidence), 2**28) == exact


def test_reliability_bins_hold_mean_confidence_and_accuracy():
    label, predicted, confidence = flat()
    for low, high, pixels, accuracy, mean in reliability_curve(counted()):
        inside = (confidence > low) & (confidence <= high)
        assert pixels == inside.sum()
        assert accuracy == pytest.approx(np.mean((label == predicted)[inside]), abs=1e-15)
        assert mean == pytest.approx(np.mean(confidence[inside].astype(float)), abs=1e-12)


def test_the_expected_calibration_error_of_a_sure_and_right_network_is_zero():
    counts = ClassCounts.of(np.zeros((3, 3)).astype("u1"), np.zeros((3, 3), "u1"), np.ones((3, 3)))
    assert expected_calibration_error(counts) == 0
    assert reliability_curve(counts) == ((14 / 15, 1.0, 9, 1.0, 1.0),)


def test_calibration_needs_the_confidence_of_every_labelled_pixel():
    (p, c, confidence, _), (q, d, _, _), _ = frames()
    with pytest.raises(MetricError, match="came without a confidence"):
        expected_calibration_error(ClassCounts.of(p, c, confidence) + ClassCounts.of(q, d))


# ---- laws of the counts


def test_class_counts_do_not_depend_on_order_or_grouping():
    parts = [ClassCounts.of(p, c, conf) for s in range(3) for p, c, conf, _ in frames(s)]
    assert total(parts) == total(reversed(parts)) == total(parts[:4]) + total(parts[4:])


def test_a_frame_cut_in_two_counts_as_the_whole():
    p, c, conf, _ = next(frames())
    whole = ClassCounts.of(p, c, conf)
    assert ClassCounts.of(p[:9], c[:9], conf[:9]) + ClassCounts.of(p[9:], c[9:], conf[9:]) == whole


def test_class_counts_survive_json():
    counts = counted()
    assert ClassCounts.from_json(json.loads(json.dumps(counts.to_json()))) == counts
    with pytest.raises(DataError, match="406 integers"):
        ClassCounts.from_json([0] * 405)


@pytest.mark.parametrize(
    ("predicted", "classes", "error", "says"),
    [
        ([[19]], [[0]], ScoreError, "train ids are 0 to 18"),
        ([[255]], [[255]], ScoreError, "from 255 to 255"),
        ([[0]], [[19]], DataError, "hold 19"),
        ([[0]], [[-1]], DataError, "hold -1"),
        ([[0, 1]], [[0]], ScoreError, r"\(1, 2\)"),
        ([[0.5]], [[0]], ScoreError, "float64"),
        ([[0]], [[0.5]], DataError, "float64"),
    ],
)
def test_what_is_no_train_id_is_refused(predicted, classes, error, says):
    with pytest.raises(error, match=says):
        ClassCounts.of(np.array(predicted), np.array(classes))


@pytest.mark.parametrize("confidence", [[[1.1]], [[-0.1]], [[np.nan]], [[1]], [[0.5, 0.5]]])
def test_what_is_no_probability_is_refused(confidence):
    with pytest.raises(ScoreError, match="confidences"):
        ClassCounts.of(np.array([[0]]), np.array([[0]]), np.array(confidence))


def test_a_confidence_that_rounding_lifted_above_one_counts_as_one():
    above = np.nextafter(np.float32(1), np.float32(2)).reshape(1, 1)
    counts = ClassCounts.of(np.array([[0]]), np.array([[0]]), above)
    assert expected_calibration_error(counts) == 0


@pytest.mark.parametrize("metric", [miou, pixel_accuracy, expected_calibration_error])
def test_without_a_labelled_pixel_nothing_is_defined(metric):
    nothing = ClassCounts.of(np.zeros((2, 2), "u1"), np.full((2, 2), 255, "u1"), np.ones((2, 2)))
    with pytest.raises(MetricError, match="not defined: no pixel"):
        metric(nothing)


# ---- misclassification detection


def misclassification(seed=0, ties=lambda x: x, duplicates=1):
    maps = [
        (ties(score).astype(np.float32), misclassification_label(p, c))
        for p, c, _, score in frames(seed)
    ] * duplicates
    pivots = total(Pivots.of(score, label) for score, label in maps)
    return total(PixelCounts.of(score, label, pivots) for score, label in maps), maps


def test_misclassified_pixels_are_the_anomalies():
    label = misclassification_label(np.array([[3, 3, 3]]), np.array([[3, 4, 255]]))
    assert label.tolist() == [[0, 1, 255]]
    assert label.dtype == np.uint8


def test_void_pixels_are_to_be_rejected():
    assert rejection_label(np.array([[3, 3, 3]]), np.array([[3, 4, 255]])).tolist() == [[0, 1, 1]]


def test_golden_misclassification_numbers_of_flowenedet():
    maps = [(score, misclassification_label(p, c)) for score, p, c in golden()]
    pivots = total(Pivots.of(*frame) for frame in maps)
    counts = total(PixelCounts.of(*frame, pivots) for frame in maps)
    assert METRICS["AP"].value(counts) == pytest.approx(0.6383666, abs=5e-8)
    assert METRICS["AUROC"].value(counts) == pytest.approx(0.793794, abs=5e-7)


def mean_risk(wrong):
    """AURC as Geifman et al. write it: `wrong` (0 or 1) from the lowest score to the highest."""
    return np.mean(np.cumsum(wrong) / np.arange(1, len(wrong) + 1))


def flat_pixels(maps):
    label = np.concatenate([label.ravel() for _, label in maps])
    score = np.concatenate([score.ravel() for score, _ in maps])[label < 255]
    return label[label < 255].astype(float), score


@pytest.mark.parametrize("seed", range(5))
def test_aurc_equals_the_mean_of_the_risks_where_nothing_ties(seed):
    counts, maps = misclassification(seed)
    wrong, score = flat_pixels(maps)
    assert aurc(counts) == pytest.approx(mean_risk(wrong[np.argsort(score)]), abs=1e-13, rel=0)
    assert excess_aurc(counts) == pytest.approx(
        mean_risk(wrong[np.argsort(score)]) - mean_risk(np.sort(wrong)), abs=1e-13, rel=0
    )


@pytest.mark.parametrize("decimals", [1, 0, -2])
def test_aurc_of_ties_is_the_expected_one_over_their_orders(decimals):
    counts, maps = misclassification(1, lambda x: np.round(x, decimals))
    wrong, score = flat_pixels(maps)
    steady = np.array([wrong[score == s].mean() for s in score])[np.argsort(score)]
    assert aurc(counts) == pytest.approx(mean_risk(steady), abs=1e-13, rel=0)


def test_aurc_of_ties_is_the_mean_over_shuffles():
    counts, maps = misclassification(2, np.round)
    wrong, score = flat_pixels(maps)
    rng = np.random.default_rng(0)
    orders = (np.lexsort((rng.random(len(score)), score)) for _ in range(2000))
    assert aurc(counts) == pytest.approx(np.mean([mean_risk(wrong[o]) for o in orders]), abs=1e-3)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=40))
def test_aurc_of_few_pixels_equals_the_exact_fraction(pixels):
    label = np.array([[w for w, _ in pixels]], np.uint8)
    score = np.array([[s for _, s in pixels]], np.float32)
    counts = PixelCounts.of(score, label)
    risks, accepted, wrong = [], 0, Fraction()
    for value in sorted({s for _, s in pixels}):
        group = [w for w, s in pixels if s == value]
        for _ in group:
            accepted += 1
            wrong += Fraction(sum(group), len(group))
            risks.append(wrong / accepted)
    assert aurc(counts) == pytest.approx(float(sum(risks) / len(risks)), abs=1e-14, rel=0)
    assert 0 <= excess_aurc(counts) <= aurc(counts)


def test_aurc_keeps_its_digits_over_many_pixels():
    rng = np.random.default_rng(5)
    wrong = np.sort(rng.random(400_000))[rng.permutation(400_000)] < 0.02
    score = rng.permutation(400_000).astype(np.float32)
    counts = PixelCounts.of(score[None], wrong[None].astype(np.uint8))
    risks = np.cumsum(wrong[np.argsort(score)]) / np.arange(1, 400_001)
    assert aurc(counts) == pytest.approx(math.fsum(risks) / 400_000, abs=0, rel=1e-12)


def test_a_perfect_score_has_no_excess_aurc():
    label = np.repeat([0, 1], [900, 100]).astype(np.uint8)[None]
    counts = PixelCounts.of(np.arange(1000, dtype=np.float32)[None], label)
    assert excess_aurc(counts) < 1e-15
    assert aurc(counts) == pytest.approx(0.1 + 0.9 * math.log(0.9), abs=1e-3)  # its limit


def test_aurc_is_zero_without_and_one_with_nothing_but_errors():
    score = np.arange(12, dtype=np.float32).reshape(3, 4)
    right = PixelCounts.of(score, np.zeros((3, 4), np.uint8))
    wrong = PixelCounts.of(score, np.ones((3, 4), np.uint8))
    assert [aurc(right), excess_aurc(right), aurc(wrong), excess_aurc(wrong)] == [0, 0, 1, 0]


def test_aurc_does_not_change_under_monotone_transforms_or_frame_order():
    counts, maps = misclassification(3, lambda x: np.round(x, 1))
    other = [(np.exp(score), label) for score, label in reversed(maps)]
    pivots = total(Pivots.of(*frame) for frame in other)
    assert aurc(total(PixelCounts.of(*frame, pivots) for frame in other)) == aurc(counts)


def test_aurc_needs_a_labelled_pixel():
    nothing = PixelCounts.of(np.ones((2, 2), np.float32), np.full((2, 2), 255, np.uint8))
    with pytest.raises(MetricError, match="AURC is not defined"):
        aurc(nothing)


# ---- open-IoU


def literal_open_iou(maps, tau):
    """FlowEneDet's: relabel mismatches and rejected pixels as class 19, ignore nothing."""
    hit, predicted_as, labelled_as = np.zeros((3, 20))
    for score, predicted, classes in maps:
        label = np.where(classes != predicted, 19, classes)
        guess = np.where(score > np.float32(tau), 19, predicted)
        hit += np.bincount(label[label == guess], minlength=20)
        predicted_as += np.bincount(guess.ravel(), minlength=20)
        labelled_as += np.bincount(label.ravel(), minlength=20)
    union = predicted_as + labelled_as - hit
    return [float(h / u) if u else None for h, u in zip(hit, union, strict=True)]


def random_maps(seed, classes=19):
    return [(score, p, c) for p, c, _, score in frames(seed, classes=classes)]


def open_counts(maps, thresholds):
    return total(OpenCounts.of(score, p, c, thresholds) for score, p, c in maps)


@pytest.mark.parametrize("seed", range(3))
def test_open_iou_equals_the_literal_definition_at_every_threshold(seed):
    maps = random_maps(seed, classes=12)  # some classes are neither labelled nor predicted
    grid = [-1.0, 0.0, 0.37, float(maps[0][0][0, 0]), 1.5]
    counts = open_counts(maps, grid)
    for tau in grid:
        literal = literal_open_iou(maps, tau)
        assert open_iou_per_class(counts, tau) == pytest.approx(literal, abs=1e-15)
        defined = [value for value in literal if value is not None]
        assert open_miou(counts, tau) == (pytest.approx(np.mean(defined)), len(defined))


def test_golden_open_miou_of_flowenedet():
    maps = golden()
    tau = mean_threshold(flowenedet_threshold(*frame) for frame in maps)
    assert tau == pytest.approx(0.8582680, abs=5e-8)
    counts = open_counts(maps, tau)
    assert 100 * open_miou(counts, tau).value == pytest.approx(82.9900, abs=5e-5)
    assert 100 * open_iou_per_class(counts, tau)[19] == pytest.approx(44.6352, abs=5e-5)


@pytest.mark.parametrize("decimals", [9, 1, 0])
def test_a_frames_threshold_is_scikit_learns_first_best_f1(decimals):
    for score, predicted, classes in random_maps(decimals):
        score = np.round(score, decimals)
        label = (predicted != classes).ravel()
        precision, recall, thresholds = precision_recall_curve(label, score.ravel())
        f1 = 2 * precision * recall / np.where(precision + recall, precision + recall, 1)
        assert flowenedet_threshold(score, predicted, classes) == thresholds[np.argmax(f1)]


def test_a_frame_without_error_and_void_has_no_threshold():
    ones = np.ones((2, 2), np.uint8)
    with pytest.raises(MetricError, match="no pixel is wrong or void"):
        flowenedet_threshold(np.ones((2, 2), np.float32), ones, ones)
    with pytest.raises(MetricError, match="no threshold to average"):
        mean_threshold([])


def test_a_pixel_level_with_the_threshold_is_kept():
    score = np.array([[0.5, 0.75]], np.float32)
    predicted, classes = np.array([[0, 0]]), np.array([[0, 255]])
    counts = OpenCounts.of(score, predicted, classes, [0.5, 0.75])
    assert open_iou_per_class(counts, 0.5) == (1.0, *[None] * 18, 1.0)
    assert open_iou_per_class(counts, 0.75) == (0.5, *[None] * 18, 0.0)


def test_the_best_threshold_is_the_best_of_the_grid_and_the_highest_of_equals():
    maps = random_maps(4)
    grid = np.linspace(-2, 3, 41)
    counts = open_counts(maps, grid)
    values = [open_miou(counts, tau).value for tau in grid]
    best = max(range(41), key=lambda i: (values[i], i))
    assert best_open_miou(counts) == BestOpenMIoU(values[best], float(np.float32(grid[best])))
    flat_end = open_counts(maps, [90, 91])
    assert best_open_miou(flat_end).threshold == 91


def test_open_counts_add_in_any_order_and_survive_json():
    parts = [OpenCounts.of(s, p, c, [0.0, 1.0]) for s, p, c in random_maps(1)]
    assert total(parts) == total(reversed(parts))
    assert OpenCounts.from_json(json.loads(json.dumps(parts[0].to_json()))) == parts[0]
    with pytest.raises(DataError, match="cannot be read"):
        OpenCounts.from_json([[0.5], [1, 2]])


def test_open_counts_at_other_thresholds_do_not_mix():
    score, predicted, classes = random_maps(0)[0]
    counts = OpenCounts.of(score, predicted, classes, 0.5)
    with pytest.raises(MetricError, match="at different thresholds"):
        counts + OpenCounts.of(score, predicted, classes, 0.6)
    with pytest.raises(MetricError, match=r"not counted at threshold 0\.6"):
        open_miou(counts, 0.6)
