"""The one gate: what a score map must be before anything is counted."""

from typing import Any

import numpy as np

from harness.errors import ScoreError
from harness.types import Score

_DO = "Give one float32 per pixel, higher where more anomalous"


def checked(score: Any, shape: tuple[int, ...], *, where: str) -> Score:
    """The score map as (H, W) float32, every value exactly as it was given.

    Nothing is resized, squashed, clipped or guessed. float32 passes through without a copy,
    float16 becomes float32 (always exact), and so does float64 if no value changes by it:
    numpy makes float64 by itself, so such maps mostly hold float32 numbers. If a value would
    change, the map is refused, because rounding makes ties, ties move metrics, and whoever made
    the scores should be the one who decides that.

    Args:
        score: what a method or a file gave; a numpy array of floats.
        shape: (H, W) of the image.
        where: what the error names, "<data set>/<frame id>".

    Raises:
        ScoreError: not a numpy array, not floats, another size, NaN or infinity, float64 values
            that float32 cannot hold.
    """
    array = _float_array(score, where)
    _check_shape(array, tuple(shape), where)
    if array.dtype.itemsize > 4:
        _check_finite(array, where)
        with np.errstate(over="ignore", under="ignore"):
            single = array.astype(np.float32)
        changed = int(np.count_nonzero(single != array))
        if changed:
            raise ScoreError(
                f"{where}: the score map is {array.dtype} and {_count(changed, array)} would "
                "change in float32. Round it yourself, with score.astype(np.float32), so that the "
                "ties this makes are your choice."
            )
        return single
    single = np.asarray(array, dtype=np.float32)
    _check_finite(single, where)
    return single


def _float_array(score: Any, where: str) -> np.ndarray[Any, np.dtype[Any]]:
    kind = type(score)
    if kind.__module__.partition(".")[0] == "torch":
        raise ScoreError(
            f"{where}: the score map is a torch tensor, a numpy array was expected; "
            "do: score.detach().cpu().float().numpy()."
        )
    if not isinstance(score, np.ndarray):
        raise ScoreError(
            f"{where}: the score map is of type {kind.__name__}, a numpy array was expected. {_DO}."
        )
    if isinstance(score, np.ma.MaskedArray):
        raise ScoreError(
            f"{where}: the score map is a masked array, whose mask would be lost; fill it first. "
            "Which pixels are ignored is said by the labels alone."
        )
    if score.dtype.kind != "f":
        hint = {
            "b": "a yes-or-no map says nothing of the order of pixels",
            "u": "whole numbers are mostly an image or class ids, or scores that were rounded",
            "i": "whole numbers are mostly class ids, or scores that were rounded",
        }.get(score.dtype.kind, "that is not a number per pixel")
        raise ScoreError(
            f"{where}: the score map is {score.dtype}; {hint}. {_DO}, "
            "or cast with .astype(np.float32) if these values are meant."
        )
    return np.asarray(score)


def _check_shape(array: np.ndarray[Any, np.dtype[Any]], shape: tuple[int, ...], where: str) -> None:
    if array.shape == shape:
        return
    found = f"{where}: the score map is {array.shape}, the image is {shape}"
    if tuple(size for size in array.shape if size != 1) == tuple(s for s in shape if s != 1):
        raise ScoreError(f"{found}: an axis of length 1 too many or too few. Reshape it.")
    if array.ndim == 3:
        raise ScoreError(f"{found}. One score per pixel is wanted, not one per pixel and class.")
    if array.shape == shape[::-1]:
        raise ScoreError(f"{found}: it looks transposed. The order is (height, width).")
    raise ScoreError(f"{found}. Scores are never resized here.")


def _check_finite(array: np.ndarray[Any, np.dtype[Any]], where: str) -> None:
    finite = np.isfinite(array)
    if finite.all():
        return
    row, column = (int(i) for i in np.argwhere(~finite)[0])
    broken = _count(int(np.count_nonzero(~finite)), array)
    raise ScoreError(
        f"{where}: of the score map {broken} are NaN or infinite, the first ({array[row, column]}) "
        f"at row {row}, column {column}. Every pixel needs a finite score, ignored ones too."
    )


def _count(count: int, array: np.ndarray[Any, np.dtype[Any]]) -> str:
    return f"{count:,} of {array.size:,} pixels"
