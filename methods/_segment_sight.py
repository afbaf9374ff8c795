"""What a post-hoc method sees of an image: its prediction, and class probabilities beside it."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.types import Image, Prediction
from methods._posthoc import PostHoc
from methods._segments import Segments
from methods._upsampling import resized


@dataclass(frozen=True, eq=False)
class Sight:
    """What is seen of an image at its own size."""

    prediction: Prediction
    probabilities: NDArray[np.float32]  # (19, H, W), the softmax

    def mask(self, threshold: float) -> NDArray[np.bool_]:
        """(H, W): the pixels whose score is at least `threshold`."""
        return self.prediction.score >= least(threshold)


@runtime_checkable
class RemovesSegments(Protocol):
    """A method whose fitted classifier takes segments of a base's score for false."""

    threshold: float  # segments are made of pixels whose score is at or above it
    certainty: float  # a segment goes if it is false with a probability above this

    @property
    def fitted_on(self) -> tuple[str, ...]:
        """Names of the data that the classifier was fitted on; (): not known."""

    def unlowered(self, image: Image) -> Sight:
        """What the base sees of an image."""

    def chances(self, segments: Segments) -> NDArray[np.float64]:
        """The probability of each segment, (n,), to be a false one."""


def sight(method: PostHoc, image: Image, batch: Tensor) -> Sight:
    """What `method` says of an image, and its network in a pass of the whole.

    Args:
        method: whatever views it averages, the probabilities are those of one pass.
        image: (H, W, 3) uint8 RGB.
        batch: (1, 3, h, w), made of the image by the network's `preprocess`.
    """
    height, width = image.shape[:2]
    with torch.inference_mode():
        output = resized(method._output(batch.to(method._device)), (height, width))
        probabilities = output.logits.softmax(dim=0).cpu().numpy()
    return Sight(method.predict(image), probabilities)


def least(threshold: float) -> np.float32:
    """The least float32 that is at least `threshold`."""
    near = np.float32(threshold)
    return near if float(near) >= threshold else np.nextafter(near, np.float32(np.inf))
