"""The SMIYC kit reproduced: equal to a literal version of its recipe, and to what it measured."""

import itertools

import numpy as np
import pytest
from scipy.ndimage import label as connected

from harness.errors import MetricError
from harness.metrics.component import ANOMALY_TRACK, MinimumSizes, mean_ppv, mean_siou
from harness.metrics.pixel import PixelCounts, average_precision, best_f1, fpr_at_tpr, total
from harness.metrics.smiyc_kit import (
    KIT_TAUS,
    KitCounts,
    kit_components,
    kit_f1,
    kit_f1_star,
    kit_finds,
    kit_pixel,
    kit_siou_of_predictions,
    stored,
)

ANY_SIZE = MinimumSizes(predicted_px=1, labelled_px=0)


def row(labels, scores):
    """One frame of one row."""
    return np.array([scores], np.float32), np.array([labels], np.uint8)


def falling(positives):
    """A frame of distinct scores, drawn from the highest to the lowest: P or N per pixel."""
    return row([int(c == "P") for c in positives], np.arange(len(positives), 0, -1))


def kit(frames):
    return kit_pixel(
        total(KitCounts.of(*frame, frame=f"{i:04d}") for i, frame in enumerate(frames))
    )


def made(frames=6, size=(40, 50), share=0.05, decimals=None, seed=0):
    rng = np.random.default_rng(seed)
    maps = []
    for _ in range(frames):
        anomalous = rng.random(size) < share * rng.exponential()
        label = np.where(rng.random(size) < 0.1, 255, anomalous).astype(np.uint8)
        score = rng.normal(size=size) + rng.normal(0, 0.3) + anomalous * rng.normal(2, 0.5)
        score = score if decimals is None else np.round(score, decimals)
        maps.append((score.astype(np.float32), label))
    return maps


# -------------------------------------------------------------- the recipe, literally, pixel level


def recipe(frames, most=384):
    """AP, AUROC, FPR95, best F1 and its threshold by the published recipe, step by step."""
    entries = []
    positives = negatives = 0
    for number, (score, label) in enumerate(frames):
        half = score.astype(np.float16)
        anomaly, normal = half[label == 1], half[label == 0]
        positives, negatives = positives + anomaly.size, negatives + normal.size
        both = np.concatenate((anomaly, normal))
        with np.errstate(over="ignore"):  # the kit's range is a float16 too
            margin = max(0.01 * float(both.max() - both.min()), 0.01)
        edges = {float(both.min()) - margin, float(both.max()) + margin}
        for values in (anomaly, normal):
            if values.size:
                at = np.linspace(0, 1, min(most, values.size))
                edges |= {float(q) for q in np.quantile(values, at)}
        edges = sorted(edges)
        tp, _ = np.histogram(anomaly, edges)
        fp, _ = np.histogram(normal, edges)
        entries += [(edges[i], tp[i], fp[i], number) for i in range(len(tp))]
    entries.sort(key=lambda entry: (-entry[0], -entry[3]))  # of ties, the last frame first

    curve, tp, fp = [(np.inf, 0, 0)], 0, 0
    for i, (edge, more_tp, more_fp, _) in enumerate(entries):
        tp, fp = tp + more_tp, fp + more_fp
        last = i + 1 == len(entries)
        if i == 0:
            curve.append((edge, tp, fp))
        if last or entries[i + 1][0] != edge:
            curve.append((edge, tp, fp))

    ap = auroc = best = 0.0
    fpr95 = None
    for (_, tp0, fp0), (edge, tp1, fp1) in itertools.pairwise(curve):
        if tp1 + fp1:
            ap += (tp1 - tp0) / positives * tp1 / (tp1 + fp1)
        auroc += (fp1 - fp0) / negatives * (tp1 + tp0) / 2 / positives
        if fpr95 is None and tp1 / positives >= 0.95:
            fpr95 = fp1 / negatives
        f1 = 2 * tp1 / (2 * tp1 + fp1 + positives - tp1)
        if f1 > best:
            best, threshold = f1, edge
    return ap, auroc, fpr95, best, threshold


def as_tuple(pixel):
    names = ("average_precision", "auroc", "fpr95", "best_f1", "threshold")
    return tuple(getattr(pixel, name) for name in names)


@pytest.mark.parametrize("decimals", [None, 2, 1, 0])
@pytest.mark.parametrize("share", [0.002, 0.05, 0.6])
@pytest.mark.parametrize("seed", range(4))
def test_pixel_metrics_equal_the_recipe(decimals, share, seed):
    frames = made(share=share, decimals=decimals, seed=seed)
    assert as_tuple(kit(frames)) == pytest.approx(recipe(frames), abs=1e-12)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 30, 1e4])
