"""synthroad: the same bytes for ever, labels that agree with each other, and what it promises."""

import ast
import builtins
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from harness.data import _scene_anomalies, synthetic
from harness.data.fingerprint import fingerprint
from harness.data.synthetic import FINGERPRINTS, SPLITS, draw, frame_id
from harness.errors import UnknownName
from harness.types import ANOMALY, IGNORE, NORMAL, Frame, Label

FIRST = {  # sha256 of image, label and classes of frames 0, 1 and 2, frozen
    "synthroad_train": (
        "332c02d34fa869469939417a5d1f147da5818fa8e54f7b008bfe06093659e2ee",
        "df8449fcd106a4dfd946e6389046828d2315ca3cb68d7d6285c2727378387ed5",
        "70116e86b9b6b83c2375b44c9186b7d33d8fcc56768065d4286850dfcf478099",
    ),
    "synthroad_val": (
        "a44aa022ace89b2e392eb6639ee5c541c9a5fe118933477c4445584abea4e2c0",
        "c8000857fe298e8bbda1fb2f485d5335989fc4ef0c993f4fbf76b1e77daa0b41",
        "41444d4aa3bafee62894516fd17185295b40bf5ecf8c5916fdd43bf7d2d07d34",
    ),
    "synthroad": (
        "5f8ab5bd5aab9d1adb488f28d08f955d28d7cc59f9561d139cb8bc3596939840",
        "cda70d7c293c6e6ddf7cb89a726baca1bb578b05577ad0a6abba3bd5538d68d1",
        "cdd4b3fc4f76ed648a19e478276e2e6446fcdc93dc0008b0370c3caf327a839c",
    ),
    "synthroad_outliers": (
        "c99ae60e336f1394d432c5a3f176ceae99a6ad93c86490d94ea8280cfe1520c9",
        "3a42286de82105ac34704611136d12dfddd60b7aa7a1b9919f6f8d55502c6f47",
        "a40235a5101bb1a95a2f5d978303d034c8f6a3bea48a907b08cd62c03b694469",
    ),
}

