"""Mask2Former reads the checkpoints of its authors' code, and says what these say."""

import dataclasses
import math
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mask2former_original import Original
from test_network_weights import one_sentence
from torch import Tensor

from harness.errors import MethodError
from harness.method import load_method
from methods._network import Network, load_network, network_class
from methods.networks import mask2former

NAME = "mask2former-swin-t"
LARGE = [
    ("mask2former-swin-t", Original()),
    ("mask2former-swin-s", Original(depths=(2, 2, 18, 2))),
    ("mask2former-swin-b", Original(128, (2, 2, 18, 2), (4, 8, 16, 32), 12)),
    ("mask2former-swin-l", Original(192, (2, 2, 18, 2), (6, 12, 24, 48), 12)),
]
SLIM = (24, (2, 2, 2, 2), (3, 6, 12, 24), 3)  # width, blocks, heads and window: for speed
ZOO = Original(*SLIM, layers=2)
RBA = Original(*SLIM, layers=1, levels=1)
QKV = "backbone.layers.0.blocks.0.attn.qkv.weight"

every_size = pytest.mark.parametrize(("name", "original"), LARGE, ids=[name for name, _ in LARGE])
both_forms = pytest.mark.parametrize("original", [ZOO, RBA], ids=["zoo", "rba"])


@pytest.fixture(autouse=True, scope="module")
def slim() -> Iterator[None]:
    """Makes the Swin Transformer of `mask2former-swin-t` a slim one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(mask2former.SWIN, "t", SLIM)
        yield


def in_pth(folder: Path, state: Mapping[str, Tensor]) -> str:
    """A file as detectron2's trainer writes it."""
    path = folder / "model_final.pth"
    trainer = {"iteration": 89_999, "hooks": {"LRScheduler": {"last_epoch": 90_000}}}
    torch.save({"model": state, "trainer": trainer, "iteration": 89_999}, path)
    return str(path)


def in_pkl(folder: Path, state: Mapping[str, Tensor]) -> str:
    """A file as the authors' model zoo has it."""
    path = folder / "model_final.pkl"
    arrays = {key: value.numpy() for key, value in state.items()}
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "third_party"}))
    return str(path)


def noise(size: tuple[int, int]) -> Tensor:
    return torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def outputs(network: Network, batch: Tensor) -> dict[str, Tensor]:
    return network(batch)


# Names and shapes


@every_size
def test_the_authors_layout_has_the_published_number_of_parameters(
    name: str, original: Original
) -> None:
    spare = ("criterion.empty_weight", "relative_position_index")
    counts = [math.prod(s) for key, s in original.shapes().items() if not key.endswith(spare)]
    assert sum(counts) == network_class(name).parameters_expected


@every_size
@pytest.mark.parametrize("form", [{}, {"layers": 1, "levels": 1}], ids=["zoo", "rba"])
def test_the_authors_layout_fills_every_entry_once(
    form: dict[str, int], name: str, original: Original, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(mask2former.SWIN, "t", (96, (2, 2, 6, 2), (3, 6, 12, 24), 7))
    with torch.device("meta"):
        shapes = dataclasses.replace(original, **form).shapes()
        state = {key: torch.zeros(shape) for key, shape in shapes.items()}
        network = network_class(name).fitting(state)()
    found = {k: v for k, v in network.translated(state).items() if not network.is_spare(k)}
    assert {k: v.shape for k, v in found.items()} == {
        k: v.shape for k, v in network.state_dict().items()
    }
    spare = sum(v.numel() for k, v in state.items() if network.is_spare(k))
    assert sum(v.numel() for v in found.values()) == sum(v.numel() for v in state.values()) - spare


# What the weights mean


@pytest.mark.parametrize(
    "original",
    [ZOO, RBA, Original(*SLIM, layers=4, levels=2)],
    ids=["zoo", "rba", "two levels"],
)
def test_outputs_are_those_of_the_authors_network(original: Original, tmp_path: Path) -> None:
    state = original.state()
    network = load_network(NAME, in_pth(tmp_path, state)).double()
    batch = noise((128, 160))
    with torch.inference_mode():
        classes, masks = original(state, batch)
    found = outputs(network, batch.double())
    for ours, theirs in ((found["class_logits"], classes), (found["mask_logits"], masks)):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * theirs.std().item())


def test_preprocessing_is_that_of_detectron2() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    mean, std = (123.675, 116.280, 103.530), (58.395, 57.120, 57.375)  # of RGB in 0 to 255
    expected = ((image - np.array(mean)) / np.array(std)).transpose(2, 0, 1)[None]
    with torch.device("meta"):
        network = network_class(NAME)()
    np.testing.assert_allclose(network.preprocess(image), expected, rtol=0, atol=1e-6)


# Layouts


