"""Thumbnails of images, labels and score maps."""

import io

import numpy as np
import pytest
from PIL import Image

from harness import pictures
from harness.types import ANOMALY, IGNORE, NORMAL


@pytest.mark.parametrize("shape", [(512, 1024), (720, 1280), (37, 53), (1080, 1920), (8, 999)])
def test_all_three_pictures_of_a_frame_have_one_size(shape):
    rng = np.random.default_rng(0)
    image = pictures.image_picture(rng.integers(0, 256, (*shape, 3), np.uint8))
    label = pictures.label_picture(rng.integers(0, 2, shape, np.uint8))
    score = pictures.score_picture(rng.normal(size=shape).astype(np.float32))
    assert image.shape == label.shape == score.shape
    assert image.shape[1] <= pictures.WIDTH


def test_an_anomaly_of_one_pixel_is_seen():
    label = np.zeros((1024, 2048), np.uint8)
    label[701, 1203] = ANOMALY
    colours = {tuple(c) for c in pictures.label_picture(label).reshape(-1, 3)}
    assert pictures.LABEL_COLOURS[ANOMALY] in colours


def test_label_pictures_use_the_three_colours_only():
    label = np.array([[NORMAL, ANOMALY, IGNORE]], np.uint8).repeat(9, 0).repeat(9, 1)
    colours = {tuple(c) for c in pictures.label_picture(label).reshape(-1, 3)}
    assert colours == set(pictures.LABEL_COLOURS.values())


def test_the_highest_score_is_brightest_and_a_constant_map_is_dark():
    score = np.zeros((40, 40), np.float32)
    assert pictures.score_picture(score).max() < 80
    score[10:20, 10:20] = 5
    heat = pictures.score_picture(score).sum(axis=2)
    assert heat[15, 15] == heat.max() > heat[30, 30]


def test_a_webp_file_opens():
    file = io.BytesIO(pictures.webp(np.zeros((20, 30, 3), np.uint8)))
    assert Image.open(file).size == (30, 20)
