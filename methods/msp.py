"""MSP: a pixel is anomalous when even its best class is improbable."""

from dataclasses import dataclass

from torch import Tensor

from methods._network import NetworkOutput
from methods._posthoc import PostHoc


@dataclass
class MSP(PostHoc):
    """1 - max softmax over the 19 classes, in [0, 1)."""

    paper = "https://arxiv.org/abs/1610.02136"  # Hendrycks and Gimpel

    def score(self, output: NetworkOutput) -> Tensor:
        return output.doubt
