"""Void class: a pixel is anomalous when the network takes it for what training left unlabelled."""

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import MethodError
from methods._network import NetworkOutput, network_class, network_names
from methods._posthoc import PostHoc


@dataclass
class VoidClass(PostHoc):
    """The softmax probability, over all outputs, of the extra class trained on void pixels."""

    paper = "https://arxiv.org/abs/1904.03215"  # Blum et al., Fishyscapes

    def __post_init__(self) -> None:
        super().__post_init__()
        if not network_class(self.network).extra_is_void:
            having = [name for name in network_names() if network_class(name).extra_is_void]
            raise MethodError(
                f"void_class needs a network with an output trained on void pixels, and "
                f"{self.network} has none; use --network {' or '.join(having)}."
            )

    def score(self, output: NetworkOutput) -> Tensor:
        assert output.extra is not None  # the network has void, see above
        return torch.cat([output.logits, output.extra]).softmax(dim=0)[len(output.logits)]
