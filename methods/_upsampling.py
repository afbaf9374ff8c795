"""The output of a network at the size of an image: its logits, and the masks of classifiers."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from methods._network import CLASSES, NetworkOutput, semantic_scores

BAND_PX = {"cpu": 1 << 17, "cuda": 1 << 20}
"""Pixels that are scored at a time: so many planes of logits never exist twice, and fit a cache."""

Rows = Callable[[slice], NetworkOutput]
"""Gives the logits, and the masks, of some rows of pixels."""


def bands(size: tuple[int, int], device: str) -> Iterator[slice]:
    """Slices of rows, one below the other, each of a bearable number of pixels."""
    rows = max(BAND_PX.get(device, 1 << 20) // size[1], 1)
    for top in range(0, size[0], rows):
        yield slice(top, min(top + rows, size[0]))


def resized(output: NetworkOutput, size: tuple[int, int]) -> NetworkOutput:
    """The logits of an output at (H, W) `size`, bilinear; features and masks stay behind.

    Those of a mask classifier are made of masks that were brought to this size first, as its
    authors do (Cheng et al. 2022).
    """
    if output.logits.shape[1:] == size:
        return output  # with what it has computed already
    full = rows_of(output, size)
    device = output.logits.device
    logits = torch.empty((len(output.logits), *size), device=device)
    extra = None if output.extra is None else torch.empty((len(output.extra), *size), device=device)
    for rows in bands(size, device.type):
        part = full(rows)
        logits[:, rows] = part.logits
        if extra is not None and part.extra is not None:
            extra[:, rows] = part.extra
    return NetworkOutput(logits, extra)


def upsampled(maps: Tensor, size: tuple[int, ...], *, align_corners: bool = False) -> Tensor:
    """The (C, h, w) maps at (H, W) `size`, bilinear."""
    if maps.shape[1:] == size:
        return maps
    return F.interpolate(maps[None], size=size, mode="bilinear", align_corners=align_corners)[0]


def rows_of(output: NetworkOutput, size: tuple[int, int]) -> Rows:
    """The rows of `output` at (H, W) `size`, upsampled when they are asked for.

    19 planes of logits at full size, or a hundred masks, would be slower to fetch from memory
    than to compute: a band of rows stays in the cache.
    """
    maps = output.logits if output.mask_logits is None else output.mask_logits
    if maps.shape[1:] == size and output.mask_logits is None:
        return output.rows
    stretch = Stretch.between(maps, size, align_corners=output.align_corners)
    of_kind = _logit_rows if output.mask_logits is None else _mask_rows
    return functools.partial(of_kind, output, stretch)


@dataclass(frozen=True, eq=False)
class Stretch:
    """Which two rows of a map make each row at full size, and how much of the lower one."""

    above: Tensor  # (H,) int64
    below: Tensor  # (H,) int64
    share: Tensor  # (H,) in [0, 1], of the row below
    width: int  # at full size
    align_corners: bool

    @classmethod
    def between(cls, maps: Tensor, size: tuple[int, int], *, align_corners: bool) -> "Stretch":
        """That from (C, h, w) `maps` to (H, W) `size`, with the very weights of `upsampled`."""
        height = maps.shape[1]
        rows = torch.eye(height, dtype=maps.dtype, device=maps.device)
        weights = upsampled(rows[None], (size[0], height), align_corners=align_corners)[0]
        above = (weights > 0).to(torch.uint8).argmax(dim=1)
        below = (above + 1).clamp(max=height - 1)
        share = weights.gather(1, below[:, None])[:, 0] * (below > above)
        return cls(above, below, share, size[1], align_corners)

    def __call__(self, maps: Tensor, rows: slice | Tensor) -> Tensor:
        """`upsampled(maps, size)[:, rows]`, but for rounding, without computing other rows."""
        share = self.share[rows, None]
        mixed = torch.lerp(maps[:, self.above[rows]], maps[:, self.below[rows]], share)
        size = (mixed.shape[1], self.width)
        return upsampled(mixed, size, align_corners=self.align_corners)


def _logit_rows(output: NetworkOutput, stretch: Stretch, rows: slice) -> NetworkOutput:
    """The logits, and those of further outputs, in some rows at full size."""
    extra = None if output.extra is None else stretch(output.extra, rows)
    return NetworkOutput(stretch(output.logits, rows), extra)


def _mask_rows(output: NetworkOutput, stretch: Stretch, rows: slice) -> NetworkOutput:
    """The masks of a mask classifier in some rows at full size, and the logits they give."""
    assert output.mask_logits is not None, "a mask classifier"
    assert output.class_logits is not None, "a mask classifier"
    masks = stretch(output.mask_logits, rows)
    logits, extra = split(semantic_scores(output.class_logits[None], masks[None])[0])
    return NetworkOutput(logits, extra, None, output.class_logits, masks)


def split(logits: Tensor) -> tuple[Tensor, Tensor | None]:
    """(C, h, w) logits as those of the 19 classes and those of further outputs, if any."""
    return logits[:CLASSES], logits[CLASSES:] if len(logits) > CLASSES else None
