"""ReAct: the energy after unusually strong features are clipped."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.errors import MethodError
from harness.types import Frame
from methods._features import add_to_bank, banked, features_of
from methods._fitted import FittedPostHoc, Progress, Sight, Tally, save_state
from methods._network import NetworkOutput


@dataclass
class React(FittedPostHoc):
    """-ln sum exp(l), l the logits of the features min(f, c), c a quantile of the training set's.

    The quantile is over all channels of a bank of labelled pixels, the same number of each frame,
    drawn at random. Logits are upsampled before the score, as for `energy`; the paper classifies
    whole images.
    """

    paper = "https://arxiv.org/abs/2111.12797"  # Sun et al., NeurIPS 2021
    fit_options = (*FittedPostHoc.fit_options, "quantile", "bank")

    quantile: float = 0.9  # the paper's
    bank: int = 20_000  # pixels

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.quantile <= 1:
            raise MethodError(f"react: quantile is {self.quantile}; expected above 0, at most 1.")
        if self.bank < 1:
            raise MethodError(f"react: bank is {self.bank}; expected 1 or more.")

    def fit(
        self, frames: Sequence[Frame], folder: Path, *, seed: int, progress: Progress
    ) -> dict[str, Any]:
        """Finds the quantile of a bank of pixels."""
        tally = self.tallied(frames, folder, self._add, seed=seed, progress=progress)
        bank = banked(tally)
        clip = float(np.quantile(bank.cpu().numpy(), self.quantile))
        save_state(folder, {"clip": torch.tensor([clip])})
        return {"clip": clip, "pixels_seen": len(bank)}

    def changed(self, output: NetworkOutput) -> NetworkOutput:
        clipped = features_of(output, self).clamp(max=float(self.state["clip"]))
        return self._classified(output, clipped)

    def score(self, output: NetworkOutput) -> Tensor:
        return -output.logits.logsumexp(dim=0)

    def _add(self, tally: Tally, sight: Sight) -> None:
        features = features_of(sight.output, self)
        if not tally:
            self._classified(sight.output, features)  # a network that cannot says so at once
        add_to_bank(tally, sight, features, self.bank)
