"""Pixel metrics: equal to scikit-learn on every tie pattern, and obedient to the laws."""

import math
import pickle
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from harness.errors import DataError, MetricError, ScoreError
from harness.metrics import METRICS, pixel
from harness.metrics.pixel import (
    BestF1,
    Pivots,
    PixelCounts,
    auroc,
    average_precision,
    best_f1,
    curve,
    fpr_at_tpr,
    positives_share,
    total,
)

SIZES = ((30, 50), (7, 9), (1, 1), (40, 41), (3, 200))
TIES = {
    "no ties": lambda x: x,
    "some ties": lambda x: np.round(x, 1),
    "many ties": lambda x: np.round(x),
    "all ties": lambda x: 0 * x + 0.3,
}


def frames(seed=0, ties="no ties", dtype=np.float32, labels=(0, 0, 0, 0, 1, 255), sizes=SIZES):
    """A few (score, label) of different sizes, anomalies somewhat higher."""
    rng = np.random.default_rng(seed)
    made = []
    for size in sizes:
        label = rng.choice(labels, size).astype(np.uint8)
        made.append((TIES[ties](rng.normal(size=size) + (label == 1)).astype(dtype), label))
    return made


def count(maps):
    pivots = total(Pivots.of(score, label) for score, label in maps)
    return total(PixelCounts.of(score, label, pivots) for score, label in maps)


def flat(maps):
    """Labels and float64 scores of all pixels that are not ignored, for scikit-learn."""
    label = np.concatenate([label.ravel() for _, label in maps])
    score = np.concatenate([score.ravel() for score, _ in maps]).astype(np.float64)
    return label[label < 255], score[label < 255]


def values(counts):
    pixel_metrics = (m for m in METRICS.values() if m.family == "pixel")
    return {metric.name: metric.value(counts) for metric in pixel_metrics}


def drawn(positives, scores):
    """Counts of one row of pixels: `positives` is text, P or N per pixel."""
    label = np.array([[c == "P" for c in positives]], np.uint8)
    return PixelCounts.of(np.array([scores], np.float32), label)


def falling(positives):
    """Counts of pixels with distinct scores, drawn from the highest score to the lowest."""
    return drawn(positives, range(len(positives), 0, -1))


def agrees_with_sklearn(maps):
    counts, (label, score) = count(maps), flat(maps)
    assert average_precision(counts) == pytest.approx(
        average_precision_score(label, score), abs=1e-12, rel=0
    )
    assert auroc(counts) == pytest.approx(roc_auc_score(label, score), abs=1e-12, rel=0)
    fpr, tpr, _ = roc_curve(label, score, drop_intermediate=False)
    enough = 20 * np.rint(tpr * label.sum()) >= 19 * label.sum()
    assert fpr_at_tpr(counts) == pytest.approx(fpr[enough][0], abs=1e-12, rel=0)
    precision, recall, thresholds = precision_recall_curve(label, score)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    assert best_f1(counts).f1 == pytest.approx(f1.max(), abs=1e-12, rel=0)
    at = np.flatnonzero(thresholds == best_f1(counts).threshold)
    assert f1[at] == pytest.approx(f1.max(), abs=1e-12, rel=0)


# ---- equality with scikit-learn


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("seed", range(5))
def test_metrics_equal_those_of_scikit_learn(ties, dtype, seed):
    agrees_with_sklearn(frames(seed, ties, dtype))


def test_metrics_equal_those_of_scikit_learn_where_anomalies_are_the_majority():
    agrees_with_sklearn(frames(1, "some ties", labels=(0, 1, 1, 1, 1)))


def test_metrics_equal_those_of_scikit_learn_on_one_anomalous_pixel():
    label = np.zeros((9, 9), np.uint8)
    label[4, 4] = 1
    agrees_with_sklearn([(np.random.default_rng(0).normal(size=(9, 9)).astype("f4"), label)])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_metrics_equal_those_of_scikit_learn_on_any_scores(data):
    size = data.draw(st.integers(2, 60))
    finite = arrays.from_dtype(
        np.dtype(np.float32), allow_nan=False, allow_infinity=False, allow_subnormal=True
    )
    few = st.sampled_from([-1.5, -0.0, 0.0, 1e-45, 1.0, 3e38])
    score = data.draw(arrays.arrays(np.float32, (1, size), elements=few | finite))
    label = data.draw(arrays.arrays(np.uint8, (1, size), elements=st.sampled_from([0, 1, 255])))
    label[0, :2] = 0, 1
    agrees_with_sklearn([(score, label)])


