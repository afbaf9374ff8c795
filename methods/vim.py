"""ViM: a pixel is anomalous when much of its features lies outside of their principal space."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from harness.errors import MethodError
from harness.types import Frame
from methods._features import add_to_bank, add_to_moments, banked, by_pixels, features_of
from methods._fitted import FittedPostHoc, Progress, Sight, Tally, save_state
from methods._network import CLASSES, NetworkOutput
from methods._upsampling import upsampled

CUTOFF = 1e-10  # share of the variance outside of the principal space: less is rounding's


@dataclass
class Vim(FittedPostHoc):
    """alpha ‖R (f - o)‖ - ln sum exp(l), f the features and l the logits of a pixel.

    This has the order of the paper's score, the probability of a virtual class with the logit
    alpha ‖R (f - o)‖. R projects on the directions in which the features of the training set
    vary least around the origin o = -W⁺ b of the last layer, and alpha is the mean of the largest
    logit over that of ‖R (f - o)‖. It is computed at the network's resolution, then upsampled.

    Where the last layer sees more than one pixel (`espnetv2` no, `erfnet` and `enet` yes) it has
    no such origin: `origin=mean` takes the mean of the features.
    """

    paper = "https://arxiv.org/abs/2203.10807"  # Wang et al., CVPR 2022
    fit_options = (*FittedPostHoc.fit_options, "principal", "origin", "pixels", "bank")
    local = False

    upsample: Literal["score"] = "score"
    principal: int = 0  # dimensions of the principal space; 0: half of the features'
    origin: Literal["bias", "mean"] = "bias"
    pixels: int = 10_000  # of each frame, drawn at random, that span the space; 0: all
    bank: int = 20_000  # pixels in all that alpha is computed from

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.principal < 0 or self.pixels < 0 or self.bank < 1:
            raise MethodError(
                f"vim: principal is {self.principal}, pixels {self.pixels}, bank {self.bank}; "
                "expected 0 or more, 0 or more, and above 0."
            )

    def fit(
        self, frames: Sequence[Frame], folder: Path, *, seed: int, progress: Progress
    ) -> dict[str, Any]:
        """Learns the space from second moments in float64, and alpha from a bank of pixels."""
        tally = self.tallied(frames, folder, self._add, seed=seed, progress=progress)
        bank, count = banked(tally).double(), tally["counts"].sum()
        depth = bank.shape[1]
        principal = self._dimensions(depth)
        mean = tally["sums"].sum(dim=0) / count
        origin = mean if self.origin == "mean" else self._bias_origin(depth)
        around = mean - origin
        covariance = tally["squares"] / count - torch.outer(mean, mean)
        variances, directions = torch.linalg.eigh(covariance + torch.outer(around, around))
        residual = directions[:, : depth - principal]  # variances ascend
        if variances[: depth - principal].sum() <= CUTOFF * variances.sum():
            raise MethodError(
                f"vim: the features of the training set lie in {principal} dimensions; choose a "
                "smaller principal space by --set principal=N."
            )
        norms = ((bank - origin) @ residual).norm(dim=1)
        alpha = tally["largest"] / tally["logits"] / norms.mean()
        state = {"origin": origin, "residual": residual, "alpha": alpha.reshape(1)}
        save_state(folder, {name: value.float() for name, value in state.items()})
        return {"alpha": float(alpha), "principal": principal, "pixels_seen": int(count)}

    def score(self, output: NetworkOutput) -> Tensor:
        virtual = self.state["alpha"] * by_pixels(features_of(output, self), self._outside)
        size, corners = tuple(output.logits.shape[1:]), output.align_corners
        virtual = upsampled(virtual[None], size, align_corners=corners)[0]
        return virtual - output.logits.logsumexp(dim=0)

    def _add(self, tally: Tally, sight: Sight) -> None:
        features, logits = features_of(sight.output, self), sight.output.logits
        if not tally:  # what cannot be is said at the first frame
            self._dimensions(len(features))
            if self.origin == "bias":
                self._bias_origin(len(features))
        add_to_moments(tally, sight, features, self.pixels)
        add_to_bank(tally, sight, features, self.bank)
        largest = logits.amax(dim=0)[sight.labels(logits.shape[1:]) >= 0]
        if "largest" not in tally:
            tally["largest"] = tally["logits"] = torch.zeros((), dtype=torch.float64)
        tally["largest"] = tally["largest"] + largest.double().sum().cpu()
        tally["logits"] = tally["logits"] + largest.numel()

    def _dimensions(self, depth: int) -> int:
        """Those of the principal space, of `depth` features."""
        principal = self.principal or depth // 2
        if not 0 < principal < depth:
            raise MethodError(
                f"vim: principal is {principal}, and the network has {depth} features; expected "
                f"fewer than {depth}."
            )
        return principal

    def _outside(self, features: Tensor) -> Tensor:
        return ((features - self.state["origin"]) @ self.state["residual"]).norm(dim=1)

    @torch.inference_mode()
    def _bias_origin(self, depth: int) -> Tensor:
        """The features that come nearest to giving logits of 0 in the last layer W f + b."""
        probes = torch.cat([torch.zeros(depth, 1), torch.eye(depth)], dim=1).to(self._device)
        apart = probes[None, :, None]  # (1, D, 1, D + 1): a row of pixels
        together = self._loaded.classify(apart)
        alone = torch.cat([self._loaded.classify(apart[..., n : n + 1]) for n in (0, 1)], dim=-1)
        if together.shape[-2:] != apart.shape[-2:] or not torch.allclose(
            together[..., :2], alone, atol=1e-5
        ):
            raise MethodError(
                f"vim: the last layer of network {self.network} sees more than one pixel, so it "
                "has no origin; use --set origin=mean."
            )
        logits = together[0, :CLASSES, 0].double()
        bias = logits[:, 0]
        weight = logits[:, 1:] - bias[:, None]
        return -torch.linalg.pinv(weight) @ bias
