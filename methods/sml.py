"""SML: a pixel is anomalous when its largest logit is low for the class that has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from harness.types import Frame
from methods import _max_logits
from methods._fitted import FittedPostHoc, Progress, Sight, Tally, save_state
from methods._network import NetworkOutput
from methods._smoothing import PostProcessing


@dataclass
class Sml(FittedPostHoc):
    """-(max l - mean of c) / sqrt(variance of c), c the best class; boundaries are suppressed."""

    paper = "https://arxiv.org/abs/2107.11264"  # Jung et al., ICCV 2021
    fit_options = (*FittedPostHoc.fit_options, "estimator")

    post_processing: PostProcessing = "boundary_smooth"  # the paper's
    estimator: Literal["exact", "ema"] = "exact"  # of the statistics; ema: FlowEneDet's
    # Published tables are of MMSegmentation's networks: of segformer-b2-mmseg, not segformer-b2.
    statistics: Literal["fit", "deeplabv3plus-r101", "segformer-b2", "segformer-b5"] = "fit"

    @property
    def needs_fit(self) -> bool:
        """Whether a fitted state is read; a published table needs none."""
        return self.statistics == "fit"

    def fit(
        self, frames: Sequence[Frame], folder: Path, *, seed: int, progress: Progress
    ) -> dict[str, Any]:
        """Estimates the statistics from the logits, brought to the size of the classes."""
        add, estimate = self._add_exact, _max_logits.exact
        if self.estimator == "ema":
            add, estimate = self._add_moving, _max_logits.moving
        tally = self.tallied(frames, folder, add, seed=seed, progress=progress, full_size=True)
        found = estimate(tally)
        save_state(folder, {"means": found.means, "variances": found.variances})
        return {"classes_seen": int((found.means != 0).sum())}

    def weights_files(self) -> Mapping[str, Path]:
        files = super().weights_files()
        return files if self.needs_fit else {k: v for k, v in files.items() if k != "fit"}

    def score(self, output: NetworkOutput) -> Tensor:
        value, best = output.best
        means, variances = self._statistics
        return (means[best] - value) / variances[best].sqrt()

    @staticmethod
    def _add_exact(tally: Tally, sight: Sight) -> None:
        _max_logits.add_exact(tally, sight.output.logits)

    @staticmethod
    def _add_moving(tally: Tally, sight: Sight) -> None:
        _max_logits.add_moving(tally, sight.output.logits, sight.classes)

    @cached_property
    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Means and variances, (19,) float32 each, on the device."""
        if self.statistics == "fit":
            return self.state["means"], self.state["variances"]
        table = _max_logits.published(self.statistics)
        return table.means.to(self._device), table.variances.to(self._device)
