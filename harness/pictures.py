"""Small pictures of a frame: image, label and score map, as they stand beside a run's numbers."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from harness.types import ANOMALY, IGNORE, NORMAL, Image, Label, Score

WIDTH = 320  # pixels
LABEL_COLOURS = {NORMAL: (176, 184, 196), ANOMALY: (232, 72, 32), IGNORE: (24, 26, 32)}
HEAT = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
"""Anchors of the heat map from low to high score: dark, violet, red, yellow; evenly spaced."""

Picture = NDArray[np.uint8]  # (h, w, 3), RGB


def image_picture(image: Image) -> Picture:
    """The (H, W, 3) image as a (h, WIDTH, 3) picture."""
    picture = PILImage.fromarray(image).resize(_size(image), PILImage.Resampling.BOX)
    return np.asarray(picture)


def label_picture(label: Label) -> Picture:
    """The (H, W) label as a picture in the three `LABEL_COLOURS`; small anomalies stay visible."""
    factor = max(1, label.shape[1] // WIDTH)
    height, width = (n // factor * factor for n in label.shape)
    blocks = label[:height, :width].reshape(height // factor, factor, width // factor, factor)
    shrunk = blocks[:, factor // 2, :, factor // 2].copy()
    shrunk[(blocks == ANOMALY).any(axis=(1, 3))] = ANOMALY
    table = np.zeros((256, 3), np.uint8)
    for value, colour in LABEL_COLOURS.items():
        table[value] = colour
    picture = PILImage.fromarray(table[shrunk]).resize(_size(label), PILImage.Resampling.NEAREST)
    return np.asarray(picture)


def score_picture(score: Score) -> Picture:
    """The (H, W) score map as a heat picture, linear from its 1st to its 99.9th percentile."""
    shrunk = np.asarray(
        PILImage.fromarray(score).resize(_size(score), PILImage.Resampling.BOX), np.float64
    )
    low, high = np.percentile(shrunk, (1, 99.9))
    unit = np.clip((shrunk - low) / (high - low if high > low else 1.0), 0, 1)
    at = np.linspace(0, 1, len(HEAT))
    heat = np.empty((*unit.shape, 3), np.uint8)
    for channel in range(3):
        anchors = [colour[channel] for colour in HEAT]
        heat[..., channel] = np.rint(np.interp(unit, at, anchors))
    return heat


def webp(picture: Picture) -> bytes:
    """The picture as a WEBP file's bytes."""
    buffer = io.BytesIO()
    PILImage.fromarray(picture).save(buffer, "WEBP", quality=80, method=4)
    return buffer.getvalue()


def _size(array: NDArray[np.generic]) -> tuple[int, int]:
    height, width = array.shape[:2]
    return min(WIDTH, width), max(1, round(height * min(WIDTH, width) / width))
