"""MaxLogit: a pixel is anomalous when even its best class has a low logit."""

from dataclasses import dataclass

from torch import Tensor

from methods._network import NetworkOutput
from methods._posthoc import PostHoc


@dataclass
class MaxLogit(PostHoc):
    """Minus the largest of the 19 logits."""

    paper = "https://arxiv.org/abs/1911.11132"  # Hendrycks et al.

    def score(self, output: NetworkOutput) -> Tensor:
        return -output.best[0]
