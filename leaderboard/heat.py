"""Score maps as pictures: heat, hits and false alarms at a threshold, outlines of segments."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from scipy.ndimage import binary_dilation

from harness.types import ANOMALY, IGNORE, NORMAL, Image, Label

HEAT = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
"""Inferno, from low to high score: evenly bright steps, told apart by colour-blind readers too.
The small pictures of a run have the same colours."""

FOUND, ALARM, MISSED = (0, 158, 115), (213, 94, 0), (86, 180, 233)
"""Anomalous and flagged; normal and flagged; anomalous and not flagged (Okabe and Ito)."""

OUTLINE = (255, 255, 255)
WIDTH = 960  # pixels; wider pictures cost time and show no more

SCALES = ("each its own range", "rank within the frame")

Pixels = NDArray[np.uint8]  # (h, w, 3)
Scores = NDArray[np.floating[Any]]  # (H, W), float16 or float32


def heat_picture(score: Scores, scale: str = SCALES[0], width: int = WIDTH) -> Pixels:
    """The (H, W) map as a heat picture of at most `width` pixels' width.

    Args:
        score: higher is more anomalous; scores of different methods have different units.
        scale: one of `SCALES`: linear from the 1st to the 99.9th percentile; or the share of the
            frame's pixels that score lower, which is comparable from one method to another.
        width: of the picture.
    """
    small = _shrunk(np.asarray(score, np.float32), width)
    if scale == SCALES[1]:
        ascending = np.sort(small, axis=None)
        unit = np.searchsorted(ascending, small, "left") / max(1, small.size - 1)
    else:
        low, high = np.percentile(small, (1, 99.9))
        unit = (small - low) / (high - low if high > low else 1.0)
    table = np.stack(
        [
            np.interp(np.linspace(0, 1, 256), np.linspace(0, 1, len(HEAT)), channel)
            for channel in zip(*HEAT, strict=True)
        ],
        axis=1,
    )
    levels = np.rint(255 * np.clip(unit, 0, 1)).astype(np.uint8)
    heat: Pixels = np.rint(table).astype(np.uint8)[levels]
    return heat


def overlay(image: Image, label: Label, score: Scores, threshold: float) -> Pixels:
    """The image in grey under what `threshold` does, with the labelled segments outlined.

    Green is anomalous and flagged, orange normal and flagged, blue anomalous and missed; ignored
    pixels stay grey. At most `WIDTH` wide; a picture's pixel shows the rarest of what it covers.
    """
    kind = verdicts(label, score, threshold)
    step = max(1, round(kind.shape[1] / WIDTH))
    small = _largest(kind, step)
    height, width = small.shape
    grey = PILImage.fromarray(image).convert("L").resize((width, height))
    shown = np.repeat(np.asarray(grey, np.float32)[..., None], 3, axis=2)
    for value, colour in ((_ALARM, ALARM), (_FOUND, FOUND), (_MISSED, MISSED)):
        at = small == value
        shown[at] = 0.25 * shown[at] + 0.75 * np.array(colour)
    shown[_outline(_largest((label == ANOMALY).astype(np.uint8), step) > 0)] = OUTLINE
    return np.rint(shown).astype(np.uint8)


def verdicts(label: Label, score: Scores, threshold: float) -> NDArray[np.uint8]:
    """(H, W): 0 rightly or not judged, 1 false alarm, 2 found, 3 missed; flagged is >= threshold.

    The scores are compared at float32, in which thresholds are saved.
    """
    flagged = np.asarray(score, np.float32) >= np.float32(threshold)
    kind = np.zeros(label.shape, np.uint8)
    kind[(label == NORMAL) & flagged] = _ALARM
    kind[(label == ANOMALY) & flagged] = _FOUND
    kind[(label == ANOMALY) & ~flagged] = _MISSED
    return kind


def label_picture(image: Image, label: Label) -> Pixels:
    """The image with anomalous pixels tinted and outlined, and ignored ones darkened."""
    step = max(1, round(label.shape[1] / WIDTH))
    anomalous = _largest((label == ANOMALY).astype(np.uint8), step) > 0
    height, width = anomalous.shape
    shown = np.asarray(PILImage.fromarray(image).resize((width, height)), np.float32).copy()
    shown[label[::step, ::step][:height, :width] == IGNORE] *= 0.35
    shown[anomalous] = 0.35 * shown[anomalous] + 0.65 * np.array(ALARM)
    shown[_outline(anomalous)] = OUTLINE
    return np.rint(shown).astype(np.uint8)


def image_picture(image: Image, width: int = WIDTH) -> Pixels:
    """The (H, W, 3) image, at most `width` wide."""
    if image.shape[1] <= width:
        return image
    size = (width, max(1, round(image.shape[0] * width / image.shape[1])))
    return np.asarray(PILImage.fromarray(image).resize(size, reducing_gap=2.0))


def encoded(picture: Pixels) -> bytes:
    """The picture as a JPEG file's bytes, without visible loss."""
    buffer = io.BytesIO()
    PILImage.fromarray(picture).save(buffer, "JPEG", quality=90, subsampling=0)
    return buffer.getvalue()


_ALARM, _FOUND, _MISSED = 1, 2, 3


def _shrunk(score: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    if score.shape[1] <= width:
        return score
    size = (width, max(1, round(score.shape[0] * width / score.shape[1])))
    return np.asarray(PILImage.fromarray(score).resize(size, PILImage.Resampling.BOX))


def _largest(values: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """The largest value of each block of `step` x `step`; small objects stay visible."""
    height, width = (n // step * step for n in values.shape)
    blocks = values[:height, :width].reshape(height // step, step, width // step, step)
    found: NDArray[np.uint8] = blocks.max(axis=(1, 3))
    return found


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels just outside of `mask`."""
    found: NDArray[np.bool_] = binary_dilation(mask, iterations=1) & ~mask
    return found
