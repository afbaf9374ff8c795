"""Entropy: a pixel is anomalous when the probability is spread over many classes."""

import math
from dataclasses import dataclass

from torch import Tensor

from methods._network import CLASSES, NetworkOutput
from methods._posthoc import PostHoc


@dataclass
class Entropy(PostHoc):
    """-sum p ln p over the 19 softmax probabilities, divided by ln 19: in [0, 1]."""

    paper = "https://arxiv.org/abs/2012.06575"  # Chan et al.

    def score(self, output: NetworkOutput) -> Tensor:
        log_p = output.logits.log_softmax(dim=0)
        return log_p.exp().mul_(log_p).sum(dim=0) / -math.log(CLASSES)
