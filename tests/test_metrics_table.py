"""The table of metrics: complete, in reporting order, and defined or refused with a sentence."""

import math

import numpy as np
import pytest

from harness.errors import MetricError
from harness.metrics import FAMILIES, METRIC_VERSION, METRICS, OFFICIAL
from harness.metrics.pixel import PixelCounts

SCORE = np.random.default_rng(3).normal(size=(20, 30)).astype(np.float32)
LABEL = np.random.default_rng(4).choice([0, 0, 0, 1, 255], size=(20, 30)).astype(np.uint8)


PIXEL = [name for name, metric in METRICS.items() if metric.family == "pixel"]


def test_the_pixel_metrics_are_listed_in_reporting_order():
    assert PIXEL == ["AP", "AUROC", "FPR95", "bestF1", "bestF1_threshold", "positives"]


def test_families_follow_each_other_and_show_columns_of_their_own():
    families = list(dict.fromkeys(metric.family for metric in METRICS.values()))
    assert tuple(families) == FAMILIES == tuple(OFFICIAL)
    for family, names in OFFICIAL.items():
        assert {METRICS[name].family for name in names} == {family}


def test_the_version_is_a_short_text():
    assert isinstance(METRIC_VERSION, str)
    assert METRIC_VERSION


def test_what_was_chosen_on_the_labels_is_marked_as_an_oracle():
    assert [name for name in PIXEL if METRICS[name].oracle] == ["bestF1", "bestF1_threshold"]
    assert all(m.oracle for m in METRICS.values() if m.family == "component")
    assert METRICS["open-mIoU"].oracle


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_filed_under_its_name_and_says_what_it_means(name):
    metric = METRICS[name]
    assert metric.name == name
    assert metric.title
    assert metric.meaning.endswith(".")
    assert metric.unit in ("%", "")


@pytest.mark.parametrize("name", PIXEL)
def test_a_metric_is_a_plain_finite_float(name):
    value = METRICS[name].value(PixelCounts.of(SCORE, LABEL))
    assert type(value) is float
    assert math.isfinite(value)


@pytest.mark.parametrize("name", [name for name in PIXEL if METRICS[name].unit == "%"])
def test_a_rate_is_a_fraction(name):
    assert 0 <= METRICS[name].value(PixelCounts.of(SCORE, LABEL)) <= 1


@pytest.mark.parametrize("name", [name for name in PIXEL if METRICS[name].higher_is_better])
def test_a_perfect_map_gets_the_highest_value(name):
    assert METRICS[name].value(PixelCounts.of((LABEL == 1).astype(np.float32), LABEL)) == 1.0


def test_a_perfect_map_has_no_false_positives():
    assert METRICS["FPR95"].value(PixelCounts.of((LABEL == 1).astype(np.float32), LABEL)) == 0.0


@pytest.mark.parametrize("name", [name for name in PIXEL if name != "positives"])
@pytest.mark.parametrize(
    ("left", "missing"), [(0, "no anomalous"), (1, "no normal"), (255, "no labelled")]
)
def test_a_metric_without_both_classes_is_an_error_that_says_which_is_missing(name, left, missing):
    counts = PixelCounts.of(SCORE, np.full_like(LABEL, left))
    with pytest.raises(MetricError, match=missing):
        METRICS[name].value(counts)


@pytest.mark.parametrize(("left", "share"), [(0, 0.0), (1, 1.0)])
def test_the_positives_share_is_defined_as_soon_as_a_pixel_is_counted(left, share):
    assert METRICS["positives"].value(PixelCounts.of(SCORE, np.full_like(LABEL, left))) == share


def test_the_positives_share_of_no_pixel_is_an_error():
    with pytest.raises(MetricError, match="no pixel"):
        METRICS["positives"].value(PixelCounts.of(SCORE, np.full_like(LABEL, 255)))
