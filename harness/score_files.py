"""Score maps on disk: every accepted format read, checked from its header, and written.

Formats, by ending:
    .score  ours: the line "road-anomaly score map 1", a JSON line with `dtype` and `shape` (and
            `scale`, `offset` for uint16), then the map's bytes grouped by significance (all first
            bytes, all second bytes …) and compressed with zstd. float32 (`encoded`) is lossless;
            float16 and uint16 (`encoded_compact`) are smaller.
    .npy    NumPy's own, float32 or float16.
    .hdf5   the SMIYC kit's, float16 or float32 (harness/score_hdf5.py).
    .png .tif .tiff  16-bit levels; the score is offset + scale * level (harness/score_images.py).
Predicted classes, where there are any, lie beside them as PNG files of one byte a pixel.

Any file may come from a stranger: nothing is unpickled, no more is allocated than the header's
size, and that is at most `MOST_PIXELS`.
"""

import io
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness import score_images
from harness.errors import ScoreError
from harness.score_hdf5 import encoded_hdf5, hdf5_header, read_hdf5
from harness.score_images import (
    EIGHT_BIT,
    classes_header,
    encoded_classes,
    encoded_levels,
    image_header,
    read_classes,
)

__all__ = [
    "DTYPES",
    "EIGHT_BIT",
    "LARGEST_LEVEL",
    "LEVELS",
    "MAGIC",
    "MOST_PIXELS",
    "SUFFIXES",
    "Header",
    "Scaling",
    "classes_header",
    "encoded",
    "encoded_classes",
    "encoded_compact",
    "find",
    "header",
    "needs_scaling",
    "read",
    "read_classes",
    "there",
    "write",
    "write_bytes",
]

MAGIC = b"road-anomaly score map 1\n"
SUFFIXES = (".score", ".npy", ".hdf5", *score_images.SUFFIXES)
DTYPES = ("float32", "float16")
LEVELS = "uint16"
MOST_PIXELS = 2**26  # 8192 x 8192; a map of more is taken for an attack
LARGEST_LEVEL = 2**16 - 1
_CODEC = pa.Codec("zstd", compression_level=1)  # higher levels: 1 to 3 % smaller, times slower
_SMALL = pa.Codec("zstd", compression_level=12)  # for uploads: 10 % smaller in float16
_HEADER_BYTES = 4096


@dataclass(frozen=True)
class Header:
    """What a score file says of itself, known without reading its values."""

    shape: tuple[int, ...]
    dtype: str  # "float32", "float16", or "uint16" for levels


@dataclass(frozen=True)
class Scaling:
    """How 16-bit levels become scores: offset + scale * level, with scale above 0."""

    scale: float
    offset: float

    @classmethod
    def of(cls, score: NDArray[np.floating]) -> "Scaling":
        """That which spreads the levels over the range of `score`, which must be finite."""
        low, high = float(score.min()), float(score.max())
        return cls((high - low) / LARGEST_LEVEL or 1.0, low)

    def scores(self, levels: NDArray[np.uint16]) -> NDArray[np.float32]:
        """The float32 scores that `levels` stand for."""
        return (self.offset + self.scale * levels.astype(np.float64)).astype(np.float32)

    def levels(self, score: NDArray[np.floating]) -> NDArray[np.uint16]:
        """The nearest levels; a score in the range comes back to within half of `scale`."""
        nearest = np.rint((score.astype(np.float64) - self.offset) / self.scale)
        return np.clip(nearest, 0, LARGEST_LEVEL).astype(np.uint16)


def encoded(score: NDArray[np.floating]) -> bytes:
    """The bytes of a `.score` file that holds the (H, W) float32 or float16 map `score`."""
    score = np.ascontiguousarray(score)
    if str(score.dtype) not in DTYPES:
        raise ScoreError(f"a score map of {score.dtype} cannot be written; it must be float32.")
    return _encoded(score, {}, _CODEC)


def encoded_compact(
    score: NDArray[np.floating], dtype: Literal["float16", "uint16"] = "float16"
) -> bytes:
    """The bytes of a `.score` file of two bytes a pixel, about half of what `encoded` gives.

    float16 keeps 11 significant bits; uint16 spreads 65,536 levels over the map's range and is off
    by half a level at most. Both tie scores that differed.

    Raises:
        ScoreError: a score is NaN or infinite, or beyond 65504, the largest float16.
    """
    if not np.isfinite(score).all():
        raise ScoreError("a score map with NaN or infinity cannot be written in a compact form.")
    if dtype == LEVELS:
        scaling = Scaling.of(score)
        facts = {"scale": scaling.scale, "offset": scaling.offset}
        return _encoded(np.ascontiguousarray(scaling.levels(score)), facts, _SMALL)
    with np.errstate(over="ignore"):
        half = np.ascontiguousarray(score, np.float16)
    if not np.isfinite(half).all():
        raise ScoreError("scores beyond 65504 do not fit into float16; use uint16 or float32.")
    return _encoded(half, {}, _SMALL)