@pytest.mark.parametrize("tpr", [0.05, 0.1, 0.3, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0])
def test_fpr_at_any_tpr_is_the_first_point_of_the_roc_curve_that_reaches_it(tpr):
    maps = frames(2, "some ties")
    label, score = flat(maps)
    candidates = [
        Fraction(int((score[label == 0] >= t).sum()), int((label == 0).sum()))
        for t in np.unique(score)
        if int((score[label == 1] >= t).sum()) >= Fraction(str(tpr)) * int(label.sum())
    ]
    assert fpr_at_tpr(count(maps), tpr) == float(min(candidates))


def test_counts_equal_those_of_looking_at_every_pivot():
    maps = frames(5, "some ties")
    counts, (label, score) = count(maps), flat(maps)
    pivots = counts.pivots.values
    assert np.array_equal(pivots, np.unique(score[label == 1]))
    for which, at_least, equal in (
        (0, counts.normal_at_least, counts.normal_equal),
        (1, counts.anomaly_at_least, counts.anomaly_equal),
    ):
        mine = score[label == which]
        assert at_least.dtype == equal.dtype == np.int64
        assert at_least.tolist() == [int((mine >= pivot).sum()) for pivot in pivots]
        assert equal.tolist() == [int((mine == pivot).sum()) for pivot in pivots]
    assert (counts.normal, counts.anomaly) == (int((label == 0).sum()), int((label == 1).sum()))


# ---- hand-drawn cases

