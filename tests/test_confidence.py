"""Confidence: close to the exact metrics, honest about what it covers, quick."""

import functools
import time

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from harness.errors import MetricError
from harness.metrics import METRICS
from harness.metrics.component import TAUS, ComponentCounts, MinimumSizes, f1, f1_star, mean_siou
from harness.metrics.component import mean_ppv as component_ppv
from harness.metrics.confidence import (
    COMPONENT_METRICS,
    GRID_METRICS,
    FrameGrid,
    Grid,
    GridCounts,
    compare,
    component_statistic,
    grid_of,
    holm,
    intervals,
    stacked,
    summed,
)
from harness.metrics.pixel import Pivots, PixelCounts, fpr_at_tpr, total


def made(frames=40, size=(60, 90), share=0.03, decimals=None, seed=0, apart=2.5):
    """Score maps and labels whose frames differ in size of the anomaly and in difficulty."""
    rng = np.random.default_rng(seed)
    maps = []
    for _ in range(frames):
        anomalous = rng.random(size) < share * rng.exponential()
        label = np.where(rng.random(size) < 0.1, 255, anomalous).astype(np.uint8)
        score = rng.normal(size=size) + rng.normal(0, 0.3) + anomalous * rng.normal(apart, 0.5)
        score = score if decimals is None else np.round(score, decimals)
        maps.append((score.astype(np.float32), label))
    return maps


def counted(maps):
    pivots = total(Pivots.of(*frame) for frame in maps)
    return total(PixelCounts.of(*frame, pivots) for frame in maps)


def gridded(maps, points=2000):
    grid = grid_of(counted(maps), points)
    return stacked(FrameGrid.of(*frame, grid) for frame in maps)


def exact(maps):
    counts = counted(maps)
    return [METRICS[name].value(counts) for name in GRID_METRICS]


def by_scikit_learn(maps):
    label = np.concatenate([label.ravel() for _, label in maps])
    score = np.concatenate([score.ravel() for score, _ in maps])[label < 255]
    label = label[label < 255]
    precision, recall, _ = precision_recall_curve(label, score)
    with np.errstate(invalid="ignore"):
        f1 = np.nanmax(2 * precision * recall / (precision + recall))
    fpr95 = fpr_at_tpr(PixelCounts.of(score[None], label[None]))
    return [average_precision_score(label, score), roc_auc_score(label, score), fpr95, f1]


def ones(counts):
    return np.ones((1, len(counts.normal)))


def rng(seed=0):
    return np.random.default_rng(seed)


# ------------------------------------------------------------------------------------------- grid


def test_frames_on_a_grid_add_up_to_the_exact_counts_at_its_thresholds():
    maps = made(frames=5)
    frames = gridded(maps, 200)
    score = np.concatenate([score[label == 0] for score, label in maps])
    at_least = [np.count_nonzero(score >= t) for t in frames.grid.thresholds[::-1]]
    assert np.cumsum(frames.normal.sum(axis=0))[:-1].tolist() == at_least


def test_every_pixel_that_is_not_ignored_is_in_one_bin():
    maps = made(frames=5)
    frames = gridded(maps)
    for i, (_, label) in enumerate(maps):
        assert frames.normal[i].sum() == np.count_nonzero(label == 0)
        assert frames.anomaly[i].sum() == np.count_nonzero(label == 1)


@pytest.mark.parametrize("decimals", [0, 1])
def test_with_few_distinct_scores_the_grid_is_exact(decimals):
    maps = made(decimals=decimals)
    frames = gridded(maps)
    assert frames.metrics(ones(frames))[0] == pytest.approx(exact(maps), abs=1e-14)


@pytest.mark.parametrize("decimals", [None, 2, 3])
@pytest.mark.parametrize("apart", [0, 2.5, 6])
def test_the_grid_error_is_below_a_twentieth_of_a_point(decimals, apart):
    maps = made(decimals=decimals, apart=apart)
    frames = gridded(maps)
    assert frames.metrics(ones(frames))[0] == pytest.approx(exact(maps), abs=5e-4)


def test_metrics_of_resamples_are_those_of_frames_taken_so_often():
    maps = made()
    frames = gridded(maps)
    for seed in range(8):
        taken = rng(seed).integers(0, len(maps), len(maps))
        weights = np.bincount(taken, minlength=len(maps))[None].astype(float)
        values = frames.metrics(weights)[0]
        peer = by_scikit_learn([maps[i] for i in taken])
        assert values[:2] == pytest.approx(peer[:2], abs=5e-4)
        assert values[2:] == pytest.approx(peer[2:], abs=2e-3)