def write(path: Path, score: NDArray[np.floating], *, scaling: Scaling | None = None) -> None:
    """Writes `score` to `path`, in the format of its ending, completely or not at all.

    Raises:
        ScoreError: another ending or dtype; or levels, whose `scaling` is not given.
    """
    if path.suffix in score_images.SUFFIXES:
        if scaling is None:
            raise ScoreError(f"{path}: 16-bit levels are written with a scale and an offset.")
        content = encoded_levels(scaling.levels(score), path.suffix)
    elif path.suffix == ".hdf5":
        content = encoded_hdf5(score)
    elif path.suffix == ".npy":
        content = _npy_bytes(score)
    else:
        content = encoded(score)
    write_bytes(path, content)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes `content` beside `path`, then renames; nothing half-written stays behind."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def read(path: Path, *, scaling: Scaling | None = None) -> NDArray[np.floating]:
    """The map in the score file `path`: in the dtype that it was stored in, levels as float32.

    Args:
        path: of any format.
        scaling: of the levels in PNG and TIFF files; without meaning for other formats.

    Raises:
        ScoreError: the file is missing, truncated, too large, or of another format or dtype; or
            it holds levels and `scaling` is not given.
    """
    found = header(path)
    if found.dtype not in (*DTYPES, LEVELS):
        raise ScoreError(f"{path}: dtype {found.dtype}; {' or '.join(DTYPES)} was expected.")
    if path.suffix in score_images.SUFFIXES:
        if scaling is None:
            raise ScoreError(
                f"{path}: 16-bit levels; what they mean is said by `scale` and `offset` under "
                "[scores] in submission.toml."
            )
        return scaling.scores(score_images.read_levels(path))
    if path.suffix == ".hdf5":
        return read_hdf5(path)
    try:
        if path.suffix == ".npy":
            return _read_npy(path, found)
        return _read_ours(path)
    except OSError as error:
        raise ScoreError(f"{path}: cannot be read ({error.strerror}).") from error


def header(path: Path) -> Header:
    """Shape and dtype that the file's first bytes state; the values are not read.

    Raises:
        ScoreError: not a score file, or a map of more than `MOST_PIXELS`.
    """
    if path.suffix in score_images.SUFFIXES:
        found = Header(*image_header(path))
    elif path.suffix == ".hdf5":
        found = Header(*hdf5_header(path))
    else:
        try:
            with path.open("rb") as file:
                if path.suffix == ".npy":
                    found = _npy_header(file, path)[0]
                else:
                    found = _header_of(file.read(_HEADER_BYTES), path)[0]
        except OSError as error:
            raise ScoreError(f"{path}: cannot be read ({error.strerror}).") from error
    if any(type(n) is not int or n < 0 for n in found.shape) or len(found.shape) > 8:
        raise ScoreError(f"{path}: not a readable score map: its header states {found.shape}.")
    if math.prod(found.shape) > MOST_PIXELS:
        raise ScoreError(f"{path}: {found.shape} is more than {MOST_PIXELS:,} pixels.")
    return found


def needs_scaling(path: Path) -> bool:
    """Whether the file's ending says that it holds levels whose scale it does not state."""
    return path.suffix in score_images.SUFFIXES


def there(folder: Path, frame_id: str) -> bool:
    """Whether `folder` holds a score file of the frame `frame_id`."""
    return any((folder / f"{frame_id}{suffix}").is_file() for suffix in SUFFIXES)