DRAWN = {  # drawn from the highest score down: AP, AUROC, FPR95, best F1
    "first normals after 95 %": ("P" * 19 + "N" * 50 + "P" + "N" * 50,
                                 (0.964286, 0.975, 0.0, 0.974359)),
    "late positives": ("P" * 94 + "N" * 30 + "P" + "N" * 40 + "P" * 5 + "N" * 30,
                       (0.976765, 0.962, 0.30, 0.969072)),
    "perfect": ("PPPNNNNN", (1.0, 1.0, 0.0, 1.0)),
    "upside down": ("NP", (0.5, 0.0, 1.0, 2 / 3)),
}  # fmt: skip
SCORED = {  # pixels, scores; AP, AUROC, FPR95, best F1
    "twenty ties of one and one": ("PN" * 20, [i // 2 for i in range(40)],
                                   (0.5, 0.5, 0.95, 2 / 3)),
    "constant": ("PPPNNNNN", [0.7] * 8, (0.375, 0.5, 1.0, 0.545455)),
    "textbook": ("NNPP", [0.1, 0.4, 0.35, 0.8], (0.833333, 0.75, 0.5, 0.8)),
    "textbook, every pixel 12 times": ("NNPP" * 12, [0.1, 0.4, 0.35, 0.8] * 12,
                                       (0.833333, 0.75, 0.5, 0.8)),
    "label as score": ("NNNPP" * 32, [0, 0, 0, 1, 1] * 32, (1.0, 1.0, 0.0, 1.0)),
    "two of four swapped": ("NPNP", [0.1, 0.4, 0.35, 0.8], (1.0, 1.0, 0.0, 1.0)),
    "one of each kind wrong": ("NNNPPP" * 128, [0, 0, 0.9, 0.1, 1, 1] * 128,
                               (0.916667, 8 / 9, 1 / 3, 6 / 7)),
    "ninety-nine above one": ("P" * 99 + "N", [1] * 99 + [0.99], (1.0, 1.0, 0.0, 1.0)),
    "all normals above": ("P" * 99 + "N", [0.99] * 99 + [1], (0.99, 0.0, 1.0, 198 / 199)),
    "half the normals above": ("P" * 100 + "N" * 100, [0.9] * 100 + [0.95] * 50 + [0.85] * 50,
                               (2 / 3, 0.5, 0.5, 0.8)),
    "mixed": ("PNPNNPN", [0.9, 0.8, 0.7, 0.6, 0.4, 0.2, 0.1], (0.722222, 2 / 3, 0.75, 2 / 3)),
    "zero, a half and more": ("NPPN", [0, 0.5, 0.7, 0.8], (0.583333, 0.5, 0.5, 0.8)),
}  # fmt: skip
CASES = {name: (falling(drawn_), want) for name, (drawn_, want) in DRAWN.items()} | {
    name: (drawn(pixels, scores), want) for name, (pixels, scores, want) in SCORED.items()
}


@pytest.mark.parametrize("name", CASES)
def test_hand_drawn_cases_have_the_values_worked_out_by_hand(name):
    counts, want = CASES[name]
    got = (average_precision(counts), auroc(counts), fpr_at_tpr(counts), best_f1(counts).f1)
    assert got == pytest.approx(want, abs=5e-7)


def test_exactly_95_per_cent_of_the_anomalies_are_enough():
    counts = falling("P" * 19 + "N" * 10 + "P")
    assert fpr_at_tpr(counts, 0.95) == 0.0
    assert fpr_at_tpr(counts, 0.951) == 1.0


@pytest.mark.parametrize("tpr", [0.0, -0.1, 1.01, math.nan])
def test_a_true_positive_rate_outside_of_0_to_1_is_refused(tpr):
    with pytest.raises(ValueError, match="true-positive rate"):
        fpr_at_tpr(falling("PN"), tpr)


@pytest.mark.parametrize("together", [1, 2**20])
def test_the_highest_of_equally_good_thresholds_is_the_best(together, monkeypatch):
    monkeypatch.setattr(pixel, "_STRETCH", together)
    counts = drawn("PNP", [3, 2, 1])  # F1 0.667 at 3, 0.8 at 1
    assert best_f1(counts) == BestF1(0.8, 1.0)
    counts = drawn("PNNP", [3, 2, 2, 1])  # F1 2/3 at 3, 2/3 at 1
    assert best_f1(counts) == BestF1(2 / 3, 3.0)


def test_best_f1_is_what_its_threshold_gives_when_applied_with_at_least():
    maps = frames(7, "some ties")
    found, (label, score) = best_f1(count(maps)), flat(maps)
    flagged = score >= found.threshold
    hits = int((flagged & (label == 1)).sum())
    assert found.f1 == 2 * hits / int(flagged.sum() + (label == 1).sum())


# ---- laws


@pytest.mark.parametrize("seed", range(5))
def test_order_and_grouping_of_frames_do_not_matter(seed):
    maps = frames(3, "some ties", sizes=[(5, 7)] * 30)
    expected = count(maps)
    rng = random.Random(seed)
    pivots = [Pivots.of(*frame) for frame in rng.sample(maps, len(maps))]
    while len(pivots) > 1:
        one, other = (pivots.pop(rng.randrange(len(pivots))) for _ in range(2))
        pivots.append(one + other)
    counts = [PixelCounts.of(*frame, pivots[0]) for frame in rng.sample(maps, len(maps))]
    while len(counts) > 1:
        one, other = (counts.pop(rng.randrange(len(counts))) for _ in range(2))
        counts.append(one + other)
    assert counts[0] == expected
    assert values(counts[0]) == values(expected)


@pytest.mark.parametrize("shards", [2, 3, 7])
def test_sharded_equals_whole_even_after_a_trip_through_pickle(shards):
    maps = frames(4, "some ties", sizes=[(6, 5)] * 20)
    pivots = total(
        pickle.loads(pickle.dumps(total(Pivots.of(*frame) for frame in maps[i::shards])))
        for i in range(shards)
    )
    parts = [
        pickle.loads(pickle.dumps(total(PixelCounts.of(*f, pivots) for f in maps[i::shards])))
        for i in range(shards)
    ]
    assert total(parts) == count(maps)


@pytest.mark.parametrize("most", [1, 40, 10_000])
def test_the_number_of_pixels_that_wait_changes_nothing(most, monkeypatch):
    maps = frames(6, "some ties")
    expected = count(maps)
    monkeypatch.setattr(pixel, "_MOST_WAITING", most)
    assert count(maps) == expected


@pytest.mark.parametrize("size", [1, 3, 64])
def test_the_size_of_the_pieces_that_are_looked_at_together_changes_nothing(size, monkeypatch):
    maps = frames(6, "some ties")
    expected, numbers, points = count(maps), values(count(maps)), curve(count(maps), 100)
    monkeypatch.setattr(pixel, "_PIVOTS_AT_ONCE", size)
    monkeypatch.setattr(pixel, "_STRETCH", size)
    assert count(maps) == expected
    assert values(count(maps)) == pytest.approx(numbers, abs=1e-15)
    assert curve(count(maps), 100).threshold.tolist() == points.threshold.tolist()


def test_looking_at_a_sum_before_it_is_whole_changes_nothing():
    maps = frames(8, "some ties")
    pivots = total(Pivots.of(*frame) for frame in maps)
    running = PixelCounts(pivots)
    for frame in maps:
        running = running + PixelCounts.of(*frame, pivots)
        assert running.normal_at_least.max() <= running.normal
    assert running == count(maps)


@pytest.mark.parametrize(
    "transform",
    [lambda x: 1000 * x, lambda x: x / 64 - 3, np.exp, np.arctan, lambda x: x**3],
    ids=["times 1000", "over 64, minus 3", "exp", "arctan", "cube"],
)
def test_only_the_order_of_scores_matters(transform):
    maps = frames(9, "some ties")
    moved = [(transform(score).astype(np.float32), label) for score, label in maps]
    before, after = values(count(maps)), values(count(moved))
    threshold = np.float32(before.pop("bestF1_threshold"))
    assert after.pop("bestF1_threshold") == transform(threshold).astype(np.float32)
    assert before == after


def test_ignored_pixels_do_not_count():
    maps = frames(10)
    rng = np.random.default_rng(0)
    other = []
    for score, label in maps:
        noise = rng.normal(size=score.shape).astype(np.float32) * 100
        other.append((np.where(label == 255, noise, score), label))
    other.append((rng.normal(size=(8, 8)).astype(np.float32), np.full((8, 8), 255, np.uint8)))
    assert count(other) == count(maps)


@pytest.mark.parametrize("times", [2, 3])
def test_duplicates_of_all_frames_leave_every_rate_as_it_is(times):
    maps = frames(11, "some ties")
    assert values(count(maps * times)) == pytest.approx(values(count(maps)), abs=1e-15)


def test_a_score_and_its_negative_share_one_auroc():
    maps = frames(12, "some ties")
    negated = [(-score, label) for score, label in maps]
    assert auroc(count(maps)) + auroc(count(negated)) == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("scores", [(0.0, -0.0, -0.0, 0.0), (-0.0, 0.0, -0.0, -0.0)])
def test_minus_zero_equals_zero(scores):
    counts = drawn("PNPN", scores)
    assert len(counts.pivots) == 1
    assert not np.signbit(counts.pivots.values).any()
    assert auroc(counts) == 0.5


def test_a_float16_map_counts_as_its_float32_values():
    maps = frames(13, dtype=np.float16)
    assert count(maps) == count([(score.astype(np.float32), label) for score, label in maps])


def test_input_maps_are_left_as_they_were():
    (score, label), *_ = frames(14)
    kept = score.copy(), label.copy()
    values(PixelCounts.of(score, label))
    assert np.array_equal(score, kept[0])
    assert np.array_equal(label, kept[1])


def test_a_frame_is_counted_at_its_own_pivots_unless_others_are_given():
    score, label = frames(15)[0]
    assert PixelCounts.of(score, label) == count([(score, label)])


# ---- frames that lack something


def test_frames_of_different_sizes_frames_without_anomaly_and_ignored_frames_add():
    maps = frames(16)
    normal = (np.ones((4, 4), np.float32), np.zeros((4, 4), np.uint8))
    ignored = (np.ones((4, 4), np.float32), np.full((4, 4), 255, np.uint8))
    agrees_with_sklearn([ignored, *maps, normal])


@pytest.mark.parametrize("metric", [average_precision, auroc, fpr_at_tpr, best_f1, curve])
@pytest.mark.parametrize(("pixels", "missing"), [("NNN", "anomalous"), ("PPP", "normal")])
def test_a_missing_class_is_an_error_that_names_it(metric, pixels, missing):
    with pytest.raises(MetricError, match=f"not defined: there is no {missing} pixel among the 3"):
        metric(drawn(pixels, [1, 2, 3]))


def test_no_frame_at_all_is_an_error():
    with pytest.raises(MetricError, match="no frame"):
        total([])


def test_counts_at_different_pivots_do_not_add():
    with pytest.raises(MetricError, match="different pivots"):
        drawn("PN", [1, 2]) + drawn("PN", [3, 4])


def test_an_anomalous_score_that_is_no_pivot_is_an_error():
    with pytest.raises(ScoreError, match="none of the pivots"):
        _ = PixelCounts.of(
            np.ones((1, 2), np.float32), np.array([[0, 1]], np.uint8), Pivots([2.0])
        ).anomaly_equal


def test_a_label_value_without_meaning_is_an_error_that_names_it():
    with pytest.raises(DataError, match="holds 2, 7,"):
        PixelCounts.of(np.ones((1, 3), np.float32), np.array([[7, 2, 1]], np.uint8))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [0, 1])
