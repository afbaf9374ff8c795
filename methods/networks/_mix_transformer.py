"""Mix Transformer, the encoder of SegFormer, and its weights under the names of every layout."""

import re
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEADS = (1, 2, 5, 8)  # of attention, by stage
REDUCTIONS = (8, 4, 2, 1)  # how much coarser the keys are than the queries, by stage
EXPANSION = 4  # hidden channels of the feed-forward part per channel
DROP_PATH = 0.1  # of the last block, in training; it grows evenly from 0 at the first


class MixTransformer(nn.Module):
    """Four stages of overlapping patches and attention; gives maps at strides 4, 8, 16 and 32.

    Attribute names are those of MMSegmentation's checkpoints.
    """

    def __init__(self, widths: Sequence[int], depths: Sequence[int], eps: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        inputs, last = 3, sum(depths) - 1
        shares = (DROP_PATH * place / last for place in range(sum(depths)))
        for number, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            kernel, stride = (3, 2) if number else (7, 4)
            blocks = (
                _Block(width, HEADS[number], REDUCTIONS[number], eps, next(shares))
                for _ in range(depth)
            )
            self.layers.append(
                nn.ModuleList(
                    [
                        _PatchEmbedding(inputs, width, kernel, stride, eps),
                        nn.ModuleList(blocks),
                        nn.LayerNorm(width, eps),
                    ]
                )
            )
            inputs = width

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for embedding, blocks, norm in self.layers:
            x = embedding.projection(x)
            size = x.shape[-2:]
            tokens = embedding.norm(_tokens(x))
            for block in blocks:
                tokens = block(tokens, size)
            x = _map(norm(tokens), size)
            maps.append(x)
        return maps


class _PatchEmbedding(nn.Module):
    def __init__(self, inputs: int, width: int, kernel: int, stride: int, eps: float) -> None:
        super().__init__()
        self.projection = nn.Conv2d(inputs, width, kernel, stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(width, eps)


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, reduction: int, eps: float, dropped: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps)
        self.attn = _Attention(width, heads, reduction, eps)
        self.norm2 = nn.LayerNorm(width, eps)
        self.ffn = _FeedForward(width)
        self.drop_path = DropPath(dropped)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens), size))
        return tokens + self.drop_path(self.ffn(self.norm2(tokens), size))


class DropPath(nn.Module):
    """A residual branch; in training it is left out for an image with probability `share`.

    What is kept is scaled up, so that the mean stays (stochastic depth, Huang et al. 2016).
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, branch: Tensor) -> Tensor:
        if not (self.training and self.share):
            return branch
        kept = torch.rand(len(branch), 1, 1, device=branch.device) >= self.share
        return branch * kept / (1 - self.share)


class _Attention(nn.Module):
    """Attention whose keys and values come from a coarser map."""

    def __init__(self, width: int, heads: int, reduction: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.attn = _Projections(width)
        self.sr = None
        if reduction > 1:
            self.sr = nn.Conv2d(width, width, reduction, reduction)
            self.norm = nn.LayerNorm(width, eps)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        coarse = tokens
        if self.sr is not None:
            coarse = self.norm(_tokens(self.sr(_map(tokens, size))))
        width = tokens.shape[-1]
        weight, bias = self.attn.in_proj_weight, self.attn.in_proj_bias
        queries = F.linear(tokens, weight[:width], bias[:width])
        keys, values = F.linear(coarse, weight[width:], bias[width:]).chunk(2, dim=-1)
        queries, keys, values = (
            x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (queries, keys, values)
        )
        seen = F.scaled_dot_product_attention(queries, keys, values)
        return self.attn.out_proj(seen.transpose(1, 2).flatten(2))


class _Projections(nn.Module):
    """Weights of queries, keys and values in one, as `nn.MultiheadAttention` names them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)


