"""16-bit PNG and TIFF files that hold score maps as levels, and PNG files of predicted classes.

Headers are looked at before a pixel is decoded, and Pillow is told which format to expect: it
chooses by content otherwise, and some of its formats start other programs.
"""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from harness.errors import ScoreError
from harness.types import Classes

PNG_SUFFIXES, TIFF_SUFFIXES = (".png",), (".tif", ".tiff")
SUFFIXES = (*PNG_SUFFIXES, *TIFF_SUFFIXES)
TIFF_COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate")
EIGHT_BIT = (
    "an 8-bit map is refused: 256 levels put so many pixels on one score that FPR95 moves by up "
    "to 2 points; write float32, float16, or 16 bits with `scale` and `offset` in the card"
)
_PNG = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3  # PNG's colour types


def image_header(path: Path) -> tuple[tuple[int, ...], str]:
    """The (height, width) and the dtype, "uint16", of a 16-bit grey PNG or TIFF file.

    Raises:
        ScoreError: not such a file; 8-bit and coloured ones are refused with the reason.
    """
    if path.suffix in PNG_SUFFIXES:
        height, width, bits, colour = png_facts(path)
        if bits <= 8 and colour == _GREY:
            raise ScoreError(f"{path}: {EIGHT_BIT}.")
        if colour != _GREY:
            raise ScoreError(f"{path}: a coloured picture; one 16-bit grey value was expected.")
        return (height, width), "uint16"
    with _opened(path) as picture:
        if picture.mode in ("1", "L", "P"):
            raise ScoreError(f"{path}: {EIGHT_BIT}.")
        compression = picture.info.get("compression")
        if not picture.mode.startswith("I;16") or compression not in TIFF_COMPRESSIONS:
            raise ScoreError(
                f"{path}: a TIFF of mode {picture.mode}, compressed as {compression}; one 16-bit "
                "grey value per pixel was expected, uncompressed or with LZW or deflate."
            )
        return (picture.height, picture.width), "uint16"


def read_levels(path: Path) -> NDArray[np.uint16]:
    """The (H, W) levels, 0 to 65535, of a file for which `image_header` gave no error.

    Raises:
        ScoreError: truncated or damaged.
    """
    try:
        with _opened(path) as picture:
            levels = np.asarray(picture)
    except ScoreError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        raise ScoreError(f"{path}: truncated or damaged ({error}).") from error
    if levels.ndim != 2 or levels.dtype.itemsize not in (2, 4):
        raise ScoreError(f"{path}: not one 16-bit grey value per pixel.")
    return levels.astype(np.uint16)  # Pillow once gave 32-bit numbers for 16-bit PNG


def encoded_levels(levels: NDArray[np.uint16], suffix: str) -> bytes:
    """The bytes of a PNG or TIFF file (by `suffix`) of (H, W) 16-bit levels."""
    buffer = io.BytesIO()
    picture = PILImage.fromarray(levels)
    if suffix in PNG_SUFFIXES:
        picture.save(buffer, "PNG", compress_level=1)
    else:
        picture.save(buffer, "TIFF", compression="tiff_adobe_deflate")
    return buffer.getvalue()


def encoded_classes(classes: Classes) -> bytes:
    """The bytes of a PNG file that holds the (H, W) uint8 train ids `classes`."""
    buffer = io.BytesIO()
    PILImage.fromarray(classes).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def classes_header(path: Path) -> tuple[int, int]:
    """The (height, width) that the header of a file of predicted classes states.

    Raises:
        ScoreError: not a PNG file of one byte a pixel.
    """
    height, width, bits, colour = png_facts(path)
    if bits != 8 or colour not in (_GREY, _PALETTE):
        raise ScoreError(f"{path}: predicted classes are one byte a pixel, mode L; found others.")
    return height, width


def read_classes(path: Path) -> Classes:
    """The (H, W) uint8 predicted train ids in the PNG file `path`.

    Raises:
        ScoreError: the file is missing, truncated, or of another kind.
    """
    try:
        with PILImage.open(path, formats=("PNG",)) as picture:
            classes = np.asarray(picture)
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        raise ScoreError(f"{path}: predicted classes cannot be read ({error}).") from error
    if classes.ndim != 2 or classes.dtype != np.uint8:
        raise ScoreError(f"{path}: predicted classes are one byte a pixel, mode L; found others.")
    return classes


def png_facts(path: Path) -> tuple[int, int, int, int]:
    """Height, width, bits per sample and colour type that the first bytes of a PNG file state.

    Raises:
        ScoreError: not a PNG file.
    """
    try:
        with path.open("rb") as file:
            start = file.read(26)
    except OSError as error:
        raise ScoreError(f"{path}: cannot be read ({error.strerror}).") from error
    if len(start) < 26 or not start.startswith(_PNG) or start[12:16] != b"IHDR":
        raise ScoreError(f"{path}: not a PNG file.")
    width, height, bits, colour = struct.unpack(">IIBB", start[16:26])
    return height, width, bits, colour


def _opened(path: Path) -> Any:
    formats = ("PNG",) if path.suffix in PNG_SUFFIXES else ("TIFF",)
    try:
        return PILImage.open(path, formats=formats)
    except Exception as error:  # a damaged header makes Pillow raise nearly anything
        raise ScoreError(f"{path}: not a readable {formats[0]} file ({error}).") from error
