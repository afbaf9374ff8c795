"""What the numbers mean: the table of metrics that a run reports, in reporting order.

Rates are fractions in [0, 1] everywhere inside; `unit` says how they are printed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from harness.metrics.pixel import (
    PixelCounts,
    auroc,
    average_precision,
    best_f1,
    fpr_at_tpr,
    positives_share,
)

METRIC_VERSION = "1"
"""Changes when a metric's value can change; runs of different versions never rank together."""


@dataclass(frozen=True)
class Metric:
    """One column of the board."""

    name: str
    title: str
    unit: str  # "%": print the fraction times 100; "": print as it is
    higher_is_better: bool | None  # None: says something of the data or the scores, ranks nobody
    value: Callable[[PixelCounts], float]  # raises MetricError where it is not defined
    meaning: str  # one sentence
    oracle: bool = False  # uses the evaluated labels to choose something


METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            name="AP",
            title="Average precision",
            unit="%",
            higher_is_better=True,
            value=average_precision,
            meaning="Mean, over anomalous pixels, of the precision at their score.",
        ),
        Metric(
            name="AUROC",
            title="Area under the ROC curve",
            unit="%",
            higher_is_better=True,
            value=auroc,
            meaning="How often an anomalous pixel outscores a normal one; a tie counts half.",
        ),
        Metric(
            name="FPR95",
            title="False-positive rate at 95 % recall",
            unit="%",
            higher_is_better=False,
            value=lambda counts: fpr_at_tpr(counts, 0.95),
            meaning="Lowest share of normal pixels flagged by a threshold that finds at least "
            "95 % of the anomalous ones.",
        ),
        Metric(
            name="bestF1",
            title="Best F1",
            unit="%",
            higher_is_better=True,
            value=lambda counts: best_f1(counts).f1,
            meaning="Largest F1 of any threshold; the threshold is chosen on the evaluated labels.",
            oracle=True,
        ),
        Metric(
            name="bestF1_threshold",
            title="Threshold of best F1",
            unit="",
            higher_is_better=None,
            value=lambda counts: best_f1(counts).threshold,
            meaning="Highest score threshold that gives the best F1.",
            oracle=True,
        ),
        Metric(
            name="positives",
            title="Positives",
            unit="%",
            higher_is_better=None,
            value=positives_share,
            meaning="Share of anomalous pixels among all that are not ignored: the AP of guessing.",
        ),
    )
}