def test_a_constant_score_has_the_share_of_positives_as_average_precision():
    maps = [(np.zeros((2, 4), np.float32), np.array([[1, 1, 1, 0], [0, 0, 0, 0]], np.uint8))] * 3
    frames = gridded(maps)
    assert frames.metrics(ones(frames))[0] == pytest.approx([3 / 8, 0.5, 1, 6 / 11])


def test_frames_without_a_class_have_no_value():
    maps = made(frames=2)
    maps.append((maps[0][0], np.zeros_like(maps[0][1])))
    frames = gridded(maps)
    assert np.isnan(frames.metrics(np.array([[0.0, 0, 1]]))).all()
    assert not np.isnan(frames.metrics(np.array([[1.0, 0, 1]]))).any()


def test_counts_on_two_grids_are_refused():
    maps = made(frames=2)
    one, other = (FrameGrid.of(*maps[0], grid_of(counted(maps), n)) for n in (100, 200))
    with pytest.raises(MetricError, match="different grids"):
        stacked([one, other])


def test_nothing_to_stack_is_an_error():
    with pytest.raises(MetricError, match="no frame"):
        stacked([])


# -------------------------------------------------------------------------------------- intervals


def test_the_same_seed_gives_the_same_intervals():
    frames = gridded(made())
    first, second, third = (
        intervals(frames.metrics, range(40), rng=rng(seed), resamples=200) for seed in (1, 1, 2)
    )
    assert first == second
    assert first != third


def test_intervals_lie_around_the_exact_value_and_state_the_grid_error():
    maps = made()
    frames, values = gridded(maps, 50), exact(maps)
    on_grid = frames.metrics(ones(frames))[0]
    for j, interval in enumerate(intervals(frames.metrics, range(40), rng=rng(), exact=values)):
        assert 0 <= interval.low <= values[j] == interval.value <= interval.high <= 1
        assert interval.grid_error == pytest.approx(on_grid[j] - values[j], abs=1e-15)


def test_a_coarser_grid_hardly_moves_an_interval():
    maps = made()
    values = exact(maps)
    fine, coarse = (
        intervals(gridded(maps, points).metrics, range(40), rng=rng(), exact=values)
        for points in (2000, 200)
    )
    for one, other in zip(fine, coarse, strict=True):
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=0.01)


def test_a_higher_level_gives_a_wider_interval():
    frames = gridded(made())
    narrow, wide = (
        intervals(frames.metrics, range(40), rng=rng(), level=level)[0] for level in (0.5, 0.99)
    )
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_more_frames_give_a_narrower_interval():
    few, many = gridded(made(frames=30)), gridded(made(frames=480, size=(30, 45)))
    width = [
        (lambda i: i.high - i.low)(intervals(f.metrics, range(n), rng=rng(), resamples=500)[1])
        for f, n in ((few, 30), (many, 480))
    ]
    assert 2 * width[1] < width[0]


def test_the_interval_of_a_mean_is_that_of_the_text_book():
    values = rng().random((200, 1))
    mean = summed(np.column_stack((values, np.ones(200))), lambda s: s[:, :1] / s[:, 1:])
    (interval,) = intervals(mean, range(200), rng=rng(), resamples=20_000)
    spread = 1.972 * values.std(ddof=1) / np.sqrt(200)  # Student's t, 199 degrees of freedom
    centre = values.mean()
    assert (interval.low, interval.high) == pytest.approx((centre - spread, centre + spread), 2e-3)


def test_frames_of_one_scene_are_drawn_together():
    # Every frame thrice: as frames they look like much evidence, as scenes they are what they are.
    maps = made(frames=30)
    once, thrice = gridded(maps), gridded(maps * 3)
    apart = intervals(once.metrics, range(30), rng=rng())
    together = intervals(thrice.metrics, list(range(30)) * 3, rng=rng())
    naive = intervals(thrice.metrics, range(90), rng=rng())
    for one, other, narrow in zip(apart, together, naive, strict=True):
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=2e-3)
        assert other.units == 30
        assert narrow.high - narrow.low < 0.75 * (one.high - one.low)


def test_below_thirty_units_an_interval_is_indicative():
    frames = gridded(made(frames=30, size=(20, 30)))
    thirty = intervals(frames.metrics, range(30), rng=rng(), resamples=50)[0]
    fewer = intervals(frames.metrics, [*range(29), 0], rng=rng(), resamples=50)[0]
    assert (thirty.units, thirty.indicative) == (30, False)
    assert (fewer.units, fewer.indicative) == (29, True)


