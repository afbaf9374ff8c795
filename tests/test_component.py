"""Component metrics: equal to a slow, literal reading of the published definition."""

import itertools
import math
import pickle
import random
from fractions import Fraction

import numpy as np
import pytest

from harness.errors import MetricError, ScoreError
from harness.metrics.component import (
    ANOMALY_TRACK,
    OBSTACLE_TRACK,
    TAUS,
    ComponentCounts,
    MinimumSizes,
    f1,
    f1_star,
    finds,
    mean_ppv,
    mean_siou,
)
from harness.metrics.pixel import total

EVERYTHING = MinimumSizes(1, 1)


# ---- the definition, literally: sets of pixels, one component at a time


def regions(pixels):
    """The 8-connected regions of a set of (row, column), each a frozenset."""
    left, found = set(pixels), []
    while left:
        todo, region = [left.pop()], set()
        while todo:
            row, column = todo.pop()
            region.add((row, column))
            for step in itertools.product((-1, 0, 1), repeat=2):
                near = (row + step[0], column + step[1])
                if near in left:
                    left.remove(near)
                    todo.append(near)
        found.append(frozenset(region))
    return found


def literal(mask, label, minimum):
    """SIoU of labelled, PPV and sIoU of predicted components, each a sorted list of fractions."""
    ignored = {(int(r), int(c)) for r, c in np.argwhere(label == 255)}
    predicted = regions({(int(r), int(c)) for r, c in np.argwhere(mask)} - ignored)
    predicted = [p for p in predicted if len(p) >= minimum.predicted_px]
    labelled = regions({(int(r), int(c)) for r, c in np.argwhere(label == 1)})
    ignored = ignored.union(*(k for k in labelled if len(k) < minimum.labelled_px))
    labelled = [k for k in labelled if len(k) >= minimum.labelled_px]
    predicted = [p - ignored for p in predicted if p - ignored]

    def siou(one, ones, others):
        touching = [other for other in others if one & other]
        union = frozenset().union(*touching)
        elsewhere = frozenset().union(*(o for o in ones if o is not one)) & union
        return Fraction(len(one & union), len((one | union) - elsewhere))

    anywhere = frozenset().union(*labelled)
    return (
        sorted(siou(k, labelled, predicted) for k in labelled),
        sorted(Fraction(len(p & anywhere), len(p)) for p in predicted),
        sorted(siou(p, predicted, labelled) for p in predicted),
    )


def shares(counts):
    """What `literal` returns, from counts."""
    labelled, predicted = counts.labelled, counts.predicted
    return (
        sorted(map(Fraction, labelled.overlap_px.tolist(), labelled.union_px.tolist())),
        sorted(map(Fraction, predicted.overlap_px.tolist(), predicted.area_px.tolist())),
        sorted(map(Fraction, predicted.overlap_px.tolist(), predicted.union_px.tolist())),
    )


def blobs(rng, shape, smooth, share):
    """A random mask: white noise, `smooth` times averaged with its neighbours, the top `share`."""
    field = rng.normal(size=shape)
    for _ in range(smooth):
        field = sum(np.roll(field, (r, c), (0, 1)) for r in (-1, 0, 1) for c in (-1, 0, 1))
    return field > np.quantile(field, 1 - share)


