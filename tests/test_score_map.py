"""The gate for score maps: what passes unchanged, and the sentence that refuses the rest."""

import numpy as np
import pytest

from harness.errors import ScoreError
from harness.metrics.score_map import checked

WHERE = "road_anomaly/0007"


def refused(score, shape=(4, 6)):
    with pytest.raises(ScoreError) as error:
        checked(score, shape, where=WHERE)
    text = str(error.value)
    assert text.startswith(WHERE)
    assert "\n" not in text
    return text


def test_a_float32_map_passes_without_a_copy():
    score = np.linspace(-5, 5, 24, dtype=np.float32).reshape(4, 6)
    assert checked(score, (4, 6), where=WHERE) is score


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4"])
def test_half_and_single_precision_pass_with_every_value_kept(dtype):
    score = np.linspace(-5, 5, 24).astype(dtype).reshape(4, 6)
    passed = checked(score, (4, 6), where=WHERE)
    assert passed.dtype == np.float32
    assert passed.dtype.isnative
    assert np.array_equal(passed, score)


def test_a_float64_map_of_float32_numbers_passes():
    score = np.linspace(-5, 5, 24, dtype=np.float32).reshape(4, 6)
    passed = checked(score.astype(np.float64), (4, 6), where=WHERE)
    assert passed.dtype == np.float32
    assert np.array_equal(passed, score)


@pytest.mark.parametrize("value", [0.1, 1e300, 1e-300])
def test_a_float64_value_that_float32_cannot_hold_is_refused_with_the_cast_to_make(value):
    score = np.zeros((4, 6))
    score[2, 3] = value
    text = refused(score)
    assert "1 of 24 pixels" in text
    assert ".astype(np.float32)" in text


def test_a_map_of_memory_mapped_numbers_passes(tmp_path):
    np.save(tmp_path / "map.npy", np.ones((4, 6), np.float32))
    score = np.load(tmp_path / "map.npy", mmap_mode="r")
    assert np.array_equal(checked(score, (4, 6), where=WHERE), np.ones((4, 6)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_values_that_are_not_finite_are_counted_and_the_first_is_placed(value, dtype):
    score = np.zeros((4, 6), dtype)
    score[1, 5] = score[3, 0] = value
    text = refused(score)
    assert "2 of 24 pixels" in text
    assert "row 1, column 5" in text
    assert str(value) in text


def test_another_size_is_refused_and_never_resized():
    text = refused(np.zeros((512, 1024), np.float32), (1024, 2048))
    assert text == (
        "road_anomaly/0007: the score map is (512, 1024), the image is (1024, 2048). "
        "Scores are never resized here."
    )


def test_swapped_axes_look_transposed():
    assert "looks transposed" in refused(np.zeros((6, 4), np.float32))


@pytest.mark.parametrize("shape", [(1, 4, 6), (4, 6, 1), (1, 1, 4, 6)])
def test_an_axis_of_length_one_is_named(shape):
    assert "axis of length 1" in refused(np.zeros(shape, np.float32))


def test_one_score_per_class_is_refused():
    assert "not one per pixel and class" in refused(np.zeros((19, 4, 6), np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool, np.complex64, object])
def test_types_that_are_no_floats_are_refused(dtype):
    assert np.dtype(dtype).name in refused(np.zeros((4, 6), dtype))


def test_lists_are_refused():
    assert "list" in refused([[0.0] * 6] * 4)


def test_nothing_is_refused():
    assert "NoneType" in refused(None)


def test_masked_arrays_are_refused():
    assert "masked" in refused(np.ma.zeros((4, 6), np.float32))


def test_tensors_are_refused_with_the_call_that_makes_an_array():
    tensor = type("Tensor", (), {"__module__": "torch"})()  # torch is not needed to refuse one
    assert ".cpu().float().numpy()" in refused(tensor)
