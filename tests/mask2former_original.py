"""Mask2Former as its authors' checkpoints lay it out: names, shapes, and what the weights mean.

Independent of `transformers`: the Swin Transformer is torchvision's, the attentions of queries are
torch's, and the rest is written from the papers (Cheng et al. 2022; Zhu et al., Deformable DETR).
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.models.swin_transformer import SwinTransformer

HEADS, POINTS, WIDTH, QUERIES, CLASSES = 8, 4, 256, 100, 19


@dataclass(frozen=True)
class Original:
    """A network of the authors' code; the defaults are the published Swin-T."""

    width: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: int = 7
    layers: int = 9  # DEC_LAYERS less one
    levels: int = 3  # how many of res5, res4, res3 the pixel decoder's attention is between

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the state dict."""
        return dict(self._entries())

    def _entries(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        widths = [self.width * 2**stage for stage in range(4)]
        yield "criterion.empty_weight", (CLASSES + 1,)
        yield "backbone.patch_embed.proj.weight", (self.width, 3, 4, 4)
        yield "backbone.patch_embed.proj.bias", (self.width,)
        yield from _norm("backbone.patch_embed.norm", self.width)
        for stage, (width, depth, heads) in enumerate(
            zip(widths, self.depths, self.heads, strict=True)
        ):
            for block in range(depth):
                name = f"backbone.layers.{stage}.blocks.{block}"
                yield from _norm(f"{name}.norm1", width)
                table = ((2 * self.window - 1) ** 2, heads)
                yield f"{name}.attn.relative_position_bias_table", table
                yield f"{name}.attn.relative_position_index", (self.window**2, self.window**2)
                yield from _linear(f"{name}.attn.qkv", 3 * width, width)
                yield from _linear(f"{name}.attn.proj", width, width)
                yield from _norm(f"{name}.norm2", width)
                yield from _linear(f"{name}.mlp.fc1", 4 * width, width)
                yield from _linear(f"{name}.mlp.fc2", width, 4 * width)
            if stage < 3:
                name = f"backbone.layers.{stage}.downsample"
                yield f"{name}.reduction.weight", (2 * width, 4 * width)
                yield from _norm(f"{name}.norm", 4 * width)
            yield from _norm(f"backbone.norm{stage}", width)
        head = "sem_seg_head.pixel_decoder"
        for level in range(self.levels):
            yield f"{head}.input_proj.{level}.0.weight", (WIDTH, widths[3 - level], 1, 1)
            yield f"{head}.input_proj.{level}.0.bias", (WIDTH,)
            yield from _norm(f"{head}.input_proj.{level}.1", WIDTH)
        yield f"{head}.transformer.level_embed", (self.levels, WIDTH)
        places = HEADS * self.levels * POINTS
        for layer in range(6):
            name = f"{head}.transformer.encoder.layers.{layer}"
            yield from _linear(f"{name}.self_attn.sampling_offsets", 2 * places, WIDTH)
            yield from _linear(f"{name}.self_attn.attention_weights", places, WIDTH)
            yield from _linear(f"{name}.self_attn.value_proj", WIDTH, WIDTH)
            yield from _linear(f"{name}.self_attn.output_proj", WIDTH, WIDTH)
            yield from _norm(f"{name}.norm1", WIDTH)
            yield from _linear(f"{name}.linear1", 1024, WIDTH)
            yield from _linear(f"{name}.linear2", WIDTH, 1024)
            yield from _norm(f"{name}.norm2", WIDTH)
        yield f"{head}.mask_features.weight", (WIDTH, WIDTH, 1, 1)
        yield f"{head}.mask_features.bias", (WIDTH,)
        for number, width in enumerate(widths[: 4 - self.levels], start=1):
            yield f"{head}.adapter_{number}.weight", (WIDTH, width, 1, 1)
            yield from _norm(f"{head}.adapter_{number}.norm", WIDTH)
            yield f"{head}.layer_{number}.weight", (WIDTH, WIDTH, 3, 3)
            yield from _norm(f"{head}.layer_{number}.norm", WIDTH)
        head = "sem_seg_head.predictor"
        for layer in range(self.layers):
            for name in ("self_attention_layers", "cross_attention_layers"):
                inner = "self_attn" if name.startswith("self") else "multihead_attn"
                name = f"{head}.transformer_{name}.{layer}"
                yield f"{name}.{inner}.in_proj_weight", (3 * WIDTH, WIDTH)
                yield f"{name}.{inner}.in_proj_bias", (3 * WIDTH,)
                yield from _linear(f"{name}.{inner}.out_proj", WIDTH, WIDTH)
                yield from _norm(f"{name}.norm", WIDTH)
            name = f"{head}.transformer_ffn_layers.{layer}"
            yield from _linear(f"{name}.linear1", 2048, WIDTH)
            yield from _linear(f"{name}.linear2", WIDTH, 2048)
            yield from _norm(f"{name}.norm", WIDTH)
        yield from _norm(f"{head}.decoder_norm", WIDTH)
        yield f"{head}.query_feat.weight", (QUERIES, WIDTH)
        yield f"{head}.query_embed.weight", (QUERIES, WIDTH)
        yield f"{head}.level_embed.weight", (self.levels, WIDTH)
        yield from _linear(f"{head}.class_embed", CLASSES + 1, WIDTH)
        for layer in range(3):
            yield from _linear(f"{head}.mask_embed.layers.{layer}", WIDTH, WIDTH)

    def state(self) -> dict[str, Tensor]:
        """A state dict of random float32 values, each of the size that its place asks for."""
        generator = torch.Generator().manual_seed(0)
        found = {}
        for name, shape in self.shapes().items():
            if name.endswith("relative_position_index"):
                found[name] = self._positions()
                continue
            value = torch.randn(shape, generator=generator)
            if len(shape) == 1:
                value = 0.1 * value + ("norm" in name and name.endswith("weight"))
            elif not re.search(r"level_embed|query_(feat|embed)", name):
                value = value / math.sqrt(math.prod(shape[1:]))
            found[name] = value
        return found

    def _positions(self) -> Tensor:
        place = torch.arange(self.window)
        rows, columns = place.repeat_interleave(self.window), place.repeat(self.window)
        down, right = rows[:, None] - rows, columns[:, None] - columns
        return (down + self.window - 1) * (2 * self.window - 1) + right + self.window - 1

    def __call__(self, state: dict[str, Tensor], batch: Tensor) -> tuple[Tensor, Tensor]:
        """The (1, 100, 20) logits of classes and (1, 100, h, w) of masks, in double precision.

        Sides of `batch` are multiples of 32, and in stage 4 longer than a window: `transformers`
        and torchvision shift no windows where there is only one.
        """
        state = {key: value.double() for key, value in state.items()}
        embeddings, levels = self._pixels(state, self._stages(state, batch.double()))
        return self._queries(_Part(state, "sem_seg_head.predictor."), embeddings, levels)

    def _stages(self, state: dict[str, Tensor], batch: Tensor) -> list[Tensor]:
        """The maps of the four stages, at strides 4 to 32, from torchvision's Swin Transformer."""
        swin = SwinTransformer(
            [4, 4], self.width, list(self.depths), list(self.heads), [self.window] * 2,
            stochastic_depth_prob=0.0,
        ).double().eval()  # fmt: skip
        theirs = {}
        for key, value in _Part(state, "backbone.").entries():
            if key.startswith("layers."):
                _, stage, rest = key.split(".", 2)
                number = 2 * int(stage) + 1 + rest.startswith("downsample.")
                rest = rest.removeprefix("blocks.").removeprefix("downsample.")
                rest = rest.replace("mlp.fc1", "mlp.0").replace("mlp.fc2", "mlp.3")
                theirs[f"features.{number}.{rest}"] = value
            elif key.startswith("patch_embed."):
                rest = key.removeprefix("patch_embed.")
                rest = rest.replace("proj", "0").replace("norm", "2")
                theirs[f"features.0.{rest}"] = value
            if key.endswith("relative_position_index"):
                theirs[f"features.{number}.{rest}"] = value.flatten().long()
        wrong = swin.load_state_dict(theirs, strict=False)
        assert not wrong.unexpected_keys
        assert {key.split(".")[0] for key in wrong.missing_keys} == {"norm", "head"}
        maps = []
        for number, module in enumerate(swin.features):
            batch = module(batch)
            if number % 2:
                norm = _Part(state, f"backbone.norm{number // 2}.")
                maps.append(norm.layer_norm("", batch).permute(0, 3, 1, 2))
        return maps

    def _pixels(
        self, state: dict[str, Tensor], stages: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """The embeddings of pixels at stride 4, and the levels of features, the coarsest first."""
        part = _Part(state, "sem_seg_head.pixel_decoder.")
        coarsest_first = stages[::-1]
        attended, places = [], []
        for level, stage in enumerate(coarsest_first[: self.levels]):
            found = part.convolution(f"input_proj.{level}.0.", stage)
            attended.append(_tokens(part.group_norm(f"input_proj.{level}.1.", found)))
            embedding = part["transformer.level_embed"][level]
            places.append(_tokens(_positions(stage)) + embedding)
        sizes = [stage.shape[-2:] for stage in coarsest_first[: self.levels]]
        tokens, places = torch.cat(attended, dim=1), torch.cat(places, dim=1)
        for layer in range(6):
            one = _Part(state, f"{part.prefix}transformer.encoder.layers.{layer}.")
            tokens = one.layer_norm("norm1.", tokens + _deformable(one, tokens, places, sizes))
            hidden = one.linear("linear1.", tokens).relu()
            tokens = one.layer_norm("norm2.", tokens + one.linear("linear2.", hidden))
        parts = tokens.split([rows * columns for rows, columns in sizes], dim=1)
        levels = [
            each.transpose(1, 2).unflatten(2, size) for each, size in zip(parts, sizes, strict=True)
        ]
        found = levels[-1]
        for number in range(4 - self.levels, 0, -1):
            lateral = part.convolution(f"adapter_{number}.", stages[number - 1])
            lateral = part.group_norm(f"adapter_{number}.norm.", lateral)
            found = lateral + _resized(found, lateral.shape[-2:])
            found = part.convolution(f"layer_{number}.", found, padding=1)
            found = part.group_norm(f"layer_{number}.norm.", found).relu()
        return part.convolution("mask_features.", found), levels

    def _queries(
        self, part: "_Part", embeddings: Tensor, levels: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        queries, places = part["query_feat.weight"], part["query_embed.weight"]
        for layer in range(self.layers + 1):
            normal = part.layer_norm("decoder_norm.", queries)
            drawing = normal
            for number in range(3):
                drawing = part.linear(f"mask_embed.layers.{number}.", drawing)
                drawing = drawing.relu() if number < 2 else drawing
            masks = torch.einsum("qc,bchw->bqhw", drawing, embeddings)
            if layer == self.layers:
                break
            level = levels[layer % self.levels]
            features = level[0].flatten(1).T + part["level_embed.weight"][layer % self.levels]
            hidden = _resized(masks, level.shape[-2:]).flatten(2)[0] < 0
            hidden &= ~hidden.all(dim=1, keepdim=True)  # who sees nothing sees everything
            keys = features + _positions(level)[0].flatten(1).T
            name = f"transformer_cross_attention_layers.{layer}."
            read = part.attention(
                f"{name}multihead_attn.", queries + places, keys, features, hidden
            )
            queries = part.layer_norm(f"{name}norm.", queries + read)
            name, both = f"transformer_self_attention_layers.{layer}.", queries + places
            read = part.attention(f"{name}self_attn.", both, both, queries)
            queries = part.layer_norm(f"{name}norm.", queries + read)
            name = f"transformer_ffn_layers.{layer}."
            read = part.linear(f"{name}linear1.", queries).relu()
            read = part.linear(f"{name}linear2.", read)
            queries = part.layer_norm(f"{name}norm.", queries + read)
        return part.linear("class_embed.", normal)[None], masks


@dataclass(frozen=True)
class _Part:
    """The entries of a state dict below a name, and the layers that they make."""

    state: dict[str, Tensor]
    prefix: str

    def __getitem__(self, name: str) -> Tensor:
        return self.state[self.prefix + name]

    def entries(self) -> Iterator[tuple[str, Tensor]]:
        for key, value in self.state.items():
            if key.startswith(self.prefix):
                yield key.removeprefix(self.prefix), value

    def linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(x, self[f"{name}weight"], self[f"{name}bias"])

    def layer_norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self[f"{name}weight"], self[f"{name}bias"]
        return functional.layer_norm(x, weight.shape, weight, bias)

    def group_norm(self, name: str, x: Tensor) -> Tensor:
        return functional.group_norm(x, 32, self[f"{name}weight"], self[f"{name}bias"])

    def convolution(self, name: str, x: Tensor, padding: int = 0) -> Tensor:
        bias = self.state.get(f"{self.prefix}{name}bias")
        return functional.conv2d(x, self[f"{name}weight"], bias, padding=padding)

    def attention(
        self, name: str, queries: Tensor, keys: Tensor, values: Tensor, hidden: Tensor | None = None
    ) -> Tensor:
        return functional.multi_head_attention_forward(
            queries, keys, values, WIDTH, HEADS,
            self[f"{name}in_proj_weight"], self[f"{name}in_proj_bias"], None, None, False, 0.0,
            self[f"{name}out_proj.weight"], self[f"{name}out_proj.bias"],
            training=False, need_weights=False, attn_mask=hidden,
        )[0]  # fmt: skip


def _linear(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


def _resized(x: Tensor, size: torch.Size) -> Tensor:
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)


def _positions(x: Tensor) -> Tensor:
    """Sines and cosines of rows in the first half of 256 channels, of columns in the other."""
    halves = []
    for axis in (2, 3):
        side = x.shape[axis]
        place = torch.arange(1, side + 1, dtype=torch.float64) / (side + 1e-6) * 2 * math.pi
        periods = 10000 ** (torch.arange(0, WIDTH // 2, 2).double() / (WIDTH // 2))
        angles = place / periods[:, None]
        waves = torch.stack((angles.sin(), angles.cos()), dim=1).flatten(0, 1)
        waves = waves[:, :, None] if axis == 2 else waves[:, None]
        halves.append(waves.expand(-1, *x.shape[-2:]))
    return torch.cat(halves)[None]


def _deformable(part: _Part, tokens: Tensor, places: Tensor, sizes: list[torch.Size]) -> Tensor:
    """Each token's sum over heads' samples around its place, in every level."""
    values = part.linear("self_attn.value_proj.", tokens)[0].unflatten(1, (HEADS, -1))
    asking = (tokens + places)[0]
    offsets = part.linear("self_attn.sampling_offsets.", asking)
    offsets = offsets.unflatten(1, (HEADS, len(sizes), POINTS, 2))
    shares = part.linear("self_attn.attention_weights.", asking).unflatten(1, (HEADS, -1))
    shares = shares.softmax(dim=-1).unflatten(2, (len(sizes), POINTS))
    centres = torch.cat(
        [
            torch.stack(
                (
                    ((torch.arange(columns).double() + 0.5) / columns).repeat(rows),
                    ((torch.arange(rows).double() + 0.5) / rows).repeat_interleave(columns),
                ),
                dim=1,
            )
            for rows, columns in sizes
        ]
    )
    found = 0
    levels = values.split([rows * columns for rows, columns in sizes])
    for level, ((rows, columns), value) in enumerate(zip(sizes, levels, strict=True)):
        at = centres[:, None, None] + offsets[:, :, level] / torch.tensor([columns, rows])
        maps = value.permute(1, 2, 0).unflatten(2, (rows, columns))  # (heads, 32, rows, columns)
        samples = functional.grid_sample(
            maps, 2 * at.transpose(0, 1) - 1, mode="bilinear", align_corners=False
        )  # (heads, 32, tokens, points)
        found = found + torch.einsum("hctp,thp->thc", samples, shares[:, :, level])
    return part.linear("self_attn.output_proj.", found.flatten(1))[None]
