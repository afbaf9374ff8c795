"""Score maps on disk."""

import numpy as np
import pytest

from harness import score_files
from harness.errors import ScoreError

MAP = np.random.default_rng(0).normal(size=(13, 29)).astype(np.float32)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("ending", [".score", ".npy"])
def test_a_map_comes_back_to_the_last_bit(tmp_path, dtype, ending):
    path = tmp_path / f"frame{ending}"
    score = MAP.astype(dtype)
    score_files.write(path, score) if ending == ".score" else np.save(path, score)
    back = score_files.read(path)
    assert back.dtype == score.dtype
    assert np.array_equal(back, score)


def test_special_values_come_back(tmp_path):
    odd = np.array([[0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3.4e38]], np.float32)
    score_files.write(tmp_path / "a.score", odd)
    assert score_files.read(tmp_path / "a.score").tobytes() == odd.tobytes()


@pytest.mark.parametrize("ending", [".score", ".npy"])
def test_the_header_is_known_without_the_values(tmp_path, ending):
    path = tmp_path / f"frame{ending}"
    score_files.write(path, MAP) if ending == ".score" else np.save(path, MAP)
    path.write_bytes(path.read_bytes()[:200])
    assert score_files.header(path) == score_files.Header((13, 29), "float32")


@pytest.mark.parametrize("ending", [".score", ".npy"])
@pytest.mark.parametrize("keep", [0, 3, 30, 200])
def test_a_truncated_file_is_one_sentence(tmp_path, ending, keep):
    path = tmp_path / f"frame{ending}"
    score_files.write(path, MAP) if ending == ".score" else np.save(path, MAP)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ScoreError, match=r"frame"):
        score_files.read(path)


def test_other_dtypes_are_refused_by_name(tmp_path):
    np.save(tmp_path / "a.npy", MAP.astype(np.float64))
    with pytest.raises(ScoreError, match="dtype float64; float32 or float16 was expected"):
        score_files.read(tmp_path / "a.npy")


def test_a_pickled_array_is_never_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ScoreError, match="not a readable"):
        score_files.read(tmp_path / "a.npy")


def test_two_files_of_one_frame_are_refused(tmp_path):
    score_files.write(tmp_path / "a.score", MAP)
    np.save(tmp_path / "a.npy", MAP)
    with pytest.raises(ScoreError, match=r"a\.score and a\.npy"):
        score_files.find(tmp_path, "a")


def test_a_missing_map_names_the_frame(tmp_path):
    with pytest.raises(ScoreError, match="no score map of frame b"):
        score_files.find(tmp_path, "b")


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="No space"):
        score_files.write(tmp_path / "a.score", MAP)
    assert list(tmp_path.iterdir()) == []
