"""Score maps on disk: every accepted format read, checked from its header, and written.

Formats, by ending:
    .score  ours, lossless: the line "road-anomaly score map 1", a JSON line with `dtype` and
            `shape`, then the map's bytes grouped by significance (all first bytes, all second
            bytes …) and compressed with zstd.
    .npy    NumPy's own, float32 or float16.
Predicted classes, where there are any, lie beside them as PNG files of one byte a pixel.
"""

import io
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image as PILImage

from harness.errors import ScoreError
from harness.types import Classes

MAGIC = b"road-anomaly score map 1\n"
SUFFIXES = (".score", ".npy")
DTYPES = ("float32", "float16")
_CODEC = pa.Codec("zstd", compression_level=1)  # higher levels: 1 to 3 % smaller, times slower


@dataclass(frozen=True)
class Header:
    """What a score file says of itself, known without reading its values."""

    shape: tuple[int, ...]
    dtype: str


def encoded(score: NDArray[np.floating]) -> bytes:
    """The bytes of a `.score` file that holds the (H, W) float32 or float16 map `score`."""
    score = np.ascontiguousarray(score)
    if str(score.dtype) not in DTYPES:
        raise ScoreError(f"a score map of {score.dtype} cannot be written; it must be float32.")
    header = json.dumps({"dtype": str(score.dtype), "shape": list(score.shape)}).encode() + b"\n"
    planes = score.reshape(-1).view(np.uint8).reshape(-1, score.itemsize).T  # bytes by significance
    payload: bytes = _CODEC.compress(planes.tobytes(), asbytes=True)
    return MAGIC + header + payload


def write(path: Path, score: NDArray[np.floating]) -> None:
    """Writes `score` to `path` (ending .score) completely or not at all."""
    write_bytes(path, encoded(score))


def write_bytes(path: Path, content: bytes) -> None:
    """Writes `content` beside `path`, then renames; nothing half-written stays behind."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def read(path: Path) -> NDArray[np.floating]:
    """The map in the score file `path`, in the dtype that it was stored in.

    Raises:
        ScoreError: the file is missing, truncated, or of another format or dtype.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ScoreError(f"{path}: cannot be read ({error.strerror}).") from error
    if path.suffix == ".npy":
        return _from_npy(content, path)
    header, start = _header_of(content, path)
    size = int(np.prod(header.shape)) * np.dtype(header.dtype).itemsize
    try:
        raw = _CODEC.decompress(content[start:], decompressed_size=size, asbytes=True)
    except (OSError, ValueError) as error:
        raise ScoreError(f"{path}: truncated or damaged; write the file again.") from error
    if len(raw) != size:
        raise ScoreError(f"{path}: truncated or damaged; write the file again.")
    planes = np.frombuffer(raw, np.uint8).reshape(np.dtype(header.dtype).itemsize, -1)
    values: NDArray[np.floating] = np.ascontiguousarray(planes.T).view(header.dtype)
    return values.reshape(header.shape)


def header(path: Path) -> Header:
    """Shape and dtype that the file's first bytes state; the values are not read."""
    try:
        with path.open("rb") as file:
            if path.suffix == ".npy":
                version = np.lib.format.read_magic(file)
                read_header = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
                shape, _, dtype = read_header(file)
                return Header(tuple(shape), str(dtype))
            return _header_of(file.read(4096), path)[0]
    except (OSError, ValueError, AttributeError) as error:
        raise ScoreError(f"{path}: not a readable score map ({error}).") from error


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


def encoded_classes(classes: Classes) -> bytes:
    """The bytes of a PNG file that holds the (H, W) uint8 train ids `classes`."""
    buffer = io.BytesIO()
    PILImage.fromarray(classes).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def read_classes(path: Path) -> Classes:
    """The (H, W) uint8 predicted train ids in the PNG file `path`.

    Raises:
        ScoreError: the file is missing, truncated, or of another kind.
    """
    try:
        with PILImage.open(path) as picture:
            classes = np.asarray(picture)
    except (OSError, ValueError) as error:
        raise ScoreError(f"{path}: predicted classes cannot be read ({error}).") from error
    if classes.ndim != 2 or classes.dtype != np.uint8:
        raise ScoreError(f"{path}: predicted classes are one byte a pixel, mode L; found others.")
    return classes


def _header_of(content: bytes, path: Path) -> tuple[Header, int]:
    if not content.startswith(MAGIC):
        raise ScoreError(f"{path}: not a score map (accepted: {', '.join(SUFFIXES)}).")
    end = content.find(b"\n", len(MAGIC))
    try:
        facts = json.loads(content[len(MAGIC) : end])
        found = Header(tuple(int(n) for n in facts["shape"]), str(facts["dtype"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ScoreError(f"{path}: the header is damaged; write the file again.") from error
    if found.dtype not in DTYPES:
        raise ScoreError(f"{path}: dtype {found.dtype}; {' or '.join(DTYPES)} was expected.")
    return found, end + 1


def _from_npy(content: bytes, path: Path) -> NDArray[np.floating]:
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ScoreError(f"{path}: not a readable .npy file ({error}).") from error
    if str(array.dtype) not in DTYPES:
        raise ScoreError(f"{path}: dtype {array.dtype}; {' or '.join(DTYPES)} was expected.")
    result: NDArray[np.floating] = array
    return result
