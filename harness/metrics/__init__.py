"""What the numbers mean: the table of metrics that a run reports, in reporting order.

Rates are fractions in [0, 1] everywhere inside; `unit` says how they are printed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from harness.errors import MetricError
from harness.metrics import classes, component
from harness.metrics.classes import ClassCounts, OpenCounts
from harness.metrics.pixel import auroc, average_precision, best_f1, fpr_at_tpr, positives_share
from harness.types import CLASS_NAMES

METRIC_VERSION = "1"
"""Changes when a metric's value can change; runs of different versions never rank together."""

FAMILIES = ("pixel", "component", "misclassification", "classes")
"""What a metric is counted from: anomalous pixels (`PixelCounts`), anomalous components
(`ComponentCounts`), pixels whose predicted class is wrong (`PixelCounts`), predicted classes
(`ClassCounts`; open-mIoU: `OpenCounts`)."""


@dataclass(frozen=True)
class Metric:
    """One column of the board."""

    name: str
    title: str
    unit: str  # "%": print the fraction times 100; "": print as it is
    higher_is_better: bool | None  # None: says something of the data or the scores, ranks nobody
    value: Callable[[Any], float]  # of the family's counts; raises MetricError where not defined
    meaning: str  # one sentence
    oracle: bool = False  # uses the evaluated labels to choose something
    family: str = "pixel"


def _class_iou(index: int, counts: ClassCounts) -> float:
    value = classes.iou_per_class(counts)[index]
    if value is None:
        raise MetricError(
            f"IoU of {CLASS_NAMES[index]} is not defined: no pixel is or is called so."
        )
    return value


def _open_miou(counts: OpenCounts) -> float:
    return classes.open_miou(counts, float(counts.thresholds[0])).value


def _finds(which: str, tau: int, counts: component.ComponentCounts) -> float:
    return float(getattr(component.finds(counts, tau), which))


_PIXEL = (
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

_COMPONENT = (
    Metric(
        name="sIoU",
        title="Mean sIoU of labelled components",
        unit="%",
        higher_is_better=True,
        value=component.mean_siou,
        meaning="How well labelled components are covered, the predicted ones that touch them "
        "taken together.",
        oracle=True,
        family="component",
    ),
    Metric(
        name="PPV",
        title="Mean PPV of predicted components",
        unit="%",
        higher_is_better=True,
        value=component.mean_ppv,
        meaning="Which share of a predicted component lies on labelled ones.",
        oracle=True,
        family="component",
    ),
    Metric(
        name="F1*",
        title="Mean component F1",
        unit="%",
        higher_is_better=True,
        value=component.f1_star,
        meaning="F1 of components, averaged over overlaps of 25, 30 … 75 %.",
        oracle=True,
        family="component",
    ),
    *(
        Metric(
            name=f"F1@{tau}",
            title=f"Component F1 at {tau} % overlap",
            unit="%",
            higher_is_better=True,
            value=partial(lambda tau, counts: component.f1(counts, tau), tau),
            meaning=f"F1 of components, found when sIoU, and right when PPV, is at least {tau} %.",
            oracle=True,
            family="component",
        )
        for tau in component.TAUS
    ),
    *(
        Metric(
            name=f"{which.upper()}@{tau}",
            title=f"Components {verb} at {tau} % overlap",
            unit="",
            higher_is_better=None,
            value=partial(_finds, which, tau),
            meaning=f"How many components are {verb} at {tau} % overlap.",
            oracle=True,
            family="component",
        )
        for tau in component.TAUS
        for which, verb in (("tp", "found"), ("fn", "missed"), ("fp", "invented"))
    ),
)

_MISCLASSIFICATION = (
    Metric(
        name="mis.AP",
        title="Average precision for wrong classes",
        unit="%",
        higher_is_better=True,
        value=average_precision,
        meaning="AP where the positives are the pixels whose predicted class is wrong.",
        family="misclassification",
    ),
    Metric(
        name="mis.AUROC",
        title="AUROC for wrong classes",
        unit="%",
        higher_is_better=True,
        value=auroc,
        meaning="How often a wrongly classified pixel outscores a rightly classified one.",
        family="misclassification",
    ),
    Metric(
        name="mis.FPR95",
        title="False-positive rate at 95 % recall for wrong classes",
        unit="%",
        higher_is_better=False,
        value=lambda counts: fpr_at_tpr(counts, 0.95),
        meaning="FPR95 where the positives are the pixels whose predicted class is wrong.",
        family="misclassification",
    ),
    Metric(
        name="mis.AURC",
        title="Area under the risk-coverage curve",
        unit="%",
        higher_is_better=False,
        value=classes.aurc,
        meaning="Mean share of wrong classes among the pixels kept, over all shares kept.",
        family="misclassification",
    ),
    Metric(
        name="mis.E-AURC",
        title="Excess area under the risk-coverage curve",
        unit="%",
        higher_is_better=False,
        value=classes.excess_aurc,
        meaning="AURC above that of the best possible order.",
        family="misclassification",
    ),
)

_CLASSES = (
    Metric(
        name="mIoU",
        title="Mean IoU",
        unit="%",
        higher_is_better=True,
        value=lambda counts: classes.miou(counts).value,
        meaning="Intersection over union of the classes, averaged over those that occur.",
        family="classes",
    ),
    Metric(
        name="accuracy",
        title="Pixel accuracy",
        unit="%",
        higher_is_better=True,
        value=classes.pixel_accuracy,
        meaning="Share of labelled pixels whose predicted class is right.",
        family="classes",
    ),
    Metric(
        name="ECE",
        title="Expected calibration error",
        unit="%",
        higher_is_better=False,
        value=classes.expected_calibration_error,
        meaning="Gap between the largest softmax probability and accuracy, over 15 bins.",
        family="classes",
    ),
    Metric(
        name="open-mIoU",
        title="Open mean IoU",
        unit="%",
        higher_is_better=True,
        value=_open_miou,
        meaning="mIoU over the classes and void when pixels above a threshold are rejected; "
        "FlowEneDet's definition, its threshold tuned on the evaluated frames.",
        oracle=True,
        family="classes",
    ),
    *(
        Metric(
            name=f"IoU.{name.replace(' ', '_')}",
            title=f"IoU of {name}",
            unit="%",
            higher_is_better=True,
            value=partial(_class_iou, index),
            meaning=f"Intersection over union of the class {name}.",
            family="classes",
        )
        for index, name in enumerate(CLASS_NAMES)
    ),
)

METRICS = {m.name: m for m in (*_PIXEL, *_COMPONENT, *_MISCLASSIFICATION, *_CLASSES)}

OFFICIAL = {
    "pixel": ("AP", "AUROC", "FPR95", "bestF1"),
    "component": ("sIoU", "PPV", "F1*"),
    "misclassification": ("mis.AP", "mis.AUROC", "mis.FPR95"),
    "classes": ("mIoU", "ECE"),
}
"""The columns that are shown of each family unless more are asked for."""
