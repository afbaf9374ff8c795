"""Post-processing of a score map: suppress it at class boundaries, then smooth it."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

PostProcessing = Literal["none", "smooth", "boundary", "boundary_smooth"]
"""What may follow a score: nothing, a Gaussian, boundary suppression, or it and dilated smoothing.

`boundary_smooth` is what Standardised Max Logits publishes; it works at the image's size. `smooth`
is what FlowEneDet does to its baselines; it works where the score is made, before upsampling.
"""
EXPANSIONS = (3, 2, 1, 0)  # radii of the passes, in pixels: wide boundaries are eaten from outside
GAUSSIAN, SIGMA, DILATION = 7, 1.0, 6  # side of the kernel in taps, in taps, pixels between taps


def boundaries(classes: Tensor) -> Tensor:
    """Where the (H, W) integer class map changes, a (H, W) bool map two to three pixels wide.

    A pixel is on a boundary where the largest class of itself and its four neighbours is not the
    smallest of its 3x3 neighbourhood; what lies outside of the map counts for nothing.
    """
    values = classes[None, None].float()
    across = F.max_pool2d(values, (1, 3), 1, (0, 1))
    down = F.max_pool2d(values, (3, 1), 1, (1, 0))
    smallest = -F.max_pool2d(-values, 3, 1, 1)
    return (torch.maximum(across, down) != smallest)[0, 0]


def boundary_suppressed(score: Tensor, classes: Tensor) -> Tensor:
    """The (H, W) score with values at boundaries of `classes` replaced from their surroundings.

    In four passes boundaries expanded by 3, 2, 1 and 0 pixels (city-block distance) are replaced
    by the mean of those of the nine neighbours that are on none; a pixel without any is kept.

    Source: Jung et al., Standardized Max Logits, https://arxiv.org/abs/2107.11264, section 3.4.
    """
    value, on = score[None, None], boundaries(classes)[None, None].float()
    for radius in EXPANSIONS:
        off = 1 - _expanded(on, radius)
        count = _neighbours(off)
        mean = _neighbours(value * off) / count.clamp(min=1)
        value = torch.where((off == 0) & (count > 0), mean, value)
    return value[0, 0]


def smoothed(score: Tensor, *, dilation: int = 1) -> Tensor:
    """The (H, W) score after a 7x7 Gaussian of standard deviation 1 tap, taps `dilation` apart.

    Beyond the border the map is mirrored, or with a dilation its edge repeated, as published; the
    edge of a map of three pixels or fewer is repeated, too.
    """
    taps = torch.arange(GAUSSIAN, device=score.device, dtype=score.dtype) - GAUSSIAN // 2
    kernel = torch.exp(-(taps**2) / (2 * SIGMA**2))
    kernel = kernel / kernel.sum()
    reach = dilation * (GAUSSIAN // 2)
    mirrored = dilation == 1 and min(score.shape) > reach  # a smaller map cannot be
    mode = "reflect" if mirrored else "replicate"
    padded = F.pad(score[None, None], (reach, reach, reach, reach), mode=mode)
    rows = F.conv2d(padded, kernel.view(1, 1, 1, -1), dilation=dilation)
    return F.conv2d(rows, kernel.view(1, 1, -1, 1), dilation=dilation)[0, 0]


def at_boundaries(score: Tensor, classes: Tensor, kind: PostProcessing) -> Tensor:
    """The (H, W) score after what `kind` does at boundaries of the predicted (H, W) classes."""
    if kind not in ("boundary", "boundary_smooth"):
        return score
    suppressed = boundary_suppressed(score, classes)
    return smoothed(suppressed, dilation=DILATION) if kind == "boundary_smooth" else suppressed


def _expanded(mask: Tensor, radius: int) -> Tensor:
    """The (1, 1, H, W) mask, 0 or 1, grown to all pixels within a city-block distance."""
    for _ in range(radius):
        mask = torch.maximum(
            F.max_pool2d(mask, (1, 3), 1, (0, 1)), F.max_pool2d(mask, (3, 1), 1, (1, 0))
        )
    return mask


def _neighbours(values: Tensor) -> Tensor:
    """The sum of the 3x3 neighbourhood, edges repeated."""
    return F.avg_pool2d(F.pad(values, (1, 1, 1, 1), mode="replicate"), 3, 1, divisor_override=1)