def test_pixel_metrics_equal_the_recipe_where_float16_is_coarse(scale):
    frames = [(score * np.float32(scale), label) for score, label in made()]
    assert as_tuple(kit(frames)) == pytest.approx(recipe(frames), abs=1e-12)


@pytest.mark.parametrize("shape", [(1, 3), (2, 2), (7, 11)])
def test_pixel_metrics_equal_the_recipe_on_tiny_frames(shape):
    for seed in range(20):
        frames = made(frames=3, size=shape, share=0.4, seed=seed)
        counted = [(score, label) for score, label in frames if (label < 255).any()]
        labels = np.concatenate([label.ravel() for _, label in counted])
        if {0, 1} <= set(labels.tolist()):
            assert as_tuple(kit(counted)) == pytest.approx(recipe(counted), abs=1e-12)


def test_a_frame_has_at_most_769_bins():
    (score, label), *_ = made(frames=1, size=(200, 300), share=0.3)
    (bins,) = KitCounts.of(score, label, frame="a").frames
    assert len(bins.edge) <= 2 + 2 * 384 - 1
    assert bins.anomaly.sum() == np.count_nonzero(label == 1)
    assert bins.normal.sum() == np.count_nonzero(label == 0)


# --------------------------------------------------------------------------- what the kit published