def find(folder: Path, frame_id: str) -> Path:
    """The one score file of the frame `frame_id` in `folder`.

    Raises:
        ScoreError: there is none, or there are several endings.
    """
    found = [p for suffix in SUFFIXES if (p := folder / f"{frame_id}{suffix}").is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(path.name for path in found)
        raise ScoreError(f"{folder}: {names} are both there; keep one file per frame.")
    endings = " or ".join(SUFFIXES)
    raise ScoreError(f"{folder}: no score map of frame {frame_id} (expected {frame_id}{endings}).")


def _encoded(values: NDArray[Any], facts: Mapping[str, float], codec: Any) -> bytes:
    said = {"dtype": str(values.dtype), "shape": list(values.shape), **facts}
    planes = values.reshape(-1).view(np.uint8).reshape(-1, values.itemsize).T  # by significance
    payload: bytes = codec.compress(planes.tobytes(), asbytes=True)
    return MAGIC + json.dumps(said).encode() + b"\n" + payload


def _header_of(content: bytes, path: Path) -> tuple[Header, int, Scaling | None]:
    """What a `.score` file states, where its values begin, and what its levels mean."""
    if not content.startswith(MAGIC):
        raise ScoreError(f"{path}: not a score map (accepted: {', '.join(SUFFIXES)}).")
    end = content.find(b"\n", len(MAGIC), _HEADER_BYTES)
    damaged = f"{path}: the header is damaged; write the file again."
    if end < 0:
        raise ScoreError(damaged)
    scaling = None
    try:
        facts = json.loads(content[len(MAGIC) : end])
        found = Header(tuple(facts["shape"]), str(facts["dtype"]))
        if found.dtype == LEVELS:
            scaling = Scaling(float(facts["scale"]), float(facts["offset"]))
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise ScoreError(damaged) from error
    if found.dtype not in (*DTYPES, LEVELS):
        raise ScoreError(f"{path}: dtype {found.dtype}; {' or '.join(DTYPES)} was expected.")
    if scaling and not (scaling.scale > 0 and math.isfinite(scaling.scale + scaling.offset)):
        raise ScoreError(damaged)
    return found, end + 1, scaling


def _read_ours(path: Path) -> NDArray[np.floating]:
    """The values of a `.score` file whose header was found bearable."""
    damaged = f"{path}: truncated or damaged; write the file again."
    with path.open("rb") as file:
        found, start, scaling = _header_of(file.read(_HEADER_BYTES), path)
        dtype = np.dtype(found.dtype)
        size = math.prod(found.shape) * dtype.itemsize
        most = size + size // 64 + 65_536  # more than zstd ever adds
        file.seek(start)
        payload = file.read(most + 1)
    try:
        if len(payload) > most:
            raise ScoreError(damaged)
        raw = _CODEC.decompress(payload, decompressed_size=size, asbytes=True)
    except (OSError, ValueError) as error:
        raise ScoreError(damaged) from error
    if len(raw) != size:
        raise ScoreError(damaged)
    planes = np.frombuffer(raw, np.uint8).reshape(dtype.itemsize, -1)
    mixed = np.empty((planes.shape[1], dtype.itemsize), np.uint8)
    for place, plane in enumerate(planes):  # twice as quick as a transposed copy
        mixed[:, place] = plane
    values = mixed.view(dtype).reshape(found.shape)
    if scaling is not None:
        return scaling.scores(values)
    return values


def _npy_header(file: IO[bytes], path: Path) -> tuple[Header, bool]:
    """What a `.npy` file states, and whether its values lie column by column.

    `file` then stands where the values begin.
    """
    start = io.BytesIO(file.read(_HEADER_BYTES))  # a header may announce 4 GB of itself
    try:
        version = np.lib.format.read_magic(start)
        read_header = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
        shape, by_column, dtype = read_header(start)
    except Exception as error:  # the header is Python text: a bad one raises nearly anything
        raise ScoreError(
            f"{path}: not a readable .npy file ({type(error).__name__}); write it again."
        ) from error
    file.seek(start.tell())
    if dtype.hasobject:
        raise ScoreError(
            f"{path}: not a readable score map: it holds pickled Python objects, which are never "
            "loaded. Save an array of float32."
        )
    return Header(tuple(shape), str(dtype)), bool(by_column)


def _read_npy(path: Path, found: Header) -> NDArray[np.floating]:
    with path.open("rb") as file:
        by_column = _npy_header(file, path)[1]
        count = math.prod(found.shape)
        here = os.fstat(file.fileno()).st_size - file.tell()
        expected = count * np.dtype(found.dtype).itemsize
        if here != expected:
            raise ScoreError(
                f"{path}: {here:,} bytes of values, its header announces {expected:,}; truncated "
                "or damaged, write the file again."
            )
        values: NDArray[np.floating] = np.fromfile(file, found.dtype, count)
    return values.reshape(found.shape, order="F" if by_column else "C")


def _npy_bytes(score: NDArray[np.floating]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, score, allow_pickle=False)
    return buffer.getvalue()