def random_frame(seed):
    """A predicted mask and a label with touching, nested, cut, one-pixel and border components."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 26)), int(rng.integers(1, 34)))
    smooth = int(rng.integers(0, 4))
    truth = blobs(rng, shape, smooth, rng.choice([0.02, 0.2, 0.5]))
    mask = blobs(rng, shape, int(rng.integers(0, 4)), rng.choice([0.02, 0.2, 0.5, 0.9]))
    if rng.random() < 0.5:
        mask = np.roll(truth, rng.integers(-3, 4, 2), (0, 1)) ^ (rng.random(shape) < 0.05)
    label = truth.astype(np.uint8)
    if rng.random() < 0.6:
        label[blobs(rng, shape, int(rng.integers(0, 3)), 0.15)] = 255
    if rng.random() < 0.3:
        label[:, shape[1] // 2] = 255
    return mask, label


MINIMA = (EVERYTHING, MinimumSizes(5, 1), MinimumSizes(1, 5), MinimumSizes(12, 6))


@pytest.mark.parametrize("minimum", MINIMA, ids=str)
def test_counts_equal_the_literal_definition_on_400_random_masks(minimum):
    for seed in range(400):
        mask, label = random_frame(seed)
        counts = ComponentCounts.of_mask(mask, label, minimum)
        assert shares(counts) == literal(mask, label, minimum), seed


def test_the_random_masks_hold_all_that_can_happen():
    seen = set()
    for seed in range(400):
        mask, label = random_frame(seed)
        counts = ComponentCounts.of_mask(mask, label, MINIMA[3])
        labelled, predicted = counts.labelled, counts.predicted
        seen |= {
            ("nothing labelled", labelled.area_px.size == 0),
            ("nothing predicted", predicted.area_px.size == 0),
            ("neither", labelled.area_px.size + predicted.area_px.size == 0),
            ("missed", bool((labelled.overlap_px == 0).any())),
            ("invented", bool((predicted.overlap_px == 0).any())),
            ("cut below the minimum", bool((predicted.area_px < 12).any())),
            ("one touches several", bool(labelled.overlap_px.size < predicted.area_px.size)),
        }
    assert {what for what, happened in seen if happened} == {what for what, _ in seen}


# ---- drawn cases: G labelled only, P predicted only, B both, x ignored, X ignored and predicted


def drawn(picture, minimum=EVERYTHING):
    """Counts of a picture drawn with the letters above, a point for the rest."""
    cells = np.array([list(line) for line in picture.split()])
    label = np.where(np.isin(cells, ["x", "X"]), 255, np.isin(cells, ["G", "B"])).astype(np.uint8)
    return ComponentCounts.of_mask(np.isin(cells, ["P", "B", "X"]), label, minimum)


def test_a_perfect_mask_finds_everything():
    counts = drawn("""
        BB.BB
        BB...
        ....B
    """)
    assert (mean_siou(counts), mean_ppv(counts), f1_star(counts)) == (1, 1, 1)
    assert finds(counts, 75) == (3, 0, 0)


def test_diagonal_neighbours_are_one_component():
    assert drawn("B.B .B. B.B").labelled.area_px.tolist() == [5]


def test_components_do_not_reach_around_the_border():
    assert sorted(drawn("..B B.. ..B").predicted.area_px.tolist()) == [1, 1, 1]


def test_ignored_pixels_cut_a_prediction_in_two():
    counts = drawn("BBxPP BBXPP")
    assert sorted(counts.predicted.area_px.tolist()) == [4, 4]
    assert shares(counts) == ([1], [0, 1], [0, 1])


def test_a_labelled_component_between_two_predictions_is_judged_with_both():
    assert shares(drawn("BBGGBBPP"))[0] == [Fraction(4, 8)]


def test_pixels_on_another_label_do_not_enlarge_the_union():
    counts = drawn("BBPBB")
    assert shares(counts) == (
        [Fraction(2, 3), Fraction(2, 3)],
        [Fraction(4, 5)],
        [Fraction(4, 5)],
    )


def test_a_prediction_on_a_label_too_small_vanishes_with_it():
    counts = drawn("BPP... BPP... ......", MinimumSizes(1, 3))
    assert counts.labelled.area_px.size == 0
    assert counts.predicted.area_px.tolist() == [4]


def test_the_size_of_a_prediction_is_judged_before_small_labels_are_ignored():
    counts = drawn("BBBP", MinimumSizes(4, 4))
    assert counts.predicted.area_px.tolist() == [1]


@pytest.mark.parametrize(("size", "kept"), [(2, 1), (3, 1), (4, 0)])
def test_a_component_as_large_as_the_minimum_takes_part(size, kept):
    assert drawn("GGG", MinimumSizes(1, size)).labelled.area_px.size == kept
    assert drawn("PPP", MinimumSizes(size, 1)).predicted.area_px.size == kept


def box(mask, rows, columns):
    mask[rows[0] : rows[1], columns[0] : columns[1]] = True


def boxes(*places):
    mask = np.zeros((20, 40), bool)
    for rows, columns in places:
        box(mask, rows, columns)
    return mask


ROWS = (5, 15)
VECTORS = {  # label, prediction, minimum; sIoU labelled, sIoU predicted, PPV
    "one prediction over two labels": (
        boxes((ROWS, (5, 13)), (ROWS, (17, 25))), boxes((ROWS, (5, 25))), MinimumSizes(1, 0),
        ["2/3", "2/3"], ["4/5"], ["4/5"]),
    "two predictions on one label": (
        boxes((ROWS, (5, 25))), boxes((ROWS, (5, 13)), (ROWS, (17, 25))), MinimumSizes(1, 0),
        ["4/5"], ["2/3", "2/3"], ["1", "1"]),
    "shifted by half": (
        boxes((ROWS, (5, 15))), boxes((ROWS, (10, 20))), MinimumSizes(1, 0),
        ["1/3"], ["1/3"], ["1/2"]),
    "one of two that touch by a corner": (
        boxes(((2, 6), (2, 6)), ((6, 10), (6, 10))), boxes(((2, 6), (2, 6))), MinimumSizes(1, 0),
        ["1/2"], ["1/2"], ["1"]),
    "both too small": (
        boxes(((1, 4), (1, 4)), (ROWS, (20, 30))), boxes(((1, 4), (1, 4)), ((5, 12), (20, 27))),
        OBSTACLE_TRACK, ["0"], [], []),
    "nothing to find": (
        boxes(), boxes((ROWS, (5, 15))), MinimumSizes(1, 0), [], ["0"], ["0"]),
    "nothing at all": (boxes(), boxes(), MinimumSizes(1, 0), [], [], []),
}  # fmt: skip


@pytest.mark.parametrize("name", VECTORS)
def test_published_vectors_have_their_values(name):
    label, mask, minimum, *expected = VECTORS[name]
    labelled, ppv, predicted = shares(
        ComponentCounts.of_mask(mask, label.astype(np.uint8), minimum)
    )
    assert [labelled, predicted, ppv] == [sorted(map(Fraction, values)) for values in expected]


# ---- thresholds


def test_a_pixel_at_the_threshold_is_predicted():
    label = np.array([[1, 1, 0]], np.uint8)
    counts = ComponentCounts.of(label.astype(np.float32), label, 1.0, EVERYTHING)
    assert (mean_siou(counts), mean_ppv(counts), f1_star(counts)) == (1, 1, 1)


@pytest.mark.parametrize("threshold", [0.1, np.float64(0.1), np.nextafter(0.5, 1), 1e300, -1e300])
def test_a_threshold_is_compared_as_the_number_it_is(threshold):
    near = np.float32(min(max(threshold, -3e38), 3e38))
    score = np.array([[np.nextafter(near, np.float32(-4e0)), near]], np.float32)
    score = np.append(score, np.nextafter(near, np.float32(4e0)))[None]
    counts = ComponentCounts.of(score, np.zeros((1, 3), np.uint8), threshold, EVERYTHING)
    expected = sum(Fraction(float(s)) >= Fraction(float(threshold)) for s in score[0])
    assert counts.predicted.area_px.sum() == expected


def test_minus_infinity_predicts_every_pixel_and_infinity_none():
    score, label = np.zeros((3, 3), np.float32), np.zeros((3, 3), np.uint8)
    everything = ComponentCounts.of(score, label, -math.inf, EVERYTHING)
    assert everything.predicted.area_px.tolist() == [9]
    nothing = ComponentCounts.of(score, label, math.inf, EVERYTHING)
    assert nothing.predicted.area_px.tolist() == []


def test_a_threshold_of_nan_is_refused():
    with pytest.raises(MetricError, match="NaN"):
        ComponentCounts.of(np.ones((1, 1)), np.ones((1, 1), np.uint8), math.nan, EVERYTHING)


def test_a_score_that_is_not_finite_is_refused():
    with pytest.raises(ScoreError, match="NaN or infinite"):
        ComponentCounts.of(np.full((1, 2), np.nan), np.ones((1, 2), np.uint8), 0.5, EVERYTHING)


# ---- counts and laws


def test_finds_are_counted_with_overlaps_of_exactly_tau():
    counts = drawn("BBBGG")
    assert shares(counts)[0] == [Fraction(60, 100)]
    assert finds(counts, 60) == (1, 0, 0)
    assert finds(counts, 65) == (0, 1, 0)
    counts = drawn("BBBPP")
    assert finds(counts, 60).fp == 0
    assert finds(counts, 65).fp == 1


def test_f1_is_that_of_the_summed_counts():
    parts = [ComponentCounts.of_mask(*random_frame(seed), EVERYTHING) for seed in range(30)]
    whole = total(parts)
    for tau in TAUS:
        tp, fn, fp = (sum(column) for column in zip(*(finds(p, tau) for p in parts), strict=True))
        assert finds(whole, tau) == (tp, fn, fp)
        assert f1(whole, tau) == 2 * tp / (2 * tp + fn + fp)
    assert f1_star(whole) == pytest.approx(np.mean([f1(whole, tau) for tau in TAUS]), abs=1e-15)


def test_taus_are_eleven_from_25_to_75_per_cent():
    assert TAUS == (25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75)


@pytest.mark.parametrize("seed", range(5))
def test_order_and_grouping_of_frames_do_not_matter(seed):
    frames = [random_frame(i) for i in range(40)]
    expected = total(ComponentCounts.of_mask(*frame, EVERYTHING) for frame in frames)
    rng = random.Random(seed)
    parts = [ComponentCounts.of_mask(*f, EVERYTHING) for f in rng.sample(frames, len(frames))]
    while len(parts) > 1:
        one, other = (parts.pop(rng.randrange(len(parts))) for _ in range(2))
        parts.append(pickle.loads(pickle.dumps(one + other)))
    assert parts[0] == expected
    for metric in (mean_siou, mean_ppv, f1_star):
        assert metric(parts[0]) == metric(expected)


@pytest.mark.parametrize("turn", [np.fliplr, np.flipud, np.transpose, np.rot90])
def test_turning_the_image_changes_nothing(turn):
    for seed in range(40):
        mask, label = random_frame(seed)
        counts = ComponentCounts.of_mask(mask, label, MINIMA[3])
        turned = np.ascontiguousarray(turn(mask)), np.ascontiguousarray(turn(label))
        assert ComponentCounts.of_mask(*turned, MINIMA[3]) == counts


def test_scores_of_ignored_pixels_change_nothing():
    for seed in range(40):
        mask, label = random_frame(seed)
        other = np.where(label == 255, ~mask, mask)
        one, two = (ComponentCounts.of_mask(m, label, EVERYTHING) for m in (mask, other))
        assert one == two


def test_counts_at_different_thresholds_or_sizes_do_not_add():
    score, label = np.ones((2, 2), np.float32), np.ones((2, 2), np.uint8)
    one = ComponentCounts.of(score, label, 0.5, ANOMALY_TRACK)
    for other in (
        ComponentCounts.of(score, label, 0.6, ANOMALY_TRACK),
        ComponentCounts.of(score, label, 0.5, OBSTACLE_TRACK),
    ):
        with pytest.raises(MetricError, match="do not add"):
            _ = one + other


# ---- what has no value


def test_nothing_labelled_leaves_siou_undefined_and_f1_at_zero():
    counts = drawn("PP..")
    with pytest.raises(MetricError, match="no labelled component of at least 1 px"):
        mean_siou(counts)
    assert mean_ppv(counts) == 0
    assert finds(counts, 50) == (0, 0, 1)
    assert f1_star(counts) == 0


def test_nothing_predicted_leaves_ppv_undefined_and_siou_at_zero():
    counts = drawn("GG..")
    with pytest.raises(MetricError, match="no predicted component of at least 1 px"):
        mean_ppv(counts)
    assert mean_siou(counts) == 0
    assert f1_star(counts) == 0


@pytest.mark.parametrize("picture", ["....", "xxXX"])
def test_neither_labelled_nor_predicted_leaves_everything_undefined(picture):
    counts = drawn(picture)
    for metric in (mean_siou, mean_ppv, f1_star):
        with pytest.raises(MetricError, match="not defined"):
            metric(counts)
    assert finds(counts, 50) == (0, 0, 0)
