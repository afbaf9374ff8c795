"""Streamed moments against scipy's of all samples, OODMC's features, and its classifier."""

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.svm import LinearSVC

from harness.errors import DataError
from harness.types import Frame
from methods import _moments
from methods._moment_classifier import MomentClassifier, sides
from methods._moments import Moments


def samples(count: int = 50, pixels: int = 30, seed: int = 0) -> np.ndarray:
    """Class probabilities of passes, (count, 19, pixels) float32."""
    drawn = np.random.default_rng(seed).dirichlet(np.full(19, 0.3), size=(count, pixels))
    return drawn.astype(np.float32).transpose(0, 2, 1)


def streamed(values: np.ndarray, order: int = 4) -> Moments:
    moments = Moments(order)
    for value in values:
        moments.add(torch.from_numpy(np.ascontiguousarray(value)))
    return moments


@pytest.mark.parametrize("number", [2, 3, 4, 5, 6])
def test_a_streamed_moment_is_that_of_scipy(number: int) -> None:
    values = samples()
    expected = scipy.stats.moment(values.astype(np.float64), number, axis=0)
    assert np.abs(streamed(values, 6).central(number).numpy() - expected).max() < 1e-15


def test_a_mean_is_that_of_numpy() -> None:
    values = samples()
    expected = values.astype(np.float64).mean(axis=0)
    assert np.abs(streamed(values).mean().numpy() - expected).max() < 1e-15


@pytest.mark.parametrize("number", [2, 3, 4])
def test_samples_that_hardly_differ_keep_their_digits(number: int) -> None:
    values = 0.5 + np.random.default_rng(0).exponential(1e-6, (200, 19, 3))
    expected = scipy.stats.moment(values - 0.5, number, axis=0)
    assert streamed(values).central(number).numpy() == pytest.approx(expected, rel=1e-6, abs=0)


def test_the_order_of_samples_does_not_matter() -> None:
    there, back = streamed(samples()).features(), streamed(samples()[::-1]).features()
    assert torch.allclose(there, back, rtol=0, atol=1e-15)


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = streamed(samples()).features()
    monkeypatch.setattr(_moments, "CHUNK", {"cpu": 7})
    assert torch.equal(streamed(samples()).features(), whole)


def test_what_is_kept_does_not_grow_with_the_samples() -> None:
    few, many = streamed(samples(3)), streamed(samples(50))
    assert few._sums.shape == many._sums.shape == (4, 19, 30)


@pytest.mark.parametrize("weight", [0.5, 0.3])
def test_features_have_the_published_layout(weight: float) -> None:
    values = samples().astype(np.float64)
    found = streamed(samples()).features(weight).numpy()
    mean = values.mean(axis=0)
    assert found.shape == (77, 30)
    negative = -scipy.stats.entropy(mean / mean.sum(axis=0), axis=0)
    assert found[0] == pytest.approx(2 * (1 - weight) * negative, abs=1e-6)
    assert found[1:20] == pytest.approx(2 * weight * mean, abs=1e-12)
    for number, rows in ((2, slice(20, 39)), (3, slice(39, 58)), (4, slice(58, 77))):
        expected = 2 * weight * scipy.stats.moment(values, number, axis=0)
        assert np.abs(found[rows] - expected).max() < 1e-10


def test_features_of_some_pixels_are_those_of_all() -> None:
    moments = streamed(samples())
    some, every = moments.features(pixels=slice(4, 9)), moments.features()
    assert torch.allclose(some, every[:, 4:9], rtol=0, atol=1e-14)


def test_a_class_of_probability_0_adds_nothing_to_the_entropy() -> None:
    certain = np.zeros((3, 19, 2), np.float32)
    certain[:, 0] = 1
    assert streamed(certain).features()[0].tolist() == [0, 0]


def test_one_sample_has_no_spread() -> None:
    assert not streamed(samples(1)).features()[20:].any()


# The classifier


def rows(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    features = random.normal(size=(400, 77)) * random.random(77)
    return features, features[:, :5].sum(axis=1) + random.normal(size=400) * 0.2 > 0.3


def test_the_classifier_is_scikit_learns() -> None:
    features, inside = rows()
    found = MomentClassifier.fitted(features, inside)
    expected = LinearSVC(random_state=0).fit(features, inside).decision_function(features)
    assert found.converged
    assert found.decision(torch.from_numpy(features.T)).numpy() == pytest.approx(expected)


def test_a_classifier_is_the_same_after_its_state() -> None:
    found = MomentClassifier.fitted(*rows())
    state = found.state()
    assert {value.dtype for value in state.values()} == {torch.float64}
    features = torch.from_numpy(rows(1)[0].T)
    assert torch.equal(
        MomentClassifier.from_state(state).decision(features), found.decision(features)
    )


# What the fit takes for anomalous


def test_sides_are_void_and_classes_or_labels() -> None:
    frame = Frame(
        "a",
        np.zeros((1, 4, 3), np.uint8),
        label=np.array([[0, 1, 255, 0]], np.uint8),
        classes=np.array([[0, 255, 255, 18]], np.uint8),
    )

    def found(learns_from: str) -> list[list[bool]]:
        return [side[0].tolist() for side in sides(frame, learns_from)]  # type: ignore[arg-type]

    assert found("void") == [[False, True, True, False], [True, False, False, True]]
    assert found("anomaly") == [[False, True, False, False], [True, False, False, True]]
    assert found("released") == [[False, False, True, False], [True, True, False, True]]


@pytest.mark.parametrize(("learns_from", "lacks"), [("void", "classes"), ("anomaly", "label")])
def test_frames_without_labels_are_one_sentence(learns_from: str, lacks: str) -> None:
    with pytest.raises(DataError, match=f"a: has no .*{lacks}"):
        sides(Frame("a", np.zeros((1, 4, 3), np.uint8)), learns_from)  # type: ignore[arg-type]
