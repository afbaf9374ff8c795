"""Score maps on disk: what is written comes back, and what strangers write does no harm."""

import json
import struct
import sys
import time
import tracemalloc
import zlib
from contextlib import suppress
from functools import partial

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from harness import score_files
from harness.errors import ScoreError
from harness.score_files import MAGIC, Header, Scaling

MAP = np.random.default_rng(0).normal(size=(13, 29)).astype(np.float32)
ENDINGS = [".score", ".npy", ".hdf5"]
LEVELS = [".png", ".tif", ".tiff"]
SCALING = Scaling.of(MAP)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_map_comes_back_to_the_last_bit(tmp_path, dtype, ending):
    path = tmp_path / f"frame{ending}"
    score = MAP.astype(dtype)
    score_files.write(path, score)
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
    score_files.write(path, MAP)
    path.write_bytes(path.read_bytes()[:200])
    assert score_files.header(path) == Header((13, 29), "float32")


@pytest.mark.parametrize("ending", [*ENDINGS, *LEVELS])
def test_every_format_states_shape_and_dtype(tmp_path, ending):
    path = tmp_path / f"frame{ending}"
    score_files.write(path, MAP, scaling=SCALING)
    dtype = "uint16" if ending in LEVELS else "float32"
    assert score_files.header(path) == Header((13, 29), dtype)


@pytest.mark.parametrize("ending", [*ENDINGS, *LEVELS])
@pytest.mark.parametrize("keep", [0, 3, 30, 200, -8])
def test_a_truncated_file_is_one_sentence(tmp_path, ending, keep):
    path = tmp_path / f"frame{ending}"
    score_files.write(path, MAP, scaling=SCALING)
    path.write_bytes(path.read_bytes()[:keep])
    if (ending, keep) == (".png", -8):
        pytest.skip("these are the bytes of the end mark and its checksum: no pixel is missing")
    with pytest.raises(ScoreError, match=r"frame"):
        score_files.read(path, scaling=SCALING)


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


@pytest.mark.parametrize("ending", LEVELS)
def test_16_bit_levels_come_back_within_half_a_level(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    score_files.write(path, MAP, scaling=SCALING)
    back = score_files.read(path, scaling=SCALING)
    assert back.dtype == np.float32
    assert np.abs(back - MAP).max() <= SCALING.scale * 0.51


@pytest.mark.parametrize("ending", LEVELS)
def test_levels_of_others_are_read_as_offset_plus_scale_times_level(tmp_path, ending):
    levels = np.arange(24, dtype=np.uint16).reshape(4, 6) * 2500
    Image.fromarray(levels).save(tmp_path / f"a{ending}")
    back = score_files.read(tmp_path / f"a{ending}", scaling=Scaling(0.5, -3.0))
    assert np.array_equal(back, levels * 0.5 - 3.0)


@pytest.mark.parametrize("ending", LEVELS)
def test_levels_without_a_scale_are_refused(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    score_files.write(path, MAP, scaling=SCALING)
    with pytest.raises(ScoreError, match=r"`scale` and `offset` under \[scores\]"):
        score_files.read(path)


@pytest.mark.parametrize("ending", LEVELS)
@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_8_bit_maps_are_refused_with_the_reason(tmp_path, ending, mode):
    picture = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6)).convert(mode)
    picture.save(tmp_path / f"a{ending}")
    reason = "coloured" if (mode, ending) == ("P", ".png") else "256 levels"
    with pytest.raises(ScoreError, match=reason):
        score_files.header(tmp_path / f"a{ending}")


def test_a_coloured_picture_is_refused(tmp_path):
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(ScoreError, match="coloured"):
        score_files.header(tmp_path / "a.png")


def test_compact_float16_is_the_nearest_float16(tmp_path):
    score_files.write_bytes(tmp_path / "a.score", score_files.encoded_compact(MAP))
    assert np.array_equal(score_files.read(tmp_path / "a.score"), MAP.astype(np.float16))


def test_compact_uint16_is_off_by_half_a_level_at_most(tmp_path):
    score_files.write_bytes(tmp_path / "a.score", score_files.encoded_compact(MAP, "uint16"))
    assert score_files.header(tmp_path / "a.score") == Header((13, 29), "uint16")
    back = score_files.read(tmp_path / "a.score")
    assert back.dtype == np.float32
    assert np.abs(back - MAP).max() <= SCALING.scale * 0.51


def test_a_constant_map_has_a_compact_form(tmp_path):
    flat = np.full((4, 5), 7.25, np.float32)
    score_files.write_bytes(tmp_path / "a.score", score_files.encoded_compact(flat, "uint16"))
    assert np.array_equal(score_files.read(tmp_path / "a.score"), flat)


