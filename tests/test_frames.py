"""Frames: decoded in order and ahead of use, errors in their turn, a fingerprint of the pixels."""

import dataclasses
import hashlib
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from harness.data import DATASETS, Frames, load_frames, status
from harness.data.fingerprint import fingerprint
from harness.data.frames import THREADS
from harness.errors import DataError
from harness.types import Frame


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


def made(number: int, *, label: bool = True) -> Frame:
    dice = np.random.default_rng(number)
    return Frame(
        str(number),
        dice.integers(0, 256, (2, 3, 3), np.uint8),
        dice.choice([0, 1, 255], (2, 3)).astype(np.uint8) if label else None,
    )


class Counted:
    """Frames that count how often they are decoded."""

    def __init__(self, number: int, decoded: list[int], broken: bool = False) -> None:
        self.id, self.number, self.decoded, self.broken = str(number), number, decoded, broken

    def frame(self) -> Frame:
        self.decoded.append(self.number)
        if self.broken:
            raise DataError(f"frame {self.number} is broken")
        return made(self.number)

    def label(self):
        return made(self.number).label

    def state(self) -> str:
        return ""


def counted(count: int, broken: tuple[int, ...] = ()) -> tuple[Frames, list[int]]:
    decoded: list[int] = []
    readers = tuple(Counted(i, decoded, i in broken) for i in range(count))
    return Frames(DATASETS["custom"], readers, ("limited",), "made", True, False), decoded


def threads() -> int:
    return sum(thread.name.startswith("ahead") for thread in threading.enumerate())


def test_frames_come_in_order():
    frames, _ = counted(50)
    assert [frame.id for frame in frames] == [str(i) for i in range(50)]


def test_frames_can_be_gone_through_twice():
    frames, _ = counted(5)
    assert [frame.id for frame in frames] == [frame.id for frame in frames]


def test_only_a_few_frames_are_decoded_ahead():
    frames, decoded = counted(100)
    for number, _ in enumerate(frames):
        time.sleep(0.001)
        assert len(decoded) <= number + 1 + THREADS


def test_frames_are_decoded_while_one_is_in_use():
    frames, decoded = counted(100)
    stream = iter(frames)
    next(stream)
    deadline = time.monotonic() + 5
    while len(decoded) < 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert len(decoded) >= 2
    stream.close()


def test_an_error_is_raised_when_its_frame_has_its_turn():
    frames, _ = counted(10, broken=(4,))
    stream = iter(frames)
    assert [next(stream).id for _ in range(4)] == ["0", "1", "2", "3"]
    with pytest.raises(DataError, match="frame 4 is broken"):
        next(stream)
    assert threads() == 0


def test_an_error_behind_the_last_frame_that_is_used_is_never_raised():
    frames, _ = counted(10, broken=(4,))
    for frame in frames:
        if frame.id == "3":
            break


def test_leaving_the_loop_stops_the_threads():
    frames, decoded = counted(1000)
    stream = iter(frames)
    next(stream)
    stream.close()
    assert threads() == 0
    assert len(decoded) < 50


def test_one_frame_is_decoded_when_one_is_asked_for():
    frames, decoded = counted(10)
    assert frames[7].id == "7"
    assert decoded == [7]


def test_a_frame_out_of_range_is_an_index_error():
    with pytest.raises(IndexError):
        counted(3)[0][3]


def test_taken_frames_keep_their_flags_and_the_order_asked_for():
    taken = counted(10)[0].take([7, 2])
    assert taken.ids == ("7", "2")
    assert taken.flags == ("limited",)
    assert [frame.id for frame in taken] == ["7", "2"]


def test_a_label_is_read_without_the_image():
    frames, decoded = counted(3)
    assert (frames.label(1) == made(1).label).all()
    assert decoded == []


def test_frames_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        counted(1)[0].flags = ()


def test_the_fingerprint_is_the_hash_that_is_documented():
    image, label = np.arange(18, dtype=np.uint8).reshape(2, 3, 3), np.zeros((2, 3), np.uint8)
    expected = hashlib.sha256(
        b"a\nimage 2x3x3\n" + bytes(range(18)) + b"label 2x3\n" + bytes(6) + b"classes none\n"
        b"b\nimage 2x3x3\n" + bytes(range(18)) + b"label none\nclasses 2x3\n" + bytes(6)
    )
    frames = [Frame("a", image, label), Frame("b", image, classes=label)]
    assert fingerprint(frames) == expected.hexdigest()


def test_the_fingerprint_sees_every_change():
    one = made(0)
    other = (
        [dataclasses.replace(one, id="1")],
        [dataclasses.replace(one, image=one.image ^ np.uint8(1))],
        [dataclasses.replace(one, label=1 - one.label)],
        [dataclasses.replace(one, label=None)],
        [dataclasses.replace(one, label=None, classes=one.label)],
        [dataclasses.replace(one, image=one.image.transpose(1, 0, 2))],
        [one, made(1)],
        [made(1), one],
        [],
    )
    values = [fingerprint(frames) for frames in ([one], *other)]
    assert len(set(values)) == len(values)


def test_the_fingerprint_does_not_depend_on_how_pixels_lie_in_memory():
    one = made(0)
    turned = dataclasses.replace(one, image=np.asfortranarray(one.image))
    assert fingerprint([one]) == fingerprint([turned])


def folder(root: Path, ending: str = "png") -> Path:
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True)
    for i in range(3):
        PILImage.fromarray(made(i).image).save(root / f"images/{i}.{ending}")
        PILImage.fromarray(made(i).label).save(root / f"labels/{i}.png")
    return root


