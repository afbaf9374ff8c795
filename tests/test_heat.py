"""Pictures of score maps: what a threshold does, one colour scale, small things stay visible."""

import io

import numpy as np
import pytest
from PIL import Image as PILImage

from harness import pictures
from harness.types import ANOMALY, IGNORE, NORMAL
from leaderboard import heat

LABEL = np.array([[0, 0, 1, 1, 255, 255]], np.uint8)
SCORE = np.array([[0.1, 0.9, 0.9, 0.1, 0.9, 0.1]], np.float32)


def test_verdicts_are_of_judged_pixels_only() -> None:
    assert heat.verdicts(LABEL, SCORE, 0.5).tolist() == [[0, 1, 2, 3, 0, 0]]


def test_a_pixel_at_the_threshold_is_flagged() -> None:
    threshold = float(np.float32(0.1))
    assert heat.verdicts(LABEL, SCORE, threshold).tolist() == [[1, 1, 2, 2, 0, 0]]


@pytest.mark.parametrize(("threshold", "kinds"), [(np.inf, {0, 3}), (-np.inf, {0, 1, 2})])
def test_the_ends_of_a_curve_flag_nothing_and_everything(threshold: float, kinds: set[int]) -> None:
    assert set(heat.verdicts(LABEL, SCORE, threshold).ravel().tolist()) == kinds


def test_half_precision_maps_are_compared_as_they_were_counted() -> None:
    half = SCORE.astype(np.float16)
    threshold = float(half.astype(np.float32)[0, 1])
    assert heat.verdicts(LABEL, half, threshold)[0, 2] == 2


def test_colours_are_those_of_the_small_pictures() -> None:
    assert heat.HEAT == pictures.HEAT


def test_heat_gets_brighter_with_the_score() -> None:
    score = np.linspace(0, 1, 256, dtype=np.float32)[None, :].repeat(4, 0)
    picture = heat.heat_picture(score).astype(int)
    assert np.all(np.diff(picture[0].sum(-1)) >= 0)


def test_the_rank_scale_depends_only_on_the_order_of_scores() -> None:
    score = np.random.default_rng(0).random((20, 30)).astype(np.float32)
    one = heat.heat_picture(score, heat.SCALES[1])
    other = heat.heat_picture(np.exp(5 * score), heat.SCALES[1])
    assert np.array_equal(one, other)


def test_a_constant_map_is_dark() -> None:
    for scale in heat.SCALES:
        assert heat.heat_picture(np.ones((4, 4), np.float32), scale).max() < 10


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (1024, 2048), (700, 1500), (40, 4000)])
def test_pictures_of_any_size_are_at_most_so_wide(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    label = rng.choice(np.array([NORMAL, ANOMALY, IGNORE], np.uint8), size)
    image = rng.integers(0, 255, (*size, 3), dtype=np.uint8)
    score = rng.random(size, dtype=np.float32)
    for picture in (
        heat.overlay(image, label, score, 0.5),
        heat.heat_picture(score),
        heat.label_picture(image, label),
        heat.image_picture(image),
    ):
        assert picture.dtype == np.uint8
        assert picture.shape[1] <= 1.5 * heat.WIDTH
        assert picture.shape[2] == 3


def test_a_single_false_alarm_is_still_seen_in_a_small_picture() -> None:
    label = np.zeros((1024, 2048), np.uint8)
    score = np.zeros(label.shape, np.float32)
    score[333, 777] = 1
    image = np.zeros((*label.shape, 3), np.uint8)
    assert heat.overlay(image, label, score, 0.5).any()


def test_a_segment_is_outlined() -> None:
    label = np.zeros((20, 20), np.uint8)
    label[8:12, 8:12] = ANOMALY
    image = np.zeros((20, 20, 3), np.uint8)
    picture = heat.overlay(image, label, np.zeros(label.shape, np.float32), 1.0)
    white = (picture == 255).all(-1)
    assert white[7, 8]
    assert not white[8, 8]
    assert not white[0, 0]


def test_an_encoded_picture_is_a_jpeg_that_looks_the_same() -> None:
    x = np.linspace(0, 255, 60).astype(np.uint8)
    picture = np.stack([np.tile(x, (40, 1))] * 3, axis=-1)
    back = np.asarray(PILImage.open(io.BytesIO(heat.encoded(picture))))
    assert np.abs(back.astype(int) - picture).max() <= 6
