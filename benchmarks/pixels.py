"""AP + AUROC + FPR95: ours, scikit-learn's, and torchmetrics' exact and binned forms."""

from typing import Any

import numpy as np
from contest import Contest, Contestant
from maps import Maps

THRESHOLDS = 200  # of the binned form, evenly spaced over [0, 1]


def harness(maps: Maps) -> dict[str, float]:
    """By two passes over the maps."""
    from harness.metrics import METRICS
    from harness.metrics.pixel import Pivots, PixelCounts, total

    pivots = total(Pivots.of(score, label) for score, label in maps)
    counts = total(PixelCounts.of(score, label, pivots) for score, label in maps)
    return {name: METRICS[name].value(counts) for name in ("AP", "AUROC", "FPR95")}


def scikit_learn(maps: Maps) -> dict[str, float]:
    """From all pixels that are not ignored, held in memory together."""
    from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

    scores, labels = [], []
    for score, label in maps:
        counted = label < 255
        scores.append(score[counted])
        labels.append(label[counted])
    score, label = np.concatenate(scores), np.concatenate(labels)
    del scores, labels
    # scikit-learn sums in the type of the scores in places; float16 would overflow there.
    score = score.astype(np.float32, copy=False)
    numbers = {
        "AP": float(average_precision_score(label, score)),
        "AUROC": float(roc_auc_score(label, score)),
    }
    fpr, tpr, _ = roc_curve(label, score, drop_intermediate=False)
    return numbers | {"FPR95": float(fpr[np.argmax(tpr >= 0.95)])}


def torchmetrics_exact(maps: Maps) -> dict[str, float]:
    """All pixels kept by its metric objects until the end."""
    return _torchmetrics(maps, None)


def torchmetrics_binned(maps: Maps) -> dict[str, float]:
    """Counts at evenly spaced thresholds."""
    return _torchmetrics(maps, THRESHOLDS)


def _torchmetrics(maps: Maps, thresholds: int | None) -> dict[str, float]:
    import torch
    from torchmetrics import MetricCollection
    from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision, BinaryROC

    # The fastest way to call it: no check of the arguments, and one state for all three, which the
    # collection finds out for itself.
    how: dict[str, Any] = {
        "thresholds": thresholds,
        "ignore_index": 255,
        "validate_args": False,
    }
    metrics = MetricCollection(
        {
            "AP": BinaryAveragePrecision(**how),
            "AUROC": BinaryAUROC(**how),
            "ROC": BinaryROC(**how),
        }
    )
    for score, label in maps:
        metrics.update(torch.from_numpy(score), torch.from_numpy(label))
    values = metrics.compute()
    fpr, tpr, _ = values["ROC"]
    # The first point with enough recall; of the binned curve, the nearest above.
    at = int((tpr >= 0.95).int().argmax())
    return {"AP": float(values["AP"]), "AUROC": float(values["AUROC"]), "FPR95": float(fpr[at])}


PIXELS = Contest(
    task="AP, AUROC and FPR95",
    contestants={"harness": Contestant(harness), "scikit-learn": Contestant(scikit_learn)},
    frames=10,
)

# torchmetrics squashes scores by a sigmoid unless all of a frame lie in [0, 1]. It divides in
# float32, so its exact form has fewer digits.
TORCHMETRICS = Contest(
    task="AP, AUROC and FPR95 of scores in [0, 1]",
    contestants={
        **PIXELS.contestants,
        "torchmetrics": Contestant(torchmetrics_exact, within=1e-4, package="torchmetrics"),
        f"torchmetrics, {THRESHOLDS} thresholds": Contestant(
            torchmetrics_binned, within=np.inf, package="torchmetrics"
        ),
    },
    frames=10,
    unit=True,
)