def test_what_float16_cannot_hold_has_no_compact_form():
    with pytest.raises(ScoreError, match="beyond 65504"):
        score_files.encoded_compact(np.array([[7e4]], np.float32))
    with pytest.raises(ScoreError, match="NaN or infinity"):
        score_files.encoded_compact(np.array([[np.nan]], np.float32), "uint16")


def test_compact_forms_are_smaller():
    smooth = np.add.outer(np.sin(np.arange(200) / 9), np.cos(np.arange(300) / 7)).astype(np.float32)
    assert len(score_files.encoded_compact(smooth)) < len(score_files.encoded(smooth)) / 2


@pytest.mark.parametrize(
    "options", [{}, {"compression": 9}, {"shuffle": True, "compression": 1}, {"fletcher32": True}]
)
@pytest.mark.parametrize("shape", [(40, 60), (128, 256), (1, 1)])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_hdf5_files_of_others_are_read_as_h5py_reads_them(tmp_path, options, shape, dtype):
    score = np.random.default_rng(1).normal(size=shape).astype(dtype)
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.create_dataset("value", data=score, **options)
    assert np.array_equal(score_files.read(tmp_path / "a.hdf5"), score)


def hdf5(path, make):
    """The file `path`, into which `make` puts what it likes."""
    with h5py.File(path, "w", libver="latest") as file:
        make(file)
    return path


def with_external_link(file):
    file["value"] = h5py.ExternalLink("other.hdf5", "value")


def with_soft_link(file):
    file["real"] = MAP
    file["value"] = h5py.SoftLink("/real")


def with_virtual_sources(file):
    layout = h5py.VirtualLayout((13, 29), np.float32)
    layout[...] = h5py.VirtualSource("other.hdf5", "value", (13, 29))
    file.create_virtual_dataset("value", layout)


def with_external_storage(file):
    file.create_dataset("value", (13, 29), np.float32, external=[("other.raw", 0, 13 * 29 * 4)])


def with_a_group(file):
    file.create_group("value/value")


def with_nothing_inside(file):
    file["scores"] = MAP


def with_another_filter(file):
    file.create_dataset("value", data=MAP, compression="lzf")


def with_huge_chunks(file):
    file.create_dataset("value", (13, 29), np.float32, chunks=(2**14, 2**14), maxshape=(None,) * 2)


def with_tiny_chunks(file):
    file.create_dataset("value", (8000, 8000), np.float32, chunks=(1, 1))


def with_a_huge_shape(file):
    file.create_dataset("value", (10**6, 10**6), np.float32, chunks=(1000, 1000))


def with_chunks_never_written(file):
    file.create_dataset("value", (13, 29), np.float32, chunks=(5, 5))


def with_values_never_written(file):
    file.create_dataset("value", (13, 29), np.float32)


def with_an_empty_space(file):
    file.create_dataset("value", dtype=np.float32)


def with_texts(file):
    file["value"] = ["a", "b"]


def with_a_bomb(file):
    stored = file.create_dataset("value", (13, 29), np.float32, chunks=(13, 29), compression=9)
    stored.id.write_direct_chunk((0, 0), zlib.compress(bytes(10**7)))


def with_too_little(file):
    stored = file.create_dataset("value", (13, 29), np.float32, chunks=(13, 29), compression=9)
    stored.id.write_direct_chunk((0, 0), zlib.compress(bytes(100)))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (with_external_link, "is a link"),
        (with_soft_link, "is a link"),
        (with_virtual_sources, "lies in other files"),
        (with_external_storage, "lies in other files"),
        (with_a_group, "no data set of numbers"),
        (with_nothing_inside, "no data set `value`"),
        (with_another_filter, "another way than with gzip"),
        (with_huge_chunks, "chunks of"),
        (with_tiny_chunks, "more than 100,000 chunks"),
        (with_a_huge_shape, "chunks|pixels"),
        (with_chunks_never_written, "0 of 18 chunks"),
        (with_values_never_written, "never written completely"),
        (with_an_empty_space, "no data set of numbers"),
        (with_texts, "dtype object"),
        (with_a_bomb, "more than it declares"),
        (with_too_little, "100 bytes; 1508 were expected"),
    ],
)
def test_hdf5_files_that_are_not_plain_are_refused(tmp_path, make, said):
    (tmp_path / "other.raw").write_bytes(MAP.tobytes())
    hdf5(tmp_path / "other.hdf5", lambda file: file.__setitem__("value", MAP))
    path = hdf5(tmp_path / "a.hdf5", make)
    with pytest.raises(ScoreError, match=said), LittleMemory():
        score_files.read(path)


