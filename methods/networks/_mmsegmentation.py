"""Blocks under the names of MMSegmentation's checkpoints, and what these carry beside networks."""

import torch.nn.functional as F
from torch import Tensor, nn

# Auxiliary classifiers serve training alone; the rest belongs to FlowEneDet and to scores that
# its code keeps in the decode head (class statistics, smoothing kernels, the flow with its tied
# duplicates and empty tensors).
SPARE = (
    "auxiliary_head.*",
    "decode_head.class_means",
    "decode_head.class_vars",
    "decode_head.post_processor.*",
    "decode_head.flow_model.*",
)


class ConvModule(nn.Module):
    """A convolution that keeps the size, normalisation and ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, dilation: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv2d(
            inputs, outputs, kernel,
            padding=padding, dilation=dilation, groups=groups, bias=False,
        )  # fmt: skip
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class SeparableConvModule(nn.Module):
    """A 3x3 convolution of each channel, then a 1x1 convolution across channels."""

    def __init__(self, inputs: int, outputs: int, *, dilation: int = 1) -> None:
        super().__init__()
        self.depthwise_conv = ConvModule(inputs, inputs, 3, dilation=dilation, groups=inputs)
        self.pointwise_conv = ConvModule(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise_conv(self.depthwise_conv(x))


def resized(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """`x` at another size, bilinear between the centres of pixels; `x` itself if it has it."""
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
