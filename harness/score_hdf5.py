"""Score maps in HDF5 files laid out as the SMIYC kit's: one (H, W) data set, called `value`.

Files come from strangers, and the HDF5 library follows whatever they say: links and data that lie
in other files, filters that inflate without a limit. So only the plain form that the kit writes is
read (stored in this file; gzip, shuffle and checksum filters), and its chunks are inflated here,
never beyond the size that they declare. `h5py` is needed (the extra `submissions`).
"""

import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import ScoreError

KEY = "value"
MOST_CHUNKS = 100_000  # the kit's files have a few hundred
DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3  # HDF5's numbers of these filters
CHECKSUM_BYTES = 4


def hdf5_header(path: Path) -> tuple[tuple[int, ...], str]:
    """The shape and the dtype of the map in `path`, whose values are not read.

    Raises:
        ScoreError: not such a file, or h5py is not installed.
    """
    with _value(path) as stored:
        return tuple(int(n) for n in stored.shape), str(stored.dtype)


def read_hdf5(path: Path) -> NDArray[np.floating]:
    """The (H, W) map in `path`, in the dtype that it was stored in.

    The caller has looked at `hdf5_header` and found the size bearable.

    Raises:
        ScoreError: not such a file, incomplete or damaged, or h5py is not installed.
    """
    with _value(path) as stored:
        plist = stored.id.get_create_plist()
        filters = [int(plist.get_filter(i)[0]) for i in range(plist.get_nfilters())]
        if stored.chunks is None:
            if stored.id.get_storage_size() != stored.size * stored.dtype.itemsize:
                raise ScoreError(f"{path}: the data set `{KEY}` was never written completely.")
            whole: NDArray[np.floating] = stored[()]
            return whole
        return _chunked(path, stored, filters)


def encoded_hdf5(score: NDArray[np.floating]) -> bytes:
    """The bytes of an HDF5 file that holds the (H, W) map `score`, as the kit would write it.

    Raises:
        ScoreError: h5py is not installed.
    """
    h5py = _h5py("writing HDF5 files")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:  # level 1: a few per cent larger than the kit's 9
        file.create_dataset(KEY, data=score, compression="gzip", compression_opts=1, shuffle=True)
    return buffer.getvalue()


@contextmanager
def _value(path: Path) -> Iterator[Any]:
    """The data set `value`, once it is known to lie plainly in this very file."""
    h5py = _h5py(f"{path}: reading it")
    try:
        with h5py.File(path, "r") as file:
            links = file.id.links
            name = KEY.encode()
            if not links.exists(name):
                raise ScoreError(f"{path}: no data set `{KEY}` is in it, as the SMIYC kit writes.")
            if links.get_info(name).type != h5py.h5l.TYPE_HARD:
                raise ScoreError(f"{path}: `{KEY}` is a link, which is not followed; store it.")
            stored = file[KEY]
            _check_plain(path, stored, h5py)
            yield stored
    except ScoreError:
        raise
    except Exception as error:  # a damaged file makes h5py raise nearly anything
        raise ScoreError(f"{path}: not a readable HDF5 file ({type(error).__name__}).") from error


def _check_plain(path: Path, stored: Any, h5py: ModuleType) -> None:
    if not isinstance(stored, h5py.Dataset) or stored.shape is None:
        raise ScoreError(f"{path}: `{KEY}` is no data set of numbers.")
    plist = stored.id.get_create_plist()
    if stored.is_virtual or plist.get_external_count():
        raise ScoreError(f"{path}: `{KEY}` lies in other files, which are not opened; store it.")
    filters = [int(plist.get_filter(i)[0]) for i in range(plist.get_nfilters())]
    if not set(filters) <= {DEFLATE, SHUFFLE, FLETCHER32} or len(set(filters)) < len(filters):
        raise ScoreError(f"{path}: compressed in another way than with gzip (and shuffle).")
    if stored.chunks is not None:
        sizes = list(zip(stored.shape, stored.chunks, strict=True))
        if any(chunk > max(size, 1) for size, chunk in sizes):
            raise ScoreError(f"{path}: chunks of {stored.chunks} in a map of {stored.shape}.")
        if math.prod(-(-size // chunk) for size, chunk in sizes) > MOST_CHUNKS:
            raise ScoreError(f"{path}: more than {MOST_CHUNKS:,} chunks; make them larger.")


def _chunked(path: Path, stored: Any, filters: list[int]) -> NDArray[np.floating]:
    height, width = stored.shape
    rows, columns = stored.chunks
    dtype = stored.dtype
    expected = -(-height // rows) * -(-width // columns)
    found = stored.id.get_num_chunks()
    if found != expected:
        raise ScoreError(f"{path}: {found} of {expected} chunks were written; write it again.")
    most = rows * columns * dtype.itemsize
    result: NDArray[np.floating] = np.empty((height, width), dtype)
    for index in range(found):
        info = stored.id.get_chunk_info(index)
        if info.size > 2 * most + 65_536:  # more than deflate ever adds
            raise ScoreError(f"{path}: a chunk is larger than what it holds.")
        mask, raw = stored.id.read_direct_chunk(info.chunk_offset)
        raw = _unfiltered(path, raw, filters, mask, most, dtype.itemsize)
        top, left = info.chunk_offset
        part = np.frombuffer(raw, dtype).reshape(rows, columns)
        cut = result[top : top + rows, left : left + columns]
        cut[...] = part[: cut.shape[0], : cut.shape[1]]
    return result


def _unfiltered(
    path: Path, raw: bytes, filters: list[int], mask: int, most: int, itemsize: int
) -> bytes:
    """The bytes of one chunk, inflated to `most` bytes and never to more."""
    for position in reversed(range(len(filters))):
        if mask >> position & 1:  # this chunk was stored without that filter
            continue
        if filters[position] == FLETCHER32:
            raw = raw[:-CHECKSUM_BYTES]  # deflate carries a checksum of its own
        elif filters[position] == SHUFFLE:
            raw = np.frombuffer(raw, np.uint8).reshape(itemsize, -1).T.tobytes()
        else:
            inflate = zlib.decompressobj()
            raw = inflate.decompress(raw, most + CHECKSUM_BYTES)
            if not inflate.eof:
                raise ScoreError(f"{path}: a chunk holds more than it declares, or is damaged.")
    if len(raw) != most:
        raise ScoreError(f"{path}: a chunk of {len(raw)} bytes; {most} were expected.")
    return raw


def _h5py(what: str) -> ModuleType:
    try:
        import h5py
    except ImportError as error:
        raise ScoreError(
            f"{what} needs h5py, which is not installed: "
            "pip install 'road-anomaly-harness[submissions]'."
        ) from error
    module: ModuleType = h5py
    return module