def test_resamples_without_a_value_are_counted_and_left_out():
    maps = [(score, label * (i < 2)) for i, (score, label) in enumerate(made(frames=6))]
    frames = gridded([(score, label.astype(np.uint8)) for score, label in maps])
    interval = intervals(frames.metrics, range(6), rng=rng(), resamples=2000)[0]
    assert interval.undefined / 2000 == pytest.approx((4 / 6) ** 6, abs=0.02)  # neither is drawn
    assert 0 <= interval.low < interval.high <= 1


def test_a_metric_without_value_has_no_interval():
    undefined = summed(np.ones((5, 2)), lambda s: np.column_stack((s[:, 0] / 10, s[:, 0] * np.nan)))
    first, second = intervals(undefined, range(5), rng=rng(), resamples=20)
    assert first.value == 0.5
    assert second is None


def test_a_perfect_map_has_an_interval_without_width():
    maps = [(label.astype(np.float32), label) for _, label in made(frames=35)]
    for name, interval in zip(
        GRID_METRICS, intervals(gridded(maps).metrics, range(35), rng=rng()), strict=True
    ):
        perfect = 0 if name == "FPR95" else 1
        assert (interval.low, interval.value, interval.high) == (perfect, perfect, perfect)


@pytest.mark.parametrize("groups", [["only"], ["scene", "scene", "scene"]])
def test_one_unit_cannot_be_resampled(groups):
    statistic = summed(np.ones((len(groups), 1)), lambda sums: sums)
    with pytest.raises(MetricError, match="at least 2 frames or scenes"):
        intervals(statistic, groups, rng=rng())


# ------------------------------------------------------------------------------------- comparison


def test_a_run_compared_with_itself_does_not_differ():
    frames = gridded(made())
    for comparison in compare(frames.metrics, frames.metrics, range(40), rng=rng()):
        assert (comparison.difference, comparison.low, comparison.high) == (0, 0, 0)
        assert comparison.p == 1


def test_the_other_way_round_a_comparison_changes_its_sign_only():
    one, other = gridded(made()), gridded(made(seed=1, apart=2.3))
    forth = compare(one.metrics, other.metrics, range(40), rng=rng())
    back = compare(other.metrics, one.metrics, range(40), rng=rng())
    for a, b in zip(forth, back, strict=True):
        assert (a.difference, a.low, a.high) == pytest.approx((-b.difference, -b.high, -b.low))
        assert a.p == pytest.approx(b.p)


def test_pairs_tell_what_single_intervals_cannot():
    maps = made()
    better = [(score + 0.15 * (label == 1).astype(np.float32), label) for score, label in maps]
    one, other = gridded(maps), gridded(better)
    values = exact(better), exact(maps)
    compared = compare(other.metrics, one.metrics, range(40), rng=rng(), exact=values)[0]
    alone = intervals(one.metrics, range(40), rng=rng())[0]
    assert alone.low < values[0][0] < alone.high
    assert 0 < compared.low < compared.difference < compared.high
    assert compared.difference == values[0][0] - values[1][0]
    assert compared.p < 0.001


def test_p_below_a_level_and_an_interval_without_zero_are_the_same_thing():
    for seed in range(30):
        values = rng(seed).normal(0.1, 0.5, (50, 1))
        mean = summed(values, lambda sums: sums / 50)
        nothing = summed(values * 0, lambda sums: sums / 50)
        (c,) = compare(mean, nothing, range(50), rng=rng(seed), resamples=4000)
        if abs(c.p - 0.05) > 0.005:  # the quantile itself is a point between two resamples
            assert (c.p < 0.05) == (not c.low <= 0 <= c.high)


def test_without_a_difference_p_is_even():
    p = []
    for seed in range(300):
        draw = rng(seed)
        values = draw.lognormal(0, 0.7, (60, 2))
        one, other = (summed(values[:, i : i + 1], lambda sums: sums / 600) for i in (0, 1))
        p += [compare(one, other, range(60), rng=draw, resamples=300)[0].p]
    assert np.mean(np.array(p) < 0.05) < 0.08
    assert np.mean(np.array(p) < 0.5) == pytest.approx(0.5, abs=0.1)


def test_p_is_never_zero():
    one, other = (summed(np.full((20, 1), v), lambda sums: sums / 20) for v in (0.9, 0.1))
    (c,) = compare(one, other, range(20), rng=rng())
    assert 0 < c.p < 0.01


# ------------------------------------------------------------------------------------------- holm


def test_holm_equals_its_definition():
    p = [0.04, 0.001, 0.2, 0.012, 0.03]
    # sorted: .001 x5, .012 x4, .03 x3, .04 x2, .2 x1, none below the one before
    assert holm(p) == pytest.approx((0.09, 0.005, 0.2, 0.048, 0.09))


