"""ESPNetv2 (scale 2.0): pyramids of dilated depth-wise convolutions, 0.8 million parameters."""

import math
import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods._network import IMAGENET_MEAN, IMAGENET_STD, Network, Source

WIDTHS = (32, 128, 256, 512)  # channels at strides 2, 4, 8 and 16
BRANCHES = 4
POOL_SCALES = (2.0, 1.5, 1.0, 0.5, 0.1)
POOL_WIDTH = 10


class ESPNetv2(Network):
    """The authors' Cityscapes network; attribute names are those of their checkpoint."""

    paper = "https://arxiv.org/abs/1811.11431"  # Mehta et al., CVPR 2019
    title = "ESPNetv2 (s = 2.0)"
    outputs = 20  # the 20th was never trained: unlabelled pixels were ignored
    input_size = (512, 1024)
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    sources = (
        Source(
            "https://raw.githubusercontent.com/sacmehta/EdgeNets/"
            "2b232d3f7fb60658755dad1ebca0ffc895cc795e/"
            "model/segmentation/model_zoo/espnetv2/espnetv2_s_2.0_city_1024x512.pth",
            sha256="a72d59699801c7ce8e8b89a53af9097eaaa60dc12180ecde86fd700ba1222fe8",
            licence="MIT",
            note="trained on Cityscapes by the authors, who state 66.4 mIoU on its val split",
        ),
    )
    parameters_expected = 789_242

    def __init__(self) -> None:
        super().__init__()
        self.base_net = _Encoder()
        self.bu_dec_l1 = _PyramidPool(WIDTHS[3], 64)
        self.bu_dec_l2 = _PyramidPool(64, 48)
        self.bu_dec_l3 = _PyramidPool(48, 32)
        self.bu_dec_l4 = _PyramidPool(32, self.outputs, last=True)
        self.merge_enc_dec_l2 = _Skip(WIDTHS[2], 64)
        self.merge_enc_dec_l3 = _Skip(WIDTHS[1], 48)
        self.merge_enc_dec_l4 = _Skip(WIDTHS[0], 32)
        self.bu_br_l2, self.bu_br_l3, self.bu_br_l4 = map(_norm_act, (64, 48, 32))

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        stride2, stride4, stride8, stride16 = self.base_net(batch)
        x = self.bu_dec_l1(stride16)
        x = self.bu_dec_l2(self.bu_br_l2(_add_upsampled(self.merge_enc_dec_l2(stride8), x)))
        x = self.bu_dec_l3(self.bu_br_l3(_add_upsampled(self.merge_enc_dec_l3(stride4), x)))
        x = self.bu_br_l4(_add_upsampled(self.merge_enc_dec_l4(stride2), x))
        features = self.bu_dec_l4.features(x)
        logits = self.brought(self.classify(features), batch.shape[-2:])
        return {"logits": logits, "features": features}

    def classify(self, features: Tensor) -> Tensor:
        return self.bu_dec_l4.merge_layer[-1](features)

    def brought(self, logits: Tensor, size: tuple[int, ...]) -> Tensor:
        """The logits of `classify` at the (h, w) `size` of the batch, corners on corners."""
        return _stretched(logits, size)

    @staticmethod
    def translated(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`state` with the positions that layers have here in a `Sequential`."""
        places = {"conv": "0", "bn": "1", "act": "2"}
        found = {}
        for key, value in Network.translated(state).items():
            key = re.sub(r"(\.br|\.\d|_layer)\.(?:cbr|br)\.(\d)", r"\1.\2", key)
            key = re.sub(r"(spp_dw\.\d)\.conv", r"\1", key)
            key = key.replace("br_after_cat.bn", "br_after_cat.0")
            key = key.replace("br_after_cat.act", "br_after_cat.1")
            key = re.sub(
                r"(level1|proj_1x1|conv_1x1_exp|inp_reinf\.\d)\.(conv|bn|act)\.",
                lambda match: f"{match[1]}.{places[match[2]]}.",
                key,
            )
            found[key] = value
        return found


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        stride2, stride4, stride8, stride16 = WIDTHS
        self.level1 = _conv_norm_act(3, stride2, kernel=3, stride=2)
        self.level2_0 = _Downsampler(stride2, stride4)
        self.level3_0 = _Downsampler(stride4, stride8)
        self.level3 = nn.Sequential(*(_EESP(stride8, stride8) for _ in range(3)))
        self.level4_0 = _Downsampler(stride8, stride16)
        self.level4 = nn.Sequential(
            *(_EESP(stride16, stride16, dilations=(1, 1, 2, 3)) for _ in range(7))
        )

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        images = [image]  # at strides 1, 2, 4, 8 and 16
        for _ in range(4):
            images.append(_halved(images[-1]))
        stride2 = self.level1(image)
        stride4 = self.level2_0(stride2, images[2])
        stride8 = self.level3(self.level3_0(stride4, images[3]))
        stride16 = self.level4(self.level4_0(stride8, images[4]))
        return stride2, stride4, stride8, stride16


class _EESP(nn.Module):
    """Reduce, transform by dilated depth-wise branches that add up in turn, expand."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        stride: int = 1,
        dilations: tuple[int, ...] = (1, 2, 3, 4),
    ) -> None:
        super().__init__()
        width = outputs // BRANCHES
        self.proj_1x1 = _conv_norm_act(inputs, width, kernel=1, groups=BRANCHES)
        self.spp_dw = nn.ModuleList(
            nn.Conv2d(
                width, width, 3, stride, padding=rate, dilation=rate, groups=width, bias=False
            )
            for rate in dilations
        )
        self.br_after_cat = _norm_act(outputs)
        self.conv_1x1_exp = _conv_norm(outputs, outputs, kernel=1, groups=BRANCHES)
        self.module_act = nn.PReLU(outputs)  # a strided block has its weights, but not its use

    def transform(self, x: Tensor) -> Tensor:
        """The block without its shortcut and last activation."""
        reduced = self.proj_1x1(x)
        sums = [self.spp_dw[0](reduced)]
        for branch in self.spp_dw[1:]:
            sums.append(branch(reduced) + sums[-1])
        return self.conv_1x1_exp(self.br_after_cat(torch.cat(sums, dim=1)))

    def forward(self, x: Tensor) -> Tensor:
        return self.module_act(self.transform(x) + x)


