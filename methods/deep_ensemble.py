"""Deep ensemble: a pixel is anomalous when networks trained apart are uncertain or disagree."""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from harness.errors import MethodError
from methods._mixture import Measure, MixedOutput, mixed
from methods._network import Network, NetworkOutput, network_weights_path
from methods._posthoc import PostHoc


@dataclass
class DeepEnsemble(PostHoc):
    """The uncertainty of the mean softmax of several networks, in [0, 1].

    With p the mean and p_k the prediction of one member: predictive entropy -sum p ln p / ln 19,
    expected entropy (the mean of that of the p_k), and mutual information (their difference).

    The members are one network with several files of weights: that of `weights` and those of
    `members`. Classes and confidence are those of p. Probabilities are averaged and scored at
    the network's resolution, then upsampled; the paper classifies whole images.
    """

    paper = "https://arxiv.org/abs/1612.01474"  # Lakshminarayanan et al., NeurIPS 2017
    local = False

    upsample: Literal["score"] = "score"
    members: tuple[str, ...] = ()  # files of weights beside the first, which is `weights`
    measure: Measure = "predictive_entropy"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.members:
            raise MethodError(
                "deep_ensemble needs several files of weights of one network; give the first as "
                "--weights A and the others as --set members=B,C."
            )

    def forward_key(self) -> Hashable:
        return (super().forward_key(), "deep_ensemble", self.members)

    def weights_files(self) -> Mapping[str, Path]:
        further = {
            f"member {number}": network_weights_path(self.network, weights)
            for number, weights in enumerate(self.members, start=2)
        }
        return {**super().weights_files(), **further}

    def score(self, output: NetworkOutput) -> Tensor:
        assert isinstance(output, MixedOutput), "made below"
        return output.mixture.uncertainty(self.measure)

    def _output(self, batch: Tensor) -> NetworkOutput:
        def logits() -> Iterator[Tensor]:
            for network in (self._loaded, *self._further):
                yield self._said(network, batch).logits

        mixture = mixed(logits())
        log_p = mixture.probabilities.clamp(min=torch.finfo(torch.float32).tiny).log()
        return MixedOutput(log_p, align_corners=self._loaded.align_corners, mixture=mixture)

    def _given_weights(self) -> tuple[str, ...]:
        return (self.weights, *self.members)

    @cached_property
    def _further(self) -> list[Network]:
        return [self._network_with(weights) for weights in self.members]