def test_holm_of_one_is_itself_and_of_none_is_none():
    assert holm([0.03]) == (0.03,)
    assert holm([]) == ()


def test_holm_never_exceeds_one():
    assert holm([0.6, 0.7, 0.8]) == (1, 1, 1)


# ------------------------------------------------------------------------------------- components


def test_components_are_resampled_like_pixels():
    sizes = MinimumSizes(predicted_px=4, labelled_px=2)
    frames = []
    for score, label in made(frames=30, size=(20, 30)):
        frames.append(ComponentCounts.of(score, label, 1.5, sizes))
    statistic = component_statistic(frames)
    taken = rng().integers(0, 30, 30)
    whole, drawn = statistic(np.stack((np.ones(30), np.bincount(taken, minlength=30))))
    for values, counts in ((whole, total(frames)), (drawn, total(frames[i] for i in taken))):
        expected = [mean_siou(counts), component_ppv(counts), f1_star(counts)]
        expected += [f1(counts, tau) for tau in TAUS]
        assert values == pytest.approx(expected, abs=1e-12)
    made_intervals = intervals(statistic, range(30), rng=rng(), resamples=200)
    assert len(made_intervals) == len(COMPONENT_METRICS)


def test_component_metrics_without_components_have_no_interval():
    empty = ComponentCounts.of_mask(
        np.zeros((9, 9), bool), np.zeros((9, 9), np.uint8), MinimumSizes(1, 1)
    )
    assert set(intervals(component_statistic([empty] * 3), range(3), rng=rng(), resamples=9)) == {
        None
    }


# ------------------------------------------------------------------------------- coverage, measured

EDGES = np.linspace(-6, 9, 150)
POPULATIONS = {  # of anomalous pixels per frame: mean and spread of the logarithm, share without
    "even": (8.0, 0.6, 0.0),
    "large": (9.0, 1.2, 0.02),
    "small": (5.5, 1.0, 0.1),
    "uneven": (7.5, 1.8, 0.3),
}


def drawn_frames(population, frames, draw):
    """Frames of a population, as counts in bins: normal scores whose parameters vary by frame."""
    mean, spread, without = POPULATIONS[population]
    anomalous = np.exp(draw.normal(mean, spread, frames)) * (draw.random(frames) >= without)
    shift, apart = draw.normal(0, 0.35, (frames, 1)), draw.normal(2.5, 0.8, (frames, 1))
    scale, tail = np.exp(draw.normal(0, 0.15, (frames, 1))), 0.003 * draw.random((frames, 1))
    below = (1 - tail) * norm.cdf((EDGES - shift) / scale)
    below += tail * norm.cdf((EDGES - 3.5 - shift) / 0.8)

    def counts(cumulative, pixels):
        share = np.diff(np.pad(cumulative, ((0, 0), (1, 1)), constant_values=((0, 0), (0, 1))))
        return draw.poisson(share[:, ::-1] * pixels).astype(np.int32)

    return GridCounts(
        Grid(EDGES.astype(np.float32), np.zeros(len(EDGES) + 1, bool)),
        counts(below, 200_000),
        counts(norm.cdf(EDGES - shift - apart), anomalous[:, None]),
    )


@functools.cache
def truth(population):
    draw = rng(99)
    normal = anomaly = 0
    for _ in range(30):
        some = drawn_frames(population, 5000, draw)
        normal, anomaly = normal + some.normal.sum(axis=0), anomaly + some.anomaly.sum(axis=0)
    whole = GridCounts(some.grid, normal[None], anomaly[None])
    return whole.metrics(np.ones((1, 1)))[0]


def coverage(population, frames, replicates, resamples=2000):
    """Share of simulated sets whose 95 % interval holds the true value, for each metric."""
    draw = rng(1)
    held = []
    for _ in range(replicates):
        sample = drawn_frames(population, frames, draw)
        made = intervals(sample.metrics, range(frames), rng=draw, resamples=resamples)
        pairs = zip(made, truth(population), strict=True)
        held.append([interval.low <= true <= interval.high for interval, true in pairs])
    return np.mean(held, axis=0)


def test_of_a_hundred_frames_about_95_in_100_intervals_hold_the_true_value():
    # All four populations, 100 to 400 frames, 500 replicates: in the docstring of the module.
    held = coverage("even", frames=100, replicates=200, resamples=500)
    assert (held > 0.9).all()
    assert (held < 0.99).all()


# ------------------------------------------------------------------------------------------ speed


def test_two_thousand_resamples_of_a_hundred_frames_take_less_than_two_seconds():
    frames = gridded(made(frames=100))
    started = time.process_time()
    intervals(frames.metrics, range(100), rng=rng())
    assert time.process_time() - started < 2
