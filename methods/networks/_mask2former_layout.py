"""Names in checkpoints of Mask2Former: its authors', the hub's, and those of `transformers` 5."""

import re
from collections.abc import Iterator, Mapping

from torch import Tensor

_ENCODER = "model.pixel_level_module.encoder."
_DECODER = "model.pixel_level_module.decoder."
_QUERIES = "model.transformer_module."

_Rules = list[tuple[re.Pattern[str], str]]


def _rules(*rules: tuple[str, str]) -> _Rules:
    return [(re.compile(pattern), replacement) for pattern, replacement in rules]


_PIXEL_DECODER_RULES = _rules(
    (r"^transformer\.", ""),
    (r"^input_proj\.", "input_projections."),
    (r"^mask_features\.", "mask_projection."),
    (r"^((?:adapter|layer)_\d)\.norm\.", r"\1.1."),
    (r"^((?:adapter|layer)_\d)\.(?=weight$|bias$)", r"\1.0."),
    (r"^(encoder\..*)\.linear([12])\.", r"\1.fc\2."),
    (r"^(encoder\..*)\.norm1\.", r"\1.self_attn_layer_norm."),
    (r"^(encoder\..*)\.norm2\.", r"\1.final_layer_norm."),
)
# How the authors' names (detectron2's checkpoints) begin -> how the hub's do, and rules for the
# rest of the name. The first that fits counts.
_AUTHORS: dict[str, tuple[str, _Rules]] = {
    "backbone.": (
        _ENCODER,
        _rules(
            (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
            (r"^patch_embed\.", "embeddings."),
            *((rf"^norm{stage}\.", f"hidden_states_norms.stage{stage + 1}.") for stage in range(4)),
            (r"^layers\.", "encoder.layers."),
            (r"\.norm1\.", ".layernorm_before."),
            (r"\.norm2\.", ".layernorm_after."),
            (r"\.attn\.proj\.", ".attention.output.dense."),
            (r"\.attn\.", ".attention.self."),
            (r"\.mlp\.fc1\.", ".intermediate.dense."),
            (r"\.mlp\.fc2\.", ".output.dense."),
        ),
    ),
    "sem_seg_head.predictor.class_embed.": ("class_predictor.", []),
    "sem_seg_head.predictor.": (
        _QUERIES,
        _rules(
            (r"^(query_feat|static_query)\.", "queries_features."),  # the second: of older files
            (r"^query_embed\.", "queries_embedder."),
            (r"^decoder_norm\.", "decoder.layernorm."),
            (r"^mask_embed\.layers\.(\d+)\.", r"decoder.mask_predictor.mask_embedder.\1.0."),
            (r"^transformer_ffn_layers\.(\d+)\.linear([12])\.", r"decoder.layers.\1.fc\2."),
            (r"^transformer_ffn_layers\.(\d+)\.norm\.", r"decoder.layers.\1.final_layer_norm."),
            (
                r"^transformer_(self|cross)_attention_layers\.(\d+)\.norm\.",
                r"decoder.layers.\2.\1_attn_layer_norm.",
            ),
            (
                r"^transformer_(self|cross)_attention_layers\.(\d+)\.(self|multihead)_attn\.",
                r"decoder.layers.\2.\1_attn.",
            ),
        ),
    ),
    "sem_seg_head.pixel_decoder.": (_DECODER, _PIXEL_DECODER_RULES),
    "sem_seg_head.": (_DECODER, _PIXEL_DECODER_RULES),  # of older files
}
# The authors keep the maps to queries, keys and values in one matrix, in this order. The hub does
# so too where queries read features (`cross_attn`), but not in these:
_FUSED = {
    ".attention.self.qkv.": (
        ".attention.self.query.",
        ".attention.self.key.",
        ".attention.self.value.",
    ),
    ".self_attn.in_proj_": (".self_attn.q_proj.", ".self_attn.k_proj.", ".self_attn.v_proj."),
}
# Names on the hub -> names that transformers 5 gives the Swin Transformer.
_SWIN_RULES = _rules(
    *(
        (rf"^({re.escape(_ENCODER)}){pattern}", replacement)
        for pattern, replacement in (
            (r"(embeddings|encoder)\.", r"\1swin.\2."),
            (r"(.*)\.attention\.self\.query\.", r"\1\2.attention.q_proj."),
            (r"(.*)\.attention\.self\.key\.", r"\1\2.attention.k_proj."),
            (r"(.*)\.attention\.self\.value\.", r"\1\2.attention.v_proj."),
            (
                r"(.*)\.attention\.self\.relative_position_bias_table",
                r"\1\2.attention.relative_position_bias.relative_position_bias_table",
            ),
            (r"(.*)\.attention\.output\.dense\.", r"\1\2.attention.o_proj."),
            (r"(.*)\.intermediate\.dense\.", r"\1\2.mlp.fc1."),
            (r"(.*)\.output\.dense\.", r"\1\2.mlp.fc2."),
        )
    )
)
_LAYER = re.compile(
    r"(?:predictor\.transformer_ffn_layers|transformer_module\.decoder\.layers)\.(\d+)\."
)
_LEVELS = re.compile(
    r"(?:sem_seg_head(?:\.pixel_decoder)?\.transformer|pixel_level_module\.decoder)\.level_embed$"
)


def translated(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state`, in any of the layouts, under the names of the network's state dict `own`.

    An entry for which there is no such name, or whose name another one has taken, keeps its own.
    """
    found: dict[str, Tensor] = {}
    for key, value in state.items():
        parts = dict(_parts(_on_the_hub(key), value))
        if any(name not in own for name in parts):
            parts = {_renamed(name, _SWIN_RULES): part for name, part in parts.items()}
        fits = all(name in own and name not in found for name in parts)
        found |= parts if fits else {key: value}
    return found


def depth(state: Mapping[str, Tensor]) -> tuple[int, int]:
    """How many layers refine the queries in `state`, and how many levels of features there are.

    The levels are those between which the pixel decoder attends. 0 where nothing says so.
    """
    layers = {match[1] for key in state if (match := _LAYER.search(key))}
    levels = [len(value) for key, value in state.items() if _LEVELS.search(key) and value.ndim]
    return len(layers), max(levels, default=0)


def _on_the_hub(key: str) -> str:
    for beginning, (replacement, rules) in _AUTHORS.items():
        if key.startswith(beginning):
            return replacement + _renamed(key.removeprefix(beginning), rules)
    return key


def _renamed(key: str, rules: _Rules) -> str:
    for pattern, replacement in rules:
        key = pattern.sub(replacement, key)
    return key


def _parts(key: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    for fused, parts in _FUSED.items():
        if fused in key and value.ndim and len(value) % len(parts) == 0:
            names = (key.replace(fused, part) for part in parts)
            yield from zip(names, value.chunk(len(parts)), strict=True)
            return
    yield key, value