def test_frames_in_files_have_the_fingerprint_of_their_pixels(tmp_path):
    frames = load_frames("custom", root=folder(tmp_path / "a"))
    assert frames.fingerprint() == fingerprint([made(0), made(1), made(2)])


def test_the_fingerprint_does_not_depend_on_folder_and_format(tmp_path):
    one = load_frames("custom", root=folder(tmp_path / "a"))
    two = load_frames("custom", root=folder(tmp_path / "b", "bmp"))
    assert one.fingerprint() == two.fingerprint()


def test_a_part_has_another_fingerprint_than_the_whole(tmp_path):
    root = folder(tmp_path / "a")
    whole, part = load_frames("custom", root=root), load_frames("custom", root=root, limit=2)
    assert whole.fingerprint() != part.fingerprint()
    assert part.fingerprint() == whole.take([0, 1]).fingerprint()


def test_a_fingerprint_is_remembered(tmp_path):
    frames = load_frames("custom", root=folder(tmp_path / "a"))
    value = frames.fingerprint()
    (cached,) = (tmp_path / "cache" / "fingerprints").iterdir()
    cached.write_text(cached.read_text().replace(value, "f" * 64))
    assert frames.fingerprint() == "f" * 64


def test_a_changed_file_has_a_new_fingerprint(tmp_path):
    root = folder(tmp_path / "a")
    before = load_frames("custom", root=root).fingerprint()
    PILImage.fromarray(made(9).label).save(root / "labels/1.png")
    os.utime(root / "labels/1.png", ns=(1, 1))
    assert load_frames("custom", root=root).fingerprint() != before


def test_other_label_values_have_a_new_fingerprint(tmp_path):
    root = folder(tmp_path / "a")
    before = load_frames("custom", root=root).fingerprint()
    said = "[values]\nnormal = [1]\nanomaly = [0]\nignore = [255]\n"
    (root / "dataset.toml").write_text(said)
    assert load_frames("custom", root=root).fingerprint() != before


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"fingerprint": 3}', '{"fingerprint": "a"}'])
def test_a_damaged_cache_is_not_believed(content, tmp_path):
    frames = load_frames("custom", root=folder(tmp_path / "a"))
    value = frames.fingerprint()
    (cached,) = (tmp_path / "cache" / "fingerprints").iterdir()
    cached.write_text(content)
    assert frames.fingerprint() == value


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "file" / "cache"))
    assert len(load_frames("custom", root=folder(tmp_path / "a")).fingerprint()) == 64


def test_a_full_disk_is_no_error(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("json.dump", full)
    assert len(load_frames("custom", root=folder(tmp_path / "a")).fingerprint()) == 64
    assert list((tmp_path / "cache" / "fingerprints").iterdir()) == []


def test_a_file_that_vanished_is_an_error_that_names_it(tmp_path):
    root = folder(tmp_path / "a")
    frames = load_frames("custom", root=root)
    (root / "images/1.png").unlink()
    with pytest.raises(DataError, match=r"images/1\.png: no such file"):
        list(frames)
    with pytest.raises(DataError, match=r"images/1\.png: cannot be found any more"):
        frames.fingerprint()


@pytest.mark.parametrize("name", [n for n, entry in DATASETS.items() if entry.kind == "drawn"])
def test_drawn_frames_have_image_label_and_classes(name):
    from harness.data import synthetic

    frames = load_frames(name, limit=1)
    image, label, classes = synthetic.draw(name, 0)
    frame = frames[0]
    assert frame.id == f"{name}_0000"
    assert (frame.image == image).all()
    assert (frame.label == label).all()
    assert (frame.classes == classes).all()
    assert frames.has_labels
    assert frames.flags == ("limited",)
    assert frames.where == "drawn by the harness"


@pytest.mark.parametrize("name", [n for n, entry in DATASETS.items() if entry.kind == "drawn"])
def test_a_whole_drawn_split_has_its_frozen_fingerprint(name):
    from harness.data import synthetic

    frames = load_frames(name)
    assert len(frames) == synthetic.SPLITS[name] == DATASETS[name].frames
    if not synthetic.FINGERPRINTS[name]:
        pytest.skip(f"{name} is not frozen yet")
    assert frames.fingerprint() == synthetic.FINGERPRINTS[name]
    assert frames.take(range(len(frames))).fingerprint() == synthetic.FINGERPRINTS[name]
    assert status(name).state == "ready"


def test_a_part_of_a_drawn_split_has_a_fingerprint_of_its_own():
    frames = load_frames("synthroad", limit=1)
    assert frames.fingerprint() == fingerprint([frames[0]])


@pytest.mark.parametrize(
    ("name", "size", "pixels"),
    [
        ("smiyc_anomaly21_val", (720, 1280), (7_578_030, 1_317_063, 320_907)),
        ("smiyc_obstacle21_val", (1080, 1920), (19_106_170, 129_782, 42_972_048)),
    ],
)
def test_real_images_have_the_sizes_and_pixels_that_are_known(name, size, pixels, data_folder):
    if status(name, data_folder).state == "missing":
        pytest.skip(f"{name} is not under {data_folder}")
    frames = load_frames(name, root=data_folder)
    assert frames.ids == tuple(map(str, range(DATASETS[name].frames)))
    assert frames.flags == ("unverified data",)
    assert frames[0].image.shape == (*size, 3)
    counts = sum(np.bincount(frames.label(i).ravel(), minlength=256) for i in range(len(frames)))
    assert tuple(counts[[0, 1, 255]]) == pixels
    assert counts.sum() == sum(pixels)
