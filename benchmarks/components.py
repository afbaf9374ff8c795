"""Mean sIoU + mean PPV + F1* of noisy maps: ours, and the definition written as loops."""

import numpy as np
from contest import Contest, Contestant
from maps import Maps
from scipy.ndimage import label as connected

THRESHOLD = 1.45  # of smoothed noise: about 2,000 predicted components in 1024x2048


def harness(maps: Maps) -> dict[str, float]:
    """By runs."""
    from harness.metrics import component
    from harness.metrics.pixel import total

    counts = total(
        component.ComponentCounts.of(score, label, THRESHOLD, component.OBSTACLE_TRACK)
        for score, label in maps
    )
    return {
        "sIoU": component.mean_siou(counts),
        "PPV": component.mean_ppv(counts),
        "F1*": component.f1_star(counts),
    }


def loops(maps: Maps) -> dict[str, float]:
    """As the definition reads: for each component, masks of the whole frame."""
    smallest_predicted, smallest_labelled, eight = 50, 10, np.ones((3, 3), int)
    siou, ppv = [], []
    for score, label in maps:
        predicted, how_many = connected((score >= THRESHOLD) & (label != 255), eight)
        for p in range(1, how_many + 1):
            if np.count_nonzero(predicted == p) < smallest_predicted:
                predicted[predicted == p] = 0
        labelled, how_many = connected(label == 1, eight)
        for k in range(1, how_many + 1):
            if np.count_nonzero(labelled == k) < smallest_labelled:
                predicted[labelled == k] = 0
                labelled[labelled == k] = 0
        for k in np.unique(labelled[labelled > 0]):
            this = labelled == k
            touching = np.isin(predicted, np.unique(predicted[this & (predicted > 0)]))
            union = (this | touching) & ~((labelled > 0) & ~this & touching)
            siou.append(np.count_nonzero(this & touching) / np.count_nonzero(union))
        for p in np.unique(predicted[predicted > 0]):
            this = predicted == p
            ppv.append(np.count_nonzero(this & (labelled > 0)) / np.count_nonzero(this))
    f1 = []
    for tau in range(25, 80, 5):
        tp = np.count_nonzero(100 * np.array(siou) >= tau)
        fp = np.count_nonzero(100 * np.array(ppv) < tau)
        f1.append(2 * tp / (tp + len(siou) + fp))
    return {
        "sIoU": float(np.mean(siou)),
        "PPV": float(np.mean(ppv)),
        "F1*": float(np.mean(f1)),
    }


COMPONENTS = Contest(
    task="mean sIoU, mean PPV and F1*",
    contestants={"harness": Contestant(harness), "loops": Contestant(loops)},
    frames=5,
    smooth_px=4,
)