def test_hdf5_without_h5py_says_what_to_install(tmp_path, monkeypatch):
    path = hdf5(tmp_path / "a.hdf5", lambda file: file.__setitem__("value", MAP))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ScoreError, match=r"pip install 'road-anomaly-harness\[submissions\]'"):
        score_files.read(path)


class LittleMemory:
    """A block that may allocate 50 MB, and take 2 s."""

    def __enter__(self):
        tracemalloc.start()
        self.begin = time.perf_counter()

    def __exit__(self, *error):
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 50_000_000
        assert time.perf_counter() - self.begin < 2


def npy(header: str, values: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + values


def ours(payload: bytes = b"", **facts) -> bytes:
    return (
        MAGIC
        + json.dumps({"dtype": "float32", "shape": [2, 3], **facts}).encode()
        + b"\n"
        + payload
    )


def png(width: int, height: int, bits: int = 16) -> bytes:
    def chunk(kind, content):
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(10**6), 9)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(width: int, height: int, compression: int = 1) -> bytes:
    tags = {256: width, 257: height, 258: 16, 259: compression, 262: 1, 273: 8, 277: 1}
    tags |= {278: height, 279: 2**31}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


DESCR = "{'descr': '<f4', 'fortran_order': False, 'shape': %s}"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npy", npy(DESCR % "(1000000000, 1000000000)")),
        ("a.npy", npy(DESCR % "(-1, 4)", bytes(16))),
        ("a.npy", npy(DESCR % "(-1, -4)", bytes(16))),
        ("a.npy", npy(DESCR % "(True, 4)", bytes(16))),
        ("a.npy", npy(DESCR % "(1.5, 4)")),
        ("a.npy", npy(DESCR % ("(" * 900))),
        ("a.npy", npy(DESCR % ("-" * 5000 + "1"))),
        ("a.npy", npy(DESCR % "__import__('os').system('true')")),
        ("a.npy", npy(DESCR % "(2, 3)", bytes(23))),
        ("a.npy", npy(DESCR % "(2, 3)", bytes(25))),
        ("a.npy", npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}")),
        ("a.npy", npy("{'descr': '|O', 'fortran_order': False, 'shape': (2, 3)}", bytes(48))),
        ("a.npy", npy("{'descr': '<f99999999', 'fortran_order': False, 'shape': (2, 3)}")),
        ("a.npy", b"\x93NUMPY\x03\x00" + bytes(200)),
        ("a.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b"{" * 500),
        ("a.score", ours(shape=[10**9, 10**9])),
        ("a.score", ours(shape=[-2, -3])),
        ("a.score", ours(shape=[2.0, 3.0])),
        ("a.score", ours(shape="23")),
        ("a.score", ours(shape=[2, [3]])),
        ("a.score", ours(dtype="float64")),
        ("a.score", ours(dtype="object")),
        ("a.score", ours(dtype="uint16")),
        ("a.score", ours(dtype="uint16", scale=-1, offset=0)),
        ("a.score", ours(dtype="uint16", scale=float("nan"), offset=0)),
        ("a.score", MAGIC + b"[" * 4000 + b"\n"),
        ("a.score", MAGIC + b"9" * 4000),
        ("a.score", ours(score_files._CODEC.compress(bytes(10**8), asbytes=True))),
        ("a.score", ours(score_files._CODEC.compress(bytes(10), asbytes=True))),
        ("a.score", ours(bytes(10**6))),
        ("a.png", png(60_000, 60_000)),
        ("a.png", png(2**31, 2**31)),
        ("a.png", png(0, 5)),
        ("a.png", png(3000, 3000)),
        ("a.tif", tiff(60_000, 60_000)),
        ("a.tif", tiff(2**31, 2**31)),
        ("a.tif", tiff(3000, 3000)),
        ("a.tif", tiff(300, 300, compression=5)),
        ("a.tif", tiff(300, 300, compression=7)),
        ("a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
        ("a.tif", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
        ("a.hdf5", b"\x89HDF\r\n\x1a\n" + bytes(500)),
    ],
)
def test_a_hostile_file_is_one_sentence_and_costs_little(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScoreError, match=name), LittleMemory():
        score_files.read(tmp_path / name, scaling=SCALING)


@pytest.mark.parametrize("ending", [*ENDINGS, *LEVELS])
@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_damage_is_answered(tmp_path, ending, data):
    path = tmp_path / f"a{ending}"
    score_files.write(path, MAP, scaling=SCALING)
    content = bytearray(path.read_bytes())
    places = st.integers(0, min(len(content), 600) - 1)
    changes = st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=6)
    for position, value in data.draw(changes):
        content[position] = value
    path.write_bytes(content)
    for look in (score_files.header, partial(score_files.read, scaling=SCALING)):
        with suppress(ScoreError):
            look(path)