@both_forms
def test_all_layouts_give_the_same_outputs_to_the_bit(original: Original, tmp_path: Path) -> None:
    state = original.state()
    network = load_network(NAME, in_pth(tmp_path, state))
    expected = outputs(network, noise((64, 96)))
    own = tmp_path / "own.pth"
    torch.save(network.state_dict(), own)
    older = {
        key.replace("sem_seg_head.pixel_decoder.", "sem_seg_head.").replace(
            "query_feat", "static_query"
        ): value
        for key, value in state.items()
    }
    wrapped = {f"module.{key}": value for key, value in state.items()}
    for weights in (
        str(own),
        in_pkl(tmp_path, state),
        in_pkl(tmp_path, older),
        in_pth(tmp_path, wrapped),
    ):
        found = outputs(load_network(NAME, weights), noise((64, 96)))
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_the_layout_of_the_hub_gives_the_same_outputs_to_the_bit(tmp_path: Path) -> None:
    from transformers import Mask2FormerForUniversalSegmentation

    ours = load_network(NAME, in_pth(tmp_path, ZOO.state()))
    theirs = Mask2FormerForUniversalSegmentation(ours.model.config)
    wrong = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert not wrong.unexpected_keys
    theirs.save_pretrained(tmp_path)
    read = load_network(NAME, str(tmp_path / "model.safetensors"))
    found, expected = outputs(read, noise((64, 96))), outputs(ours, noise((64, 96)))
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_what_a_checkpoint_carries_besides_is_left_out_and_named(tmp_path: Path) -> None:
    state = {**ZOO.state(), "pixel_mean": torch.zeros(3, 1, 1), "pixel_std": torch.ones(3, 1, 1)}
    left_out = load_network(NAME, in_pth(tmp_path, state)).left_out
    positions = {key for key in state if key.endswith("relative_position_index")}
    assert len(positions) == 8
    assert set(left_out) == {"criterion.empty_weight", "pixel_mean", "pixel_std", *positions}


# RbA's form


def test_layers_and_levels_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    network: Any = load_network(NAME, in_pth(tmp_path, RBA.state()))
    assert (network.layers, network.levels) == (1, 1)
    assert len(network.model.transformer_module.decoder.layers) == 1
    assert network_class(NAME).fitting(RBA.state()) is type(network)


@pytest.mark.parametrize("size", [(64, 96), (97, 131)])
def test_rba_runs_on_its_checkpoint(size: tuple[int, int], tmp_path: Path) -> None:
    weights = in_pth(tmp_path, RBA.state())
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    method = load_method("rba", network=NAME, weights=weights, device="cpu")
    score = method.predict(image).score
    assert score.shape == size
    assert -19 < score.min() < score.max() < 0


def test_a_checkpoint_of_more_levels_than_there_are_is_refused(tmp_path: Path) -> None:
    state = Original(*SLIM, layers=1, levels=4).state()
    with pytest.raises(MethodError, match=r"misshaped: \S*level_embed 4x256 instead of 3x256"):
        load_network(NAME, in_pth(tmp_path, state))


# Wrong entries


def refusal(folder: Path, state: Mapping[str, Tensor]) -> str:
    path = in_pth(folder, state)
    with pytest.raises(MethodError, match="not the weights of Mask2FormerSwinT") as error:
        load_network(NAME, path)
    assert path in str(error.value)
    return one_sentence(error)


def test_a_missing_entry_is_named(tmp_path: Path) -> None:
    state = RBA.state()
    del state["sem_seg_head.predictor.decoder_norm.bias"]
    text = refusal(tmp_path, state)
    assert "missing: model.transformer_module.decoder.layernorm.bias." in text


def test_an_entry_too_many_is_named_as_in_the_file(tmp_path: Path) -> None:
    name = "sem_seg_head.predictor.ood_pred.conv.weight"  # of networks trained as DenseHybrid
    text = refusal(tmp_path, {**RBA.state(), name: torch.zeros(2, 256, 1, 1)})
    assert text.endswith(f"; unexpected: {name}.")


@pytest.mark.parametrize("first", ["query_feat", "static_query"])
def test_the_second_spelling_of_one_entry_is_named(first: str, tmp_path: Path) -> None:
    state = RBA.state()
    value = state.pop("sem_seg_head.predictor.query_feat.weight")
    names = [f"sem_seg_head.predictor.{name}.weight" for name in ("query_feat", "static_query")]
    names = names if first == "query_feat" else names[::-1]
    text = refusal(tmp_path, {**state, **dict.fromkeys(names, value)})
    assert text.endswith(f"; unexpected: {names[1]}.")


def test_an_entry_of_another_shape_is_named(tmp_path: Path) -> None:
    state = RBA.state()
    state["sem_seg_head.predictor.class_embed.weight"] = torch.zeros(21, 256)
    text = refusal(tmp_path, state)
    assert text.endswith("; misshaped: class_predictor.weight 21x256 instead of 20x256.")


def test_fused_weights_of_another_shape_are_named(tmp_path: Path) -> None:
    state = RBA.state()
    thirds = refusal(tmp_path, {**state, QKV: torch.zeros(75, 24)})
    assert thirds.count("25x24 instead of 24x24") == 3
    uneven = refusal(tmp_path, {**state, QKV: torch.zeros(74, 24)})
    assert f"unexpected: {QKV}." in uneven


def test_the_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    state = Original(32, SLIM[1], (4, 8, 16, 32), 3, layers=1, levels=1).state()
    assert "misshaped: " in refusal(tmp_path, state)
