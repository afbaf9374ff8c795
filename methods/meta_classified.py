"""Meta classification of any score: segments that are probably false positives are lowered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.errors import DataError, MethodError
from harness.method import load_method, method_class, option_fields
from harness.types import Frame, Image, Prediction
from methods._fitted import Progress, Tally, save_state
from methods._meta_classification import (
    Kind,
    MetaClassifier,
    Quality,
    held_out,
    meta_classifier,
    removed,
)
from methods._network import Network
from methods._posthoc import PostHoc
from methods._segment_features import feature_names
from methods._segment_judgement import JudgedSegments
from methods._segment_sight import Sight, least, sight
from methods._segments import Segments, segments_of
from methods._solitary import Look, SolitaryPostHoc

FOLDS = 10  # of whole frames, for what the fit says of its classifier
CERTAINTIES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99)  # and what each would remove
TALLIED = ("features", "iou", "frame", "hits", "objects", "frames")  # of the judged segments


@dataclass
class MetaClassified(SolitaryPostHoc):
    """The score of `base`; connected segments of at least `threshold` may be taken for false.

    All pixels of such a segment get a score just below the threshold, unless theirs is lower. This
    map of scores is ours: the published system removes segments from a mask, and has no scores
    after that. The classifier is fitted on labelled frames with anomalies, never on those that are
    evaluated; the published protocol fits it there, leaving out one segment at a time. Labels are
    not seen when scoring, so ignored pixels do not cut segments in two, as they do in the fit.
    Features are those of a pass of the whole image, whatever views the base averages.
    """

    paper = "https://arxiv.org/abs/2012.06575"  # Chan et al., ICCV 2021
    fits_on_anomalies = True
    fit_options: ClassVar[tuple[str, ...]] = (
        *SolitaryPostHoc.fit_options, "upsample", "post_processing", "window", "stride", "scales",
        "flip", "base", "threshold", "classifier",
    )  # fmt: skip

    base: str = "entropy"  # name or path of the post-hoc method that scores
    base_fitted: str = ""  # folder of its fit, where it learns
    threshold: float = 0.7  # of the base's score; segments are made of pixels at or above it
    classifier: Kind = "logistic"  # or mlp: three hidden layers of 75 units
    certainty: float = 0.5  # a segment goes if it is false with a probability above this

    def __post_init__(self) -> None:
        super().__post_init__()
        base = method_class(self.base)
        if not issubclass(base, PostHoc) or issubclass(base, SolitaryPostHoc):
            raise MethodError(
                f"meta_classified: {self.base} does not read a network's output; choose another "
                "base, entropy for example."
            )
        if self.base_fitted and "fitted" not in option_fields(base):
            raise MethodError(
                f"meta_classified: {self.base} learns nothing; leave base_fitted out."
            )

    def fit(
        self, frames: Sequence[Frame], folder: Path, *, progress: Progress, seed: int = 0
    ) -> dict[str, Any]:
        """Fits the classifier to the segments of all frames; says how well it does on new ones."""

        def add(tally: Tally, look: Look) -> None:
            frame = look.frame
            if frame.label is None:
                raise DataError(f"{frame.id}: has no anomaly label; the fit needs labelled frames.")
            found = self.unlowered(frame.image)
            mask = found.mask(self.threshold)
            judged = JudgedSegments.seen(found.probabilities, mask, frame.label)
            if tally:
                judged = _judged(tally) + judged
            tally.update({name: torch.tensor(getattr(judged, name)) for name in TALLIED})

        judged = _judged(self.tallied(frames, folder, add, seed=seed, progress=progress))
        if not judged.objects:
            raise DataError(
                "the frames have no labelled anomaly, so every segment is a false one; fit on "
                "frames that have some, --dataset synthroad_outliers for example."
            )
        false = judged.false_positive
        classifier = meta_classifier(judged.features, false, kind=self.classifier, seed=seed)
        save_state(folder, classifier.state())
        chances = held_out(
            judged.features, false, folds=judged.frame % FOLDS, kind=self.classifier, seed=seed
        )
        return {
            "segments": len(false),
            "objects": judged.objects,
            **{f"held_out_{key}": value for key, value in vars(Quality.of(chances, false)).items()},
            "held_out_removal": [
                {"certainty": each, **vars(judged.removal(removed(chances, each)))}
                for each in CERTAINTIES
            ],
        }

    def predicted(self, image: Image, batch: Tensor) -> Prediction:
        found = self._seen(image, batch)
        segments = segments_of(found.probabilities, found.mask(self.threshold))
        score = found.prediction.score
        if len(segments):
            gone = np.append(False, removed(self.chances(segments), self.certainty))
            below = np.nextafter(least(self.threshold), np.float32(-np.inf))
            score = np.where(gone[segments.components.index], np.minimum(score, below), score)
        return replace(found.prediction, score=score)

    def unlowered(self, image: Image) -> Sight:
        """What the base sees of an image."""
        return self._seen(image, self._loaded.preprocess(image))

    def chances(self, segments: Segments) -> NDArray[np.float64]:
        """The probability of each segment, (n,), to be a false one."""
        return MetaClassifier.from_state(self.state).chances(segments.features)

    @property
    def trained_on(self) -> tuple[str, ...]:
        """Names of the data that the base and its network have seen, and that of the fit."""
        return tuple(dict.fromkeys((*self._base.trained_on, *self.fitted_on)))

    def weights_files(self) -> Mapping[str, Path]:
        """The network's file of weights, the fitted state, and that of the base."""
        own = self._base.weights_files().items()
        return {
            **super().weights_files(),
            **{f"base_{role}": path for role, path in own if role != "network"},
        }

    def modules(self) -> tuple[str, ...]:
        """The modules of the network and of the base."""
        return (*super().modules(), type(self._base).__module__)

    @cached_property
    def _base(self) -> PostHoc:
        """The base; options left alone here are the base's own defaults."""
        given = {
            field.name: getattr(self, field.name)
            for field in fields(PostHoc)
            if getattr(self, field.name) != field.default
        }
        if self.base_fitted:
            given["fitted"] = self.base_fitted
        base = load_method(self.base, **given)
        assert isinstance(base, PostHoc), "checked when built"
        learns = hasattr(base, "fit") and getattr(base, "needs_fit", True)
        if learns and not self.base_fitted:
            raise MethodError(
                f"meta_classified: {self.base} learns; give the folder of its fit as base_fitted."
            )
        return base

    @property
    def _loaded(self) -> Network:
        """The network of the base."""
        return self._base._loaded

    def _seen(self, image: Image, batch: Tensor) -> Sight:
        """What the base says of an image, and its network in a pass of the whole."""
        return sight(self._base, image, batch)


def _judged(tally: Tally) -> JudgedSegments:
    """The segments that a tally holds."""
    values = {name: tally[name].cpu().numpy() for name in TALLIED}
    values |= {name: int(values[name]) for name in ("objects", "frames")}
    return JudgedSegments(names=feature_names(), **values)