def test_a_score_that_is_not_finite_is_never_counted(value, where):
    score = np.ones((1, 2), np.float32)
    score[0, where] = value
    with pytest.raises(ScoreError, match="NaN or infinite"):
        values(PixelCounts.of(score, np.array([[0, 1]], np.uint8)))


def test_a_map_of_another_size_is_never_counted():
    with pytest.raises(ScoreError, match="never resized"):
        PixelCounts.of(np.ones((2, 2), np.float32), np.zeros((4, 4), np.uint8))


# ---- large numbers


def test_auroc_is_exact_where_the_sum_of_products_exceeds_64_bits():
    pivots = Pivots([1.0, 2.0])
    counts = PixelCounts(pivots)
    counts.normal, counts.anomaly = 2**40, 2**36
    joined = pixel._Joined(
        normal_at_least=np.array([2**39, 2**38], np.int64),
        normal_equal=np.array([2**37, 12345], np.int64),
        anomaly_equal=np.array([2**35, 2**35], np.int64),
    )
    counts._state = joined, ()
    won = 2**35 * (2 * 2**39 + 2**37) + 2**35 * (2 * (2**40 - 2**38) + 12345)
    assert won > 2**64
    assert auroc(counts) == won / (2 * 2**40 * 2**36)


def test_counts_beyond_32_bits_add():
    counts = drawn("PNN", [2, 2, 3])
    counts._all()
    for _ in range(32):
        counts = counts + counts
    assert counts.normal_at_least.tolist() == [2**33]
    assert counts.normal_equal.tolist() == [2**32]
    assert (average_precision(counts), positives_share(counts)) == (1 / 3, 1 / 3)


