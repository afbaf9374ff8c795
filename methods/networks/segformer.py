"""SegFormer B0 to B5: Mix Transformer encoder and a decoder of 1x1 convolutions, in two forms."""

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods._network import (
    CLASSES,
    IMAGENET_MEAN,
    IMAGENET_STD,
    Network,
    Source,
    network_class,
)
from methods.networks import _mix_transformer
from methods.networks._mix_transformer import MixTransformer
from methods.networks._mmsegmentation import SPARE, ConvModule, resized

VARIANTS = {
    "segformer-b0": "SegFormerB0",
    "segformer-b1": "SegFormerB1",
    "segformer-b2": "SegFormerB2",
    "segformer-b3": "SegFormerB3",
    "segformer-b4": "SegFormerB4",
    "segformer-b5": "SegFormerB5",
    "segformer-b0-mmseg": "MMSegFormerB0",
    "segformer-b1-mmseg": "MMSegFormerB1",
    "segformer-b2-mmseg": "MMSegFormerB2",
    "segformer-b3-mmseg": "MMSegFormerB3",
    "segformer-b4-mmseg": "MMSegFormerB4",
    "segformer-b5-mmseg": "MMSegFormerB5",
}

# Size -> channels and blocks of the four stages.
SIZES = {
    "b0": ((32, 64, 160, 256), (2, 2, 2, 2)),
    "b1": ((64, 128, 320, 512), (2, 2, 2, 2)),
    "b2": ((64, 128, 320, 512), (3, 4, 6, 3)),
    "b3": ((64, 128, 320, 512), (3, 4, 18, 3)),
    "b4": ((64, 128, 320, 512), (3, 8, 27, 3)),
    "b5": ((64, 128, 320, 512), (3, 6, 40, 3)),
}
# Size -> parameters, revision and file on the hub, mIoU on Cityscapes val that the paper states.
HUB = {
    "b0": (3_719_027, "7020ce8c54ed68bdba9aad417953ba50ecb5b3cd", "pytorch_model.bin", 76.2),
    "b1": (13_682_131, "5115c12804e03b7f7c404016604dcaa4f6dc1eb5", "pytorch_model.bin", 78.5),
    "b2": (27_361_235, "b0beeb6e8376d9d4160654550df42596134ea567", "pytorch_model.bin", 81.0),
    "b3": (47_237_075, "7fd6d07f04d2511d4efd22e0fd99c004555433b6", "pytorch_model.bin", 81.7),
    "b4": (64_007_635, "76306c5b0d7433c06afe9576680ef19f8406bc9c", "pytorch_model.bin", 82.3),
    "b5": (84_607_955, "b6e4c4143a549ac9cf16ee2ea222ab01959d9e04", "model.safetensors", 82.4),
}
# Size -> parameters, the end of the file's name, mIoU on Cityscapes val that OpenMMLab states.
OPENMMLAB = {
    "b0": (3_720_051, "20211208_101857-e7f88502", 76.54),
    "b1": (13_683_155, "20211208_064213-655c7b3f", 78.56),
    "b2": (24_728_019, "20211207_134205-6096669a", 81.08),
    "b3": (44_603_859, "20211206_224823-a8f8a177", 81.94),
    "b4": (61_374_419, "20211207_080709-07f6c333", 81.89),
    "b5": (81_974_739, "20211206_072934-87a052ec", 82.25),
}

# Names of the authors', of transformers 5 and of smp -> names in `_LinearHead`.
_HEAD_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^decode_head\.linear_c([1-4])\.", lambda m: f"decode_head.linear_c.{int(m[1]) - 1}."),
        (r"^decode_head\.linear_fuse\.conv\.", "decode_head.linear_fuse."),
        (r"^decode_head\.linear_fuse\.bn\.", "decode_head.batch_norm."),
        (r"^decode_head\.linear_pred\.", "decode_head.classifier."),
        (r"^decode_head\.linear_projections\.", "decode_head.linear_c."),
        (
            r"^decoder\.mlp_stage\.([0-3])\.linear\.",
            lambda m: f"decode_head.linear_c.{3 - int(m[1])}.proj.",
        ),
        (r"^decoder\.fuse_stage\.0\.", "decode_head.linear_fuse."),
        (r"^decoder\.fuse_stage\.1\.", "decode_head.batch_norm."),
        (r"^segmentation_head\.0\.", "decode_head.classifier."),
    )
]


class _SegFormer(Network):
    """What both forms share; logits and features (the fused maps) have stride 4."""

    paper = "https://arxiv.org/abs/2105.15203"  # Xie et al., NeurIPS 2021
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    size = ""

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        features = self.decode_head(self.backbone(batch))
        logits = self.classify(self.decode_head.dropout(features))
        return {"logits": logits, "features": features}


