"""OODMC's classifier of pixels: which pixels it learns from, and the fit."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.errors import DataError
from harness.types import ANOMALY, IGNORE, NORMAL, Frame

LearnsFrom = Literal["void", "anomaly", "released"]
"""What is out of distribution, and what is in it, while the classifier is fitted.

void: pixels of no class, against those of the 19 classes: what the code's id range is meant for.
anomaly: labelled anomalies (proxy outliers), against normal pixels.
released: ignored pixels, against all others, true anomalies among them: what the released code
makes of LostAndFound's test split. There it takes what is neither road nor hazard for in
distribution, too, which the labels of `lost_and_found_test_metaood` ignore.
"""


def sides(frame: Frame, learns_from: LearnsFrom) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which pixels of a frame are out of distribution, and which in it, (H, W) each."""
    if learns_from == "void":
        if frame.classes is None:
            raise DataError(f"{frame.id}: has no classes; the fit needs labelled frames.")
        return frame.classes == IGNORE, frame.classes < 19
    if frame.label is None:
        raise DataError(f"{frame.id}: has no anomaly label; the fit needs one.")
    if learns_from == "anomaly":
        return frame.label == ANOMALY, frame.label == NORMAL
    return frame.label == IGNORE, frame.label != IGNORE


@dataclass(frozen=True, eq=False)
class MomentClassifier:
    """A line through the features: above 0 a pixel is in distribution."""

    weights: Tensor  # (d,) float64
    bias: Tensor  # () float64
    converged: bool = True

    def decision(self, features: Tensor) -> Tensor:
        """The signed distance of (d, p) float64 features, (p,): above 0 in distribution."""
        return self.weights @ features + self.bias

    def state(self) -> dict[str, Tensor]:
        """The classifier as tensors by name."""
        return {"weights": self.weights, "bias": self.bias}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "MomentClassifier":
        """The classifier that `state` was made of."""
        return cls(state["weights"], state["bias"])

    @classmethod
    def fitted(cls, features: NDArray[np.float64], inside: NDArray[np.bool_]) -> "MomentClassifier":
        """A linear support vector machine, scikit-learn's defaults, of (n, d) unscaled features.

        Args:
            features: of n pixels.
            inside: which of them are in distribution, (n,).
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.svm import LinearSVC

        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", ConvergenceWarning)
            machine = LinearSVC(random_state=0).fit(features, inside)
        return cls(
            torch.from_numpy(machine.coef_[0].copy()),
            torch.tensor(float(machine.intercept_[0]), dtype=torch.float64),
            not any(issubclass(each.category, ConvergenceWarning) for each in told),
        )
