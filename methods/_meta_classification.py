"""Meta classification: is a predicted segment a false positive? Learned from segment features.

The published protocol (Chan et al., https://arxiv.org/abs/2012.06575) standardises the features by
all segments of the evaluated set, fits a logistic regression to all but one segment and asks it for
that one: its labels are those of the evaluated frames, so what comes out is an oracle's number. A
classifier fitted on other frames is `meta_classifier(…)`; `held_out` with folds of whole frames
says how well it will do.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from torch import Tensor, nn

from harness.errors import MethodError, MetricError

Kind = Literal["logistic", "mlp"]
"""Logistic regression as Chan et al. publish it, or the network of their follow-up."""

SMALLEST_SPREAD = 1e-10  # added to standard deviations
WIDTH, HIDDEN = 75, 3  # units of the network's hidden layers, and how many there are
EPOCHS, BATCH, WEIGHT_DECAY = 50, 128, 0.005

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scaling:
    """Mean and standard deviation of each feature."""

    mean: Matrix  # (d,)
    std: Matrix  # (d,), not yet made larger

    @classmethod
    def of(cls, features: Matrix) -> "Scaling":
        """That of some segments, (n, d)."""
        return cls(features.mean(axis=0), features.std(axis=0))

    def __call__(self, features: Matrix) -> Matrix:
        return (features - self.mean) / (self.std + SMALLEST_SPREAD)


@dataclass(frozen=True, eq=False)
class MetaClassifier:
    """Says how probably a segment is a false positive; one layer is logistic regression."""

    scaling: Scaling
    layers: tuple[tuple[Matrix, Matrix], ...]  # (outputs, inputs) weights and (outputs,) biases

    def chances(self, features: Matrix) -> Matrix:
        """The probability of each segment, (n,), from its features (n, d), to be a false one."""
        values = self.scaling(features)
        for number, (weights, bias) in enumerate(self.layers):
            values = np.maximum(values, 0) if number else values
            values = values @ weights.T + bias
        return expit(values[:, 0])

    def state(self) -> dict[str, Tensor]:
        """The classifier as float64 tensors by name."""
        arrays = {"mean": self.scaling.mean, "std": self.scaling.std}
        for number, (weights, bias) in enumerate(self.layers):
            arrays |= {f"layers.{number}.weight": weights, f"layers.{number}.bias": bias}
        return {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "MetaClassifier":
        """The classifier that `state` was made of."""
        arrays = {name: value.cpu().numpy() for name, value in state.items()}
        layers = []
        while f"layers.{len(layers)}.weight" in arrays:
            name = f"layers.{len(layers)}"
            layers.append((arrays[f"{name}.weight"], arrays[f"{name}.bias"]))
        return cls(Scaling(arrays["mean"], arrays["std"]), tuple(layers))


@dataclass(frozen=True)
class Quality:
    """How well a meta classifier tells false segments; rates in [0, 1]."""

    auroc: float
    ap: float
    accuracy: float

    @classmethod
    def of(cls, chances: ArrayLike, false_positive: ArrayLike, certainty: float = 0.5) -> "Quality":
        """That of the probabilities (n,) against which segments are false ones (n,).

        Accuracy is that of calling those false whose probability is above `certainty`.

        Raises:
            MetricError: all segments are false, or none is.
        """
        from sklearn.metrics import average_precision_score, roc_auc_score

        truth = np.asarray(false_positive, np.bool_)
        if truth.all() or not truth.any():
            raise MetricError(
                f"a meta classifier's AUROC is not defined: of {truth.size} segments "
                f"{int(truth.sum())} are false positives."
            )
        return cls(
            auroc=float(roc_auc_score(truth, chances)),
            ap=float(average_precision_score(truth, chances)),
            accuracy=float((removed(chances, certainty) == truth).mean()),
        )


def removed(chances: ArrayLike, certainty: float = 0.5) -> NDArray[np.bool_]:
    """Which segments go: those false with a probability above `certainty`; a tie stays."""
    return np.asarray(chances) > certainty


def meta_classifier(
    features: Matrix,
    false_positive: NDArray[np.bool_],
    *,
    kind: Kind = "logistic",
    seed: int = 0,
    scaling: Scaling | None = None,
) -> MetaClassifier:
    """The classifier fitted to segments (n, d) of which some are `false_positive` (n,).

    Args:
        features: of the segments.
        false_positive: which of them lie on no object.
        kind: "logistic" is scikit-learn's, solver liblinear, C = 1; "mlp" has three hidden layers
            of 75 units, trained for 50 epochs by Adam.
        seed: of the network's first weights and batches.
        scaling: of the features; None: that of these segments.

    Raises:
        MethodError: all segments are false positives, or none is.
    """
    if not false_positive.any() or false_positive.all():
        raise MethodError(
            f"of {false_positive.size} segments {int(false_positive.sum())} are false positives; "
            "a meta classifier needs some and others. Choose other frames or another threshold."
        )
    scaling = scaling or Scaling.of(features)
    fit = {"logistic": _logistic, "mlp": _network}[kind]
    return MetaClassifier(scaling, fit(scaling(features), false_positive, seed))


def held_out(
    features: Matrix,
    false_positive: NDArray[np.bool_],
    *,
    folds: Sequence[int] | NDArray[np.integer] | None = None,
    normalisation: Literal["fold", "transductive"] = "fold",
    kind: Kind = "logistic",
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Matrix:
    """The probability of each segment, (n,), by a classifier fitted without it.

    Where a classifier would see segments of one sort only, it says that sort.

    Args:
        features: of n segments, (n, d).
        false_positive: which of them lie on no object, (n,).
        folds: (n,) numbers; segments of one number are left out together. None: each alone, the
            published leave-one-out.
        normalisation: features are standardised by the segments that the classifier is fitted
            to; "transductive": by all, the asked ones included, as published.
        kind: as `meta_classifier` takes it.
        seed: as `meta_classifier` takes it.
        progress: told of each fold.
    """
    fold = np.arange(len(features)) if folds is None else np.asarray(folds)
    scaling = Scaling.of(features) if normalisation == "transductive" and len(features) else None
    found = np.empty(len(features))
    numbers = np.unique(fold)
    for done, number in enumerate(numbers, 1):
        out = fold == number
        sorts = np.unique(false_positive[~out])
        if len(sorts) == 2:
            classifier = meta_classifier(
                features[~out], false_positive[~out], kind=kind, seed=seed, scaling=scaling
            )
            found[out] = classifier.chances(features[out])
        else:
            found[out] = sorts[0] if len(sorts) else 0.5
        progress(done, len(numbers))
    return found


def _logistic(
    features: Matrix, false_positive: NDArray[np.bool_], seed: int
) -> tuple[tuple[Matrix, Matrix], ...]:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(solver="liblinear").fit(features, false_positive)
    return ((fitted.coef_, fitted.intercept_),)


def _network(
    features: Matrix, false_positive: NDArray[np.bool_], seed: int
) -> tuple[tuple[Matrix, Matrix], ...]:
    """Layers of 75-75-75-75-1 units, trained in float64.

    Batches that are not full are left out as published; with fewer segments than one batch there
    would be no step at all, so a batch is then all of them.
    """
    inputs = torch.from_numpy(features)
    truth = torch.from_numpy(false_positive.astype(np.float64))
    batch = min(BATCH, len(inputs))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = [features.shape[1], *[WIDTH] * HIDDEN, 1]
        layers = [nn.Linear(*pair, dtype=torch.float64) for pair in itertools.pairwise(widths)]
        model = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))[:-1]
        optimiser = torch.optim.Adam(model.parameters(), weight_decay=WEIGHT_DECAY)
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(inputs))[: len(inputs) // batch * batch].split(batch):
                loss = nn.functional.binary_cross_entropy_with_logits(
                    model(inputs[rows])[:, 0], truth[rows]
                )
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
    return tuple((layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in layers)