class _Downsampler(nn.Module):
    """Half the size: pooled input beside a strided block, plus a view of the image itself."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.eesp = _EESP(inputs, outputs - inputs, stride=2)
        self.inp_reinf = nn.Sequential(
            _conv_norm_act(3, 3, kernel=3), _conv_norm(3, outputs, kernel=1)
        )
        self.act = nn.PReLU(outputs)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        both = torch.cat([_halved(x), self.eesp.transform(x)], dim=1)
        return self.act(both + self.inp_reinf(image))


class _PyramidPool(nn.Module):
    """Depth-wise convolutions at five scales, shuffled and merged (efficient pyramid pooling)."""

    def __init__(self, inputs: int, outputs: int, *, last: bool = False) -> None:
        super().__init__()
        width, all_scales = POOL_WIDTH, POOL_WIDTH * len(POOL_SCALES)
        self.projection_layer = _conv_norm_act(inputs, width, kernel=1)
        self.stages = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False) for _ in POOL_SCALES
        )
        self.merge_layer = nn.Sequential(
            _norm_act(all_scales),
            nn.ChannelShuffle(len(POOL_SCALES)),
            _conv_norm_act(all_scales, width, kernel=3, groups=width),
            nn.Conv2d(width, outputs, 1, bias=last),
        )
        self.br = nn.Identity() if last else _norm_act(outputs)

    def features(self, x: Tensor) -> Tensor:
        """The input of the last convolution."""
        x = self.projection_layer(x)
        size = x.shape[-2:]
        scales = []
        for scale, stage in zip(POOL_SCALES, self.stages, strict=True):
            scaled = tuple(max(math.ceil(side * scale), 5) for side in size)
            if scale > 1:
                y = F.adaptive_avg_pool2d(stage(_stretched(x, scaled)), size)
            elif scale < 1:
                y = _stretched(stage(F.adaptive_avg_pool2d(x, scaled)), size)
            else:
                y = stage(x)
            scales.append(y)
        return self.merge_layer[:-1](torch.cat(scales, dim=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.br(self.merge_layer[-1](self.features(x)))


class _Skip(nn.Module):
    """Encoder features for the decoder, each channel weighed by a gate seen from afar."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.wt_layer = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, outputs, 1, bias=False), nn.Sigmoid()
        )
        groups = math.gcd(inputs, outputs)
        self.expansion_layer = _conv_norm_act(inputs, outputs, kernel=3, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        return self.expansion_layer(x) * self.wt_layer(x)


def _conv_norm(
    inputs: int, outputs: int, *, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    conv = nn.Conv2d(
        inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def _conv_norm_act(
    inputs: int, outputs: int, *, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    block = _conv_norm(inputs, outputs, kernel=kernel, stride=stride, groups=groups)
    return block.append(nn.PReLU(outputs))


def _norm_act(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.PReLU(channels))


def _halved(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, kernel_size=3, stride=2, padding=1)


def _stretched(x: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


def _add_upsampled(skip: Tensor, x: Tensor) -> Tensor:
    return skip + _stretched(x, skip.shape[-2:])