@pytest.mark.parametrize(
    ("labels", "scores", "times", "ap"),
    [
        ([0, 0, 0, 1, 1], [0, 0, 0, 1, 1], 32, 1),
        ([0, 1, 0, 1], [0.1, 0.4, 0.35, 0.8], 1, 1),
        ([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 12, 0.833333),
        ([0, 1, 0, 1], [0.5] * 4, 1, 0.5),
        ([0, 0, 0, 1, 1, 1], [0, 0, 0.9, 0.1, 1, 1], 128, 0.916667),
    ],
)
def test_average_precision_is_that_of_the_kits_notebook(labels, scores, times, ap):
    assert kit([row(labels, scores)] * times).average_precision == pytest.approx(ap, abs=1e-6)


@pytest.mark.parametrize(
    ("drawing", "fpr95"),
    [
        ("P" * 19 + "N" * 50 + "P" + "N" * 50, 0),
        ("P" * 94 + "N" * 30 + "P" + "N" * 40 + "P" * 5 + "N" * 30, 0.31),  # exactly it is 0.30
    ],
)
def test_fpr95_is_off_where_the_kit_was_measured_to_be_off(drawing, fpr95):
    assert kit([falling(drawing)]).fpr95 == pytest.approx(fpr95, abs=1e-9)


def test_twenty_ties_of_one_and_one_have_fpr95_of_95():
    frame = row([0, 1] * 20, np.repeat(np.arange(20), 2))
    assert kit([frame]).fpr95 == pytest.approx(0.95)


def test_a_quantile_may_round_to_above_its_own_score():
    score, label = falling("P" * 94 + "N" * 30 + "P" + "N" * 40 + "P" * 5 + "N" * 30)
    counts = PixelCounts.of(score, label)
    assert fpr_at_tpr(counts) == 0.30
    assert kit([(score, label)]).fpr95 - fpr_at_tpr(counts) == pytest.approx(0.01)


def test_a_perfect_binary_map_has_no_component_at_all():
    label = np.zeros((60, 80), np.uint8)
    label[10:40, 10:40] = 1
    frames = [(label.astype(np.float32), label)] * 30
    pixel = kit(frames)
    assert as_tuple(pixel) == (1, 1, 0, 1, 1)
    components = total(kit_components(*f, pixel.threshold, ANOMALY_TRACK) for f in frames)
    assert mean_siou(components) == 0
    assert kit_f1_star(components) == 0
    with pytest.raises(MetricError, match="mean PPV is not defined"):
        mean_ppv(components)


def test_a_few_anomalous_pixels_a_frame_make_the_kit_too_generous():
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(20):
        label = np.zeros(40_000, np.uint8)
        label[:20] = 1
        score = rng.normal(size=label.size) + 3 * label
        frames.append(row(label, score))
    pivots = PixelCounts.of(*(np.concatenate(part, axis=1) for part in zip(*frames, strict=True)))
    assert kit(frames).average_precision > 1.02 * average_precision(pivots)
    assert kit(frames).best_f1 > 1.02 * best_f1(pivots).f1


def test_best_f1_takes_the_highest_of_equally_good_thresholds():
    assert kit([row([1, 1, 0, 0], [5, 5, 1, 0])]).threshold == 5


# ------------------------------------------------------------------------------------ frames, sums


def test_the_order_and_grouping_of_frames_do_not_matter():
    counts = [KitCounts.of(*frame, frame=str(i)) for i, frame in enumerate(made(decimals=1))]
    whole = kit_pixel(total(counts))
    assert kit_pixel(total(reversed(counts))) == whole
    assert kit_pixel(total(counts[4:]) + total(counts[:4])) == whole


def test_the_names_of_frames_matter_where_they_share_the_highest_score():
    good, bad = row([1, 1, 1, 0], [9, 9, 0, 0]), row([1, 0, 0, 0], [9, 9, 9, 0])
    counts = [KitCounts.of(*good, frame="a"), KitCounts.of(*bad, frame="b")]
    other = [KitCounts.of(*good, frame="b"), KitCounts.of(*bad, frame="a")]
    assert kit_pixel(total(counts)).average_precision < kit_pixel(total(other)).average_precision


def test_ignored_pixels_do_not_count():
    frames = made()
    other = [(np.where(label == 255, np.float32(-77), score), label) for score, label in frames]
    assert kit(other) == kit(frames)


def test_minus_zero_is_zero():
    score, label = row([0, 1, 0, 1, 0], [-1, 0, 0, 0, 1])
    assert kit([(score, label)]) == kit([(np.where(score == 0, -score, score), label)])


# --------------------------------------------------------------------------------------- undefined


@pytest.mark.parametrize(
    ("labels", "missing"), [([0, 0, 255], "anomalous"), ([1, 1, 255], "normal")]
)
def test_one_class_alone_has_no_pixel_metric(labels, missing):
    with pytest.raises(MetricError, match=f"there is no {missing} pixel"):
        kit([row(labels, [1, 2, 3])])


def test_a_frame_that_is_wholly_ignored_is_named():
    frames = [*made(frames=2), row([255, 255], [0, 1])]
    with pytest.raises(MetricError, match="frame '0002': all of its pixels are ignored"):
        kit(frames)


def test_scores_beyond_float16_are_said_to_be_so():
    frames = made(frames=2)
    frames[1][0][:] *= 1e6
    with pytest.raises(MetricError, match=r"frame '0001': [\d,]+ scores are beyond 65504"):
        kit(frames)


def test_scores_beyond_float16_on_ignored_pixels_do_no_harm():
    score, label = row([0, 1, 255], [0, 1, 1e9])
    assert kit([(score, label)]).average_precision == 1


def test_float16_ties_scores_that_lie_close():
    score, label = row([0, 0, 1], [1.0, 1.0001, 1.0002])
    assert stored(score).tolist() == [[1, 1, 1]]
    assert kit([(score, label)]).average_precision == pytest.approx(1 / 3)


# --------------------------------------------------------------- the recipe, literally, components


def literal_components(frames, threshold, minimum):
    """Per frame, per component: the kit's rules with one whole-frame mask for every question."""
    siou, siou_of_predictions, ppv = [], [], []
    for score, label in frames:
        predicted = (score.astype(np.float16) > np.float16(threshold)) & (label != 255)
        gt, n_gt = connected(label == 1, np.ones((3, 3)))
        pred, n_pred = connected(predicted, np.ones((3, 3)))
        for p in range(1, n_pred + 1):
            if (pred == p).sum() < minimum.predicted_px:
                pred[pred == p] = 0
        here = label < 255
        for k in range(1, n_gt + 1):
            if (gt == k).sum() < minimum.labelled_px:
                here &= gt != k
        gt, pred = np.where(here, gt, 0), np.where(here, pred, 0)
        for one, other, found in ((gt, pred, siou), (pred, gt, siou_of_predictions)):
            for k in np.unique(one[one > 0]):
                touching = np.isin(other, np.unique(other[(one == k) & (other > 0)]))
                touching &= other > 0
                shared = (touching & (one == k)).sum()
                on_others = (touching & (one > 0) & (one != k)).sum()
                found.append(shared / (touching.sum() + (one == k).sum() - shared - on_others))
        ppv += [(gt[pred == p] > 0).mean() for p in np.unique(pred[pred > 0])]
    return np.array(siou), np.array(siou_of_predictions), np.array(ppv)


def blobs(seed, size=(30, 45)):
    """A frame of ragged regions: some touch, some are cut by ignored stripes, some are specks."""
    rng = np.random.default_rng(seed)

    def smooth(width):
        field = np.pad(rng.normal(size=size), width, mode="wrap")
        window = np.lib.stride_tricks.sliding_window_view(field, (2 * width + 1,) * 2)
        return window.mean(axis=(2, 3)) * (2 * width + 1)

    truth = smooth(rng.integers(0, 3))
    label = (truth > rng.uniform(0.2, 2)).astype(np.uint8)
    label[:, rng.integers(0, size[1])] = 255
    label[rng.random(size) < rng.choice([0, 0.05])] = 255
    score = smooth(rng.integers(0, 3)) + rng.uniform(0, 2) * truth
    return np.round(score, rng.integers(0, 3)).astype(np.float32), label


@pytest.mark.parametrize("minimum", [ANY_SIZE, MinimumSizes(12, 5), MinimumSizes(50, 10)])
def test_component_numbers_equal_the_recipe(minimum):
    for seed in range(60):
        frames = [blobs(2 * seed), blobs(2 * seed + 1)]
        counts = total(kit_components(*frame, 0.7, minimum) for frame in frames)
        siou, siou_of_predictions, ppv = literal_components(frames, 0.7, minimum)
        for tau in KIT_TAUS:
            expected = ((siou >= tau).sum(), (siou < tau).sum(), (ppv < tau).sum())
            assert kit_finds(counts, tau) == expected
        if siou.size:
            assert mean_siou(counts) == pytest.approx(siou.mean(), abs=1e-14)
        if ppv.size:
            assert mean_ppv(counts) == pytest.approx(ppv.mean(), abs=1e-14)
            mean = siou_of_predictions.mean()
            assert kit_siou_of_predictions(counts) == pytest.approx(mean, abs=1e-14)


def box(rows, columns):
    mask = np.zeros((20, 40), bool)
    mask[rows, columns] = True
    return mask


LEFT, RIGHT = box(slice(5, 15), slice(5, 13)), box(slice(5, 15), slice(17, 25))
LONG, SQUARE = box(slice(5, 15), slice(5, 25)), box(slice(5, 15), slice(5, 15))
SHIFTED = box(slice(5, 15), slice(10, 20))
CORNER, OPPOSITE = box(slice(2, 6), slice(2, 6)), box(slice(6, 10), slice(6, 10))


@pytest.mark.parametrize(
    ("label", "prediction", "siou", "siou_of_predictions", "ppv"),
    [
        (LEFT | RIGHT, LONG, 0.666667, 0.8, 0.8),
        (LONG, LEFT | RIGHT, 0.8, 0.666667, 1),
        (SQUARE, SHIFTED, 0.333333, 0.333333, 0.5),
        (CORNER | OPPOSITE, CORNER, 0.5, 0.5, 1),
    ],
)
def test_component_vectors_that_the_kit_was_run_on(
    label, prediction, siou, siou_of_predictions, ppv
):
    frame = prediction.astype(np.float32), label.astype(np.uint8)
    counts = kit_components(*frame, 0.5, ANY_SIZE)
    numbers = mean_siou(counts), kit_siou_of_predictions(counts), mean_ppv(counts)
    assert numbers == pytest.approx((siou, siou_of_predictions, ppv), abs=1e-6)


def test_an_invented_component_is_a_false_positive_and_f1_is_zero():
    counts = kit_components(SQUARE.astype(np.float32), np.zeros((20, 40), np.uint8), 0.5, ANY_SIZE)
    assert kit_finds(counts, 0.25) == (0, 0, 1)
    assert kit_f1_star(counts) == 0
    assert kit_siou_of_predictions(counts) == 0


def test_nothing_labelled_and_nothing_predicted_has_no_f1():
    nothing = np.zeros((20, 40), np.uint8)
    counts = kit_components(nothing.astype(np.float32), nothing, 0.5, ANY_SIZE)
    with pytest.raises(MetricError, match="F1 is not defined"):
        kit_f1(counts, 0.5)
    with pytest.raises(MetricError, match="nothing large enough is predicted"):
        kit_siou_of_predictions(counts)


def test_the_threshold_is_rounded_to_float16_before_it_is_compared():
    # 0.50048828 is a float16; 0.5003 lies below it, but is rounded to it, and not above itself.
    score, label = row([1, 0], [0.50048828, 0])
    assert kit_finds(kit_components(score, label, 0.5003, ANY_SIZE), 0.5) == (0, 1, 0)
    assert kit_finds(kit_components(score, label, 0.5001, ANY_SIZE), 0.5) == (1, 0, 0)


def test_an_overlap_of_exactly_three_fifths_misses_the_kits_tau_of_sixty():
    score, label = row([1, 1, 1, 1, 1], [1, 1, 1, 0, 0])
    counts = kit_components(score, label, 0.5, ANY_SIZE)
    assert KIT_TAUS[7] == 0.6000000000000001
    assert mean_siou(counts) == 0.6
    assert [kit_finds(counts, tau).tp for tau in KIT_TAUS] == [1] * 7 + [0] * 4