class _FeedForward(nn.Module):
    """Two linear layers with a 3x3 convolution of each channel between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = EXPANSION * width
        self.layers = nn.Sequential(
            nn.Conv2d(width, hidden, 1),
            nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden),
            nn.GELU(),
            nn.Identity(),  # dropout, which no published configuration uses
            nn.Conv2d(hidden, width, 1),
        )

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        return _tokens(self.layers(_map(tokens, size)))


def _tokens(x: Tensor) -> Tensor:
    """(B, C, h, w) as (B, h w, C)."""
    return x.flatten(2).transpose(1, 2)


def _map(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, h w, C) as (B, C, h, w); channels last in memory, so nothing is copied."""
    return tokens.transpose(1, 2).unflatten(2, size)


def _embedding(match: re.Match[str]) -> str:
    return f"layers.{int(match[1]) - 1}.0.{match[2].replace('proj', 'projection')}"


# Names of public checkpoints -> names here, tried in order on the part behind the encoder's name.
_BLOCK = r"layers.\1.1.\2."
_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # The hub's layout, and that of a state dict of transformers 5.
        (r"encoder\.patch_embeddings\.(\d)\.proj\b", r"layers.\1.0.projection"),
        (r"encoder\.patch_embeddings\.(\d)\.layer_norm\b", r"layers.\1.0.norm"),
        (r"encoder\.layer_norm\.(\d)\b", r"layers.\1.2"),
        (r"encoder\.block\.(\d)\.(\d+)\.", _BLOCK),
        (r"stages\.(\d)\.patch_embeddings\.proj\b", r"layers.\1.0.projection"),
        (r"stages\.(\d)\.patch_embeddings\.layer_norm\b", r"layers.\1.0.norm"),
        (r"stages\.(\d)\.layer_norm\b", r"layers.\1.2"),
        (r"stages\.(\d)\.blocks\.(\d+)\.", _BLOCK),
        (r"\blayer_norm_([12])\b", r"norm\1"),
        (r"\blayernorm_before\b", "norm1"),
        (r"\blayernorm_after\b", "norm2"),
        (r"\battention\.self\.(query|key|value)\b", lambda m: f"attn.{m[1][0]}"),
        (r"\battention\.([qkv])_proj\b", r"attn.\1"),
        (r"\battention\.(?:output\.dense|o_proj)\b", "attn.attn.out_proj"),
        (r"\battention\.self\.sr\b", "attn.sr"),
        (r"\battention\.self\.layer_norm\b", "attn.norm"),
        (r"\battention\.sequence_reduction\.sequence_reduction\b", "attn.sr"),
        (r"\battention\.sequence_reduction\.layer_norm\b", "attn.norm"),
        # The authors' layout, which segmentation_models_pytorch shares; stages count from 1.
        (r"^(?:encoder\.)?patch_embed([1-4])\.(proj|norm)\b", _embedding),
        (r"^(?:encoder\.)?block([1-4])\.(\d+)\.", lambda m: f"layers.{int(m[1]) - 1}.1.{m[2]}."),
        (r"^(?:encoder\.)?norm([1-4])\b", lambda m: f"layers.{int(m[1]) - 1}.2"),
        (r"\battn\.proj\b", "attn.attn.out_proj"),
        # The feed-forward part is named alike in all.
        (r"\bmlp\.(?:dense1|fc1)\b", "ffn.layers.0"),
        (r"\bmlp\.dwconv\.dwconv\b", "ffn.layers.1"),
        (r"\bmlp\.(?:dense2|fc2)\b", "ffn.layers.4"),
    )
]


def translated(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An encoder's `state`, in any layout in circulation, under the names used here.

    Queries, keys and values become one matrix, linear feed-forward layers 1x1 convolutions. What
    no rule knows keeps its name.
    """
    found = {}
    for key, value in state.items():
        for pattern, replacement in _RULES:
            key = pattern.sub(replacement, key)
        if re.search(r"ffn\.layers\.[04]\.weight$", key) and value.ndim == 2:
            value = value[:, :, None, None]
        found[key] = value
    for key in [key for key in found if re.search(r"attn\.q\.(weight|bias)$", key)]:
        stem, kind = key.rsplit("q.", 1)
        for parts in (("q", "kv"), ("q", "k", "v")):
            names = [f"{stem}{part}.{kind}" for part in parts]
            if all(name in found for name in names):
                joined = torch.cat([found.pop(name) for name in names])
                found[f"{stem}attn.in_proj_{kind}"] = joined
    return found