# What NumPy does in the scenes: integers, comparisons, and IEEE operations that are rounded
# exactly. Sums, sines, powers and random distributions are missing on purpose.
EXACT = {
    "abs", "arange", "array", "asarray", "bool_", "broadcast_to", "clip", "concatenate", "copyto",
    "float32", "float64", "floor", "flatnonzero", "full", "int16", "int32", "int64", "int8",
    "maximum", "minimum", "random", "sqrt", "swapaxes", "uint64", "uint8", "where", "zeros",
}  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What one pass over a split leaves."""

    fingerprint: str
    labels: list[Label]
    problems: list[str]


def frames(split: str, problems: list[str], labels: list[Label]) -> Iterator[Frame]:
    for index in range(SPLITS[split]):
        image, label, classes = draw(split, index)
        labels.append(label)
        normal = label == NORMAL
        if not np.array_equal(classes == 255, ~normal) or not np.isin(label, (0, 1, 255)).all():
            problems.append(frame_id(split, index))
        yield Frame(frame_id(split, index), image, label, classes)


def seen(split: str) -> Seen:
    problems: list[str] = []
    labels: list[Label] = []
    return Seen(fingerprint(frames(split, problems, labels)), labels, problems)


@pytest.fixture(scope="module")
def whole() -> Seen:
    return seen("synthroad")


def digest(split: str, index: int) -> str:
    return sha256(b"".join(array.tobytes() for array in draw(split, index))).hexdigest()


@pytest.mark.parametrize("split", SPLITS)
def test_the_first_frames_have_their_frozen_bytes(split: str) -> None:
    assert tuple(digest(split, index) for index in range(3)) == FIRST[split]


def test_the_test_split_has_its_frozen_fingerprint(whole: Seen) -> None:
    assert whole.fingerprint == FINGERPRINTS["synthroad"]


@pytest.mark.slow
@pytest.mark.parametrize("split", ["synthroad_train", "synthroad_val", "synthroad_outliers"])
def test_every_other_split_has_its_frozen_fingerprint_and_consistent_labels(split: str) -> None:
    found = seen(split)
    assert found.fingerprint == FINGERPRINTS[split]
    assert found.problems == []


def test_every_split_has_a_fingerprint() -> None:
    assert FINGERPRINTS.keys() == SPLITS.keys()


def test_scenes_use_only_arithmetic_that_is_rounded_exactly() -> None:
    folder = Path(synthetic.__file__).parent
    used = set()
    for path in [*folder.glob("_scene_*.py"), folder / "synthetic.py"]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            named = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            if named and node.value.id == "np":
                used.add(node.attr)
            assert not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow | ast.MatMult))
    assert used <= EXACT, used - EXACT


def test_a_frame_is_the_same_in_any_order_and_in_any_thread() -> None:
    alone = digest("synthroad", 7)
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda index: digest("synthroad", index), (9, 7, 8, 7)))
    assert together[1] == together[3] == alone


def test_a_processor_without_wide_vectors_draws_the_same_bytes() -> None:
    wide = " ".join(np._core._multiarray_umath.__cpu_dispatch__)  # type: ignore[attr-defined]
    code = (
        "from hashlib import sha256; from harness.data.synthetic import draw\n"
        "print(sha256(b''.join(array.tobytes() for array in draw('synthroad', 1))).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, "NPY_DISABLE_CPU_FEATURES": wide},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == digest("synthroad", 1), done.stderr


def test_drawing_touches_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"opened {args}")

    for module, name in ((builtins, "open"), (io, "open"), (os, "open")):
        monkeypatch.setattr(module, name, refuse)
    draw("synthroad_outliers", 4)


def test_frames_have_the_promised_shapes_and_types() -> None:
    image, label, classes = draw("synthroad_val", 0)
    assert (image.shape, label.shape, classes.shape) == ((512, 1024, 3), (512, 1024), (512, 1024))
    assert image.dtype == label.dtype == classes.dtype == np.uint8


def test_void_and_anomalies_have_no_class_and_all_else_has_one(whole: Seen) -> None:
    assert whole.problems == []


def test_some_test_frames_hold_no_anomaly(whole: Seen) -> None:
    without = [label for label in whole.labels if not (label == ANOMALY).any()]
    assert 3 <= len(without) <= 15


def test_some_anomalies_are_large_and_some_have_a_few_pixels(whole: Seen) -> None:
    areas = np.concatenate(
        [np.bincount(ndimage.label(label == ANOMALY)[0].ravel())[1:] for label in whole.labels]
    )
    assert (areas < 60).sum() >= 8
    assert (areas > 4000).sum() >= 8


def test_anomalies_are_rare_pixels(whole: Seen) -> None:
    anomalous = sum(int((label == ANOMALY).sum()) for label in whole.labels)
    counted = sum(int((label != IGNORE).sum()) for label in whole.labels)
    assert 0.003 < anomalous / counted < 0.03


def test_training_scenes_hold_every_class_a_tenth_to_a_fifth_void_and_no_anomaly() -> None:
    counts = np.zeros(256, np.int64)
    for index in range(0, SPLITS["synthroad_train"], 16):
        _, label, classes = draw("synthroad_train", index)
        assert not (label == ANOMALY).any()
        counts += np.bincount(classes.ravel(), minlength=256)
    assert (counts[:19] > 0).all()
    assert 0.10 < counts[255] / counts.sum() < 0.20


def test_every_frame_of_the_first_proxies_holds_an_outlier() -> None:
    for index in range(5):
        _, label, _ = draw("synthroad_outliers", index)
        assert (label == ANOMALY).any()


def test_proxy_outliers_share_no_shape_and_no_pattern_with_the_anomalies() -> None:
    assert not _scene_anomalies.SHAPES.keys() & _scene_anomalies.PROXIES.keys()
    assert {*_scene_anomalies.LARGE, *_scene_anomalies.SMALL} == _scene_anomalies.SHAPES.keys()


def test_neighbouring_frames_and_equal_places_in_other_splits_differ() -> None:
    first = {digest(split, 0) for split in SPLITS} | {digest("synthroad", 1)}
    assert len(first) == len(SPLITS) + 1


def test_an_unknown_split_answers_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'synthroad_train'"):
        draw("synthroad_trian", 0)


@pytest.mark.parametrize("index", [-1, 50])
def test_a_frame_beyond_the_split_is_refused(index: int) -> None:
    with pytest.raises(IndexError, match="frames 0 to 49"):
        draw("synthroad", index)