class _HubSegFormer(_SegFormer):
    """The authors' form, as `transformers` has it: linear maps, fused from the coarsest on.

    Loads checkpoints of the hub (NVIDIA's and smp-hub's), of the authors' own code and, as its
    sibling with `-mmseg` in its name, of MMSegmentation.
    """

    spare = ("decode_head.conv_seg.*",)  # unused in the authors' own code

    def __init_subclass__(cls, *, size: str) -> None:
        parameters, revision, file, miou = HUB[size]
        repository = f"nvidia/segformer-{size}-finetuned-cityscapes-1024-1024"
        cls.size, cls.title, cls.parameters_expected = size, f"SegFormer-{size.upper()}", parameters
        cls.sources = (
            Source(
                f"hf://{repository}@{revision}/{file}",
                sha256="",
                licence="NVIDIA Source Code License, non-commercial",
                note=f"trained on Cityscapes by the authors; the paper states {miou} mIoU on val",
            ),
        )

    def __init__(self) -> None:
        super().__init__()
        widths, depths = SIZES[self.size]
        self.backbone = MixTransformer(widths, depths, eps=1e-5)
        self.decode_head = _LinearHead(widths, 256 if self.size in ("b0", "b1") else 768)

    def classify(self, features: Tensor) -> Tensor:
        return self.decode_head.classifier(features)

    @classmethod
    def fitting(cls, state: Mapping[str, Tensor]) -> type[Network]:
        """The MMSegmentation form where `state` has its decoder, else this one."""
        if any("decode_head.fusion_conv." in key for key in state):
            return network_class(f"segformer-{cls.size}-mmseg")
        return cls

    @staticmethod
    def translated(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`state` of the hub, of the authors or of segmentation_models_pytorch, in names here."""
        encoder, found = {}, {}
        for key, value in Network.translated(state).items():
            if key.startswith(("decode_head.", "decoder.", "segmentation_head.")):
                for pattern, replacement in _HEAD_RULES:
                    key = pattern.sub(replacement, key)
                found[key] = value
            else:
                encoder[key.removeprefix("segformer.").removeprefix("backbone.")] = value
        for key, value in _mix_transformer.translated(encoder).items():
            found[f"backbone.{key}"] = value
        return found


class _MMSegFormer(_SegFormer):
    """The form that MMSegmentation trains: normalised, rectified maps, fused from the finest on.

    FlowEneDet and the disentangled-calibrated method start from it. Attribute names are those of
    its checkpoints.
    """

    spare = SPARE

    def __init_subclass__(cls, *, size: str) -> None:
        parameters, file, miou = OPENMMLAB[size]
        cls.size, cls.parameters_expected = size, parameters
        cls.title = f"SegFormer-{size.upper()} (MMSegmentation)"
        name = f"segformer_mit-{size}_8x1_1024x1024_160k_cityscapes"
        cls.sources = (
            Source(
                f"https://download.openmmlab.com/mmsegmentation/v0.5/segformer/{name}/"
                f"{name}_{file}.pth",
                sha256=file.rsplit("-", 1)[-1],
                licence="Apache-2.0",
                note=f"trained on Cityscapes by OpenMMLab, who state {miou} mIoU on its val split",
            ),
        )

    def __init__(self) -> None:
        super().__init__()
        widths, depths = SIZES[self.size]
        self.backbone = MixTransformer(widths, depths, eps=1e-6)
        self.decode_head = _ConvolutionHead(widths, 256)

    def classify(self, features: Tensor) -> Tensor:
        return self.decode_head.conv_seg(features)


class SegFormerB0(_HubSegFormer, size="b0"):
    pass


class SegFormerB1(_HubSegFormer, size="b1"):
    pass


class SegFormerB2(_HubSegFormer, size="b2"):
    pass


class SegFormerB3(_HubSegFormer, size="b3"):
    pass


class SegFormerB4(_HubSegFormer, size="b4"):
    pass


class SegFormerB5(_HubSegFormer, size="b5"):
    pass


class MMSegFormerB0(_MMSegFormer, size="b0"):
    pass


class MMSegFormerB1(_MMSegFormer, size="b1"):
    pass


class MMSegFormerB2(_MMSegFormer, size="b2"):
    pass


class MMSegFormerB3(_MMSegFormer, size="b3"):
    pass


class MMSegFormerB4(_MMSegFormer, size="b4"):
    pass


class MMSegFormerB5(_MMSegFormer, size="b5"):
    pass


class _LinearHead(nn.Module):
    def __init__(self, widths: Sequence[int], width: int) -> None:
        super().__init__()
        self.linear_c = nn.ModuleList(
            nn.Sequential(OrderedDict(proj=nn.Linear(each, width))) for each in widths
        )
        self.linear_fuse = nn.Conv2d(width * len(widths), width, 1, bias=False)
        self.batch_norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout2d(0.1)
        self.classifier = nn.Conv2d(width, CLASSES, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        parts = [
            linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            for linear, x in zip(self.linear_c, maps, strict=True)
        ]
        fused = _fused(parts[::-1], self.linear_fuse.weight, maps[0].shape[-2:])
        return F.relu(self.batch_norm(fused))


class _ConvolutionHead(nn.Module):
    def __init__(self, widths: Sequence[int], width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(ConvModule(each, width, 1) for each in widths)
        self.fusion_conv = ConvModule(width * len(widths), width, 1)
        self.dropout = nn.Dropout2d(0.1)
        self.conv_seg = nn.Conv2d(width, CLASSES, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        parts = [conv(x) for conv, x in zip(self.convs, maps, strict=True)]
        fusion = self.fusion_conv
        return F.relu(fusion.bn(_fused(parts, fusion.conv.weight, maps[0].shape[-2:])))


def _fused(parts: Sequence[Tensor], weight: Tensor, size: tuple[int, ...]) -> Tensor:
    """What a 1x1 convolution makes of all `parts`, brought to `size` and put side by side.

    Both are linear and neither mixes what the other does, so each part is convolved at its own
    size: a third of the arithmetic, and the wide map at full size never exists.
    """
    shares = torch.split(weight, [part.shape[1] for part in parts], dim=1)
    total, *others = (F.conv2d(part, share) for part, share in zip(parts, shares, strict=True))
    total = resized(total, size)
    for other in others:
        total += resized(other, size)
    return total
