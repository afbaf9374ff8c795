"""Energy: a pixel is anomalous when its logits are low taken together."""

import math
from dataclasses import dataclass

from torch import Tensor

from harness.errors import MethodError
from methods._network import NetworkOutput
from methods._posthoc import PostHoc


@dataclass
class Energy(PostHoc):
    """-T logsumexp(logits / T) over the 19 logits; T near 0 gives MaxLogit."""

    paper = "https://arxiv.org/abs/2010.03759"  # Liu et al.

    temperature: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.temperature < math.inf:
            raise MethodError(f"energy: temperature is {self.temperature}; it must be above 0.")

    def score(self, output: NetworkOutput) -> Tensor:
        return -self.temperature * (output.logits / self.temperature).logsumexp(dim=0)
