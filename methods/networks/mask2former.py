"""Mask2Former with Swin Transformers: queries that each vote for a class and draw a mask."""

import functools
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Mask2FormerConfig, Mask2FormerModel, SwinConfig

from methods._network import (
    CLASSES,
    IMAGENET_MEAN,
    IMAGENET_STD,
    Network,
    Source,
    semantic_scores,
)
from methods.networks import _mask2former_layout

VARIANTS = {
    "mask2former-swin-t": "Mask2FormerSwinT",
    "mask2former-swin-s": "Mask2FormerSwinS",
    "mask2former-swin-b": "Mask2FormerSwinB",
    "mask2former-swin-l": "Mask2FormerSwinL",
}
STRIDE = 4  # of the masks
LEVELS = 3  # of features, at strides 32, 16 and 8, in the authors' networks
DIVISOR = 32  # sides are padded to a multiple of it

# Size -> width, blocks, heads and window of the Swin Transformer.
SWIN = {
    "t": (96, (2, 2, 6, 2), (3, 6, 12, 24), 7),
    "s": (96, (2, 2, 18, 2), (3, 6, 12, 24), 7),
    "b": (128, (2, 2, 18, 2), (4, 8, 16, 32), 12),
    "l": (192, (2, 2, 18, 2), (6, 12, 24, 48), 12),
}
# Size -> parameters, mIoU on Cityscapes val, size in the hub's words, revision there, file.
PICKLED, SAFE = "pytorch_model.bin", "model.safetensors"
HUB = {
    "t": (47_405_966, 82.1, "tiny", "", PICKLED),
    "s": (68_723_870, 82.6, "small", "1912384c50096aeb29d4504e5a1dd7fe76a8ac2c", PICKLED),
    "b": (106_888_524, 83.3, "base-IN21k", "985f83c340959f05ab07ecece2f16ee7af9d89d9", PICKLED),
    "l": (215_455_112, 83.3, "large", "20ef8af5f1dd4f9f1548f64870cb6c0c3f5e5c19", SAFE),
}