# ---- the thinned curve


def test_a_short_curve_has_every_pivot_and_both_ends():
    maps = frames(17, "some ties")
    counts = count(maps)
    points = curve(counts)
    assert points.threshold.tolist() == [math.inf, *counts.pivots.values[::-1], -math.inf]
    assert (points.tpr[0], points.fpr[0], points.precision[0]) == (0, 0, 1)
    assert (points.tpr[-1], points.fpr[-1]) == (1, 1)
    assert points.precision[-1] == positives_share(counts)


@pytest.mark.parametrize("size", [6, 7, 20, 200])
def test_a_thinned_curve_has_exact_points_and_no_more_than_asked_for(size):
    maps = frames(18)
    points, (label, score) = curve(count(maps), size), flat(maps)
    assert len(points.threshold) <= size
    assert (np.diff(points.threshold) < 0).all()
    for threshold, tpr, fpr, precision in zip(
        points.threshold[1:], points.tpr[1:], points.fpr[1:], points.precision[1:], strict=True
    ):
        hits = int((score[label == 1] >= threshold).sum())
        false = int((score[label == 0] >= threshold).sum())
        assert tpr == hits / (label == 1).sum()
        assert fpr == false / (label == 0).sum()
        assert precision == hits / (hits + false)


@pytest.mark.parametrize("size", [6, 20, 200])
def test_a_thinned_curve_keeps_the_points_that_the_metrics_name(size):
    counts = count(frames(19))
    points = curve(counts, size)
    assert counts.pivots.values[-1] == points.threshold[1]
    assert counts.pivots.values[0] == points.threshold[-2]
    assert best_f1(counts).threshold in points.threshold
    assert points.fpr[points.tpr >= 0.95].min() == fpr_at_tpr(counts)


def test_a_curve_of_200_points_is_close_to_the_whole():
    counts = count(frames(20, sizes=[(100, 100)] * 3))
    points = curve(counts, 200)
    assert np.diff(points.tpr).max() < 0.03
    assert np.diff(points.fpr).max() < 0.03
    assert np.trapezoid(points.tpr, points.fpr) == pytest.approx(auroc(counts), abs=1e-3)


def test_a_curve_of_fewer_than_six_points_is_refused():
    with pytest.raises(ValueError, match="at least 6"):
        curve(falling("PN"), 5)