class _Mask2Former(Network):
    """The authors' Cityscapes networks for semantic segmentation, through `transformers`.

    "logits" are the scores of semantic inference (see `semantic_scores`) and "features" the
    pixel embeddings that the masks are drawn from; both, and "mask_logits", have stride 4. The
    batch is padded with zeros to a multiple of 32 below and on the right, and masks are cropped.

    Loads checkpoints of the hub and of the authors' own code, as detectron2 saves them. RbA's
    networks have one layer and one level of features, that of stride 32 (RbA's configurations,
    ckpts/*_1dl*/config.yaml): both numbers are taken from the checkpoint.
    """

    paper = "https://arxiv.org/abs/2112.01527"  # Cheng et al., CVPR 2022
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    # The loss's class weights; positions that later versions of transformers compute; a
    # normalisation behind the encoder that nothing reads; and ImageNet's statistics.
    spare = (
        "criterion.*",
        "*.relative_position_index",
        "model.pixel_level_module.encoder.swin.layernorm.*",
        "pixel_mean",
        "pixel_std",
    )
    size = ""
    layers = 9  # that refine the queries
    levels = LEVELS  # of features that the pixel decoder and the queries attend to

    def __init_subclass__(cls, *, size: str) -> None:
        parameters, miou, name, revision, file = HUB[size]
        repository = f"facebook/mask2former-swin-{name}-cityscapes-semantic"
        cls.size, cls.parameters_expected = size, parameters
        cls.title = f"Mask2Former Swin-{size.upper()}"
        cls.sources = (
            Source(
                f"hf://{repository}{'@' * bool(revision)}{revision}/{file}",
                sha256="",
                licence="CC BY-NC 4.0",
                note=f"trained on Cityscapes by the authors, who state {miou} mIoU on val",
            ),
        )

    def __init__(self) -> None:
        super().__init__()
        width, depths, heads, window = SWIN[self.size]
        swin = SwinConfig(
            image_size=384,
            embed_dim=width,
            depths=list(depths),
            num_heads=list(heads),
            window_size=window,
            drop_path_rate=0.3,
            out_features=["stage1", "stage2", "stage3", "stage4"],
        )
        config = Mask2FormerConfig(
            backbone_config=swin,
            num_labels=CLASSES,
            decoder_layers=self.layers + 1,  # one prediction more than layers
        )
        self.model = Mask2FormerModel(config)
        if self.levels != LEVELS:
            _set_levels(self.model, self.levels)
        encoder = getattr(self.model.pixel_level_module.encoder, "swin", None)
        if encoder is not None:  # transformers 5 computes, and no stage reads, a last layer there
            encoder.layernorm = nn.Identity()
        self.class_predictor = nn.Linear(self.model.config.hidden_dim, CLASSES + 1)

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        height, width = batch.shape[-2:]
        padded = F.pad(batch, (0, -width % DIVISOR, 0, -height % DIVISOR))
        found = self.model(padded, output_hidden_states=True)
        queries = found.transformer_decoder_intermediate_states[-1].transpose(0, 1)
        rows, columns = -(-height // STRIDE), -(-width // STRIDE)
        class_logits = self.class_predictor(queries)
        mask_logits = found.masks_queries_logits[-1][..., :rows, :columns]
        return {
            "logits": semantic_scores(class_logits, mask_logits),
            "features": found.pixel_decoder_last_hidden_state[..., :rows, :columns],
            "class_logits": class_logits,
            "mask_logits": mask_logits,
        }

    @classmethod
    def fitting(cls, state: Mapping[str, Tensor]) -> type[Network]:
        """The form of this network with as many layers and levels as `state` has."""
        layers, levels = _mask2former_layout.depth(state)
        layers, levels = layers or cls.layers, levels if 0 < levels <= LEVELS else cls.levels
        return cls if (layers, levels) == (cls.layers, cls.levels) else _form(cls, layers, levels)

    def translated(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`state` of the hub or of the authors' code, under the names here."""
        return _mask2former_layout.translated(Network.translated(state), self.state_dict())


class Mask2FormerSwinT(_Mask2Former, size="t"):
    pass


class Mask2FormerSwinS(_Mask2Former, size="s"):
    pass


class Mask2FormerSwinB(_Mask2Former, size="b"):
    pass


class Mask2FormerSwinL(_Mask2Former, size="l"):
    pass


@functools.cache
def _form(cls: type[_Mask2Former], layers: int, levels: int) -> type[_Mask2Former]:
    form = type(cls.__name__, (cls,), {"layers": layers, "levels": levels}, size=cls.size)
    form.parameters_expected = 0  # none is published
    return form


def _set_levels(model: Mask2FormerModel, levels: int) -> None:
    """Lets `model` attend to the coarsest `levels` of features alone.

    `transformers` builds the authors' three. The maps of all finer stages join as those of the
    first stage do there: mapped by 1x1, added to the upsampled map before, and mapped by 3x3.
    """
    queries, decoder = model.transformer_module, model.pixel_level_module.decoder
    width = model.config.feature_size
    for module in (queries, queries.decoder, decoder):
        module.num_feature_levels = levels
    queries.level_embed = nn.Embedding(levels, width)
    queries.input_projections = queries.input_projections[:levels]
    decoder.level_embed = nn.Parameter(torch.zeros(levels, width))
    decoder.input_projections = decoder.input_projections[:levels]
    for layer in decoder.encoder.layers:
        attention = layer.self_attn
        places = attention.n_heads * levels * attention.n_points
        attention.n_levels = levels
        attention.sampling_offsets = nn.Linear(width, 2 * places)
        attention.attention_weights = nn.Linear(width, places)
    finer = decoder.feature_channels[: len(decoder.feature_channels) - levels]
    decoder.num_fpn_levels = len(finer)
    decoder.lateral_convolutions, decoder.output_convolutions = [], []  # the coarsest first
    for number, channels in reversed(list(enumerate(finer, start=1))):
        lateral = nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.GroupNorm(32, width))
        output = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(32, width), nn.ReLU()
        )
        decoder.add_module(f"adapter_{number}", lateral)
        decoder.add_module(f"layer_{number}", output)
        decoder.lateral_convolutions.append(lateral)
        decoder.output_convolutions.append(output)
