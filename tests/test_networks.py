"""Every network keeps the contract, and the real ones say what their authors' own code says."""

import dataclasses
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from stand_in import FILE, StandIn, options
from torch import Tensor, nn
from torch.nn.functional import interpolate

from harness.errors import MethodError, UnknownName
from harness.method import load_method
from methods._network import (
    CLASSES,
    NETWORKS_FOLDER,
    Network,
    NetworkOutput,
    load_network,
    network_class,
    network_names,
    semantic_scores,
)

REAL_FILES = {
    "espnetv2": "espnetv2_s_2.0_city_1024x512.pth",
    "erfnet": "erfnet_cityscapes_dequantized.safetensors",
    "enet": "enet_cityscapes_void_yurnero14.pth",
}
SIZE = (64, 128)
ODD_SIZE = (97, 131)

# The smallest network of each architecture -> strides of its logits and features.
STRIDES = {
    "deeplabv3-r50": (8, 8),
    "deeplabv3plus-r101": (4, 4),
    "deeplabv3plus-wrn38": (2, 2),
    "dualgcn-r50": (8, 8),
    "enet": (1, 2),
    "erfnet": (1, 2),
    "espnetv2": (1, 2),
    "mask2former-swin-t": (4, 4),
    "segformer-b0": (4, 4),
    "segformer-b0-mmseg": (4, 4),
    "tiny": (4, 4),
}

every_network = pytest.mark.parametrize("name", network_names())


@pytest.fixture(scope="module", params=STRIDES)
def small(request: pytest.FixtureRequest) -> tuple[str, Network]:
    """The smallest network of an architecture by name, with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return request.param, network_class(request.param)().eval()


def on_meta(name: str) -> Network:
    with torch.device("meta"):
        return network_class(name)()


def batch_of(size: tuple[int, int] = SIZE) -> Tensor:
    return torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def output_of(network: Network, batch: Tensor | None = None) -> dict[str, Tensor]:
    return network(batch_of() if batch is None else batch)


# The contract


def test_no_network_is_forgotten() -> None:
    stems = {path.stem for path in NETWORKS_FOLDER.glob("[!_]*.py")}
    modules = {network_class(name).__module__.rsplit(".", 1)[1] for name in network_names()}
    assert modules == stems - {"smp"}  # whose networks are made by name


def test_every_architecture_is_run_below() -> None:
    modules = {network_class(name).__module__ for name in network_names()}
    assert {network_class(name).__module__ for name in STRIDES} == modules


@every_network
def test_a_network_has_the_published_number_of_parameters(name: str) -> None:
    network = on_meta(name)
    assert sum(p.numel() for p in network.parameters()) == network.parameters_expected


@every_network
def test_a_network_says_what_it_is(name: str) -> None:
    cls = network_class(name)
    assert cls.title
    assert cls.paper or name == "tiny"
    assert cls.trained_on
    assert cls.outputs >= CLASSES
    assert cls.extra_is_void <= (cls.outputs > CLASSES)


@every_network
def test_no_two_networks_have_one_title(name: str) -> None:
    titles = [network_class(other).title for other in network_names() if other != name]
    assert network_class(name).title not in titles


@every_network
@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_importer_leaves_a_networks_own_layout_alone(name: str, prefix: str) -> None:
    network = on_meta(name)
    own = network.state_dict()
    found = network.translated({f"{prefix}{key}": value for key, value in own.items()})
    assert {key: value.shape for key, value in found.items()} == {
        key: value.shape for key, value in own.items()
    }
    assert type(network).fitting(own) is type(network)


@every_network
def test_nothing_of_a_network_counts_as_spare(name: str) -> None:
    network = on_meta(name)
    spare = [key for key in network.state_dict() if network.is_spare(key)]
    assert spare == []


def test_a_network_gives_logits_and_features(small: tuple[str, Network]) -> None:
    name, network = small
    found = output_of(network)
    assert found["logits"].shape[:2] == (1, network_class(name).outputs)
    assert found["features"].ndim == 4
    assert all(value.dtype == torch.float32 for value in found.values())
    assert all(value.isfinite().all() for value in found.values())


def test_what_a_network_gives_has_a_place_in_its_output(small: tuple[str, Network]) -> None:
    fields = {field.name for field in dataclasses.fields(NetworkOutput)}
    assert set(output_of(small[1])) <= fields


def test_logits_and_features_have_the_strides_of_the_network(small: tuple[str, Network]) -> None:
    name, network = small
    found = output_of(network, batch_of(ODD_SIZE))
    for key, stride in zip(("logits", "features"), STRIDES[name], strict=True):
        expected = tuple(-(-side // stride) for side in ODD_SIZE)
        assert found[key].shape[-2:] == expected


@pytest.mark.parametrize("size", [(301, 333), (358, 717), (17, 9), (1, 1)])
def test_erfnet_takes_sides_that_8_does_not_divide(size: tuple[int, int]) -> None:
    network = network_class("erfnet")().eval()
    found = output_of(network, batch_of(size))
    assert found["logits"].shape[-2:] == size
    assert found["features"].shape[-2:] == tuple(-(-side // 2) for side in size)
    with torch.inference_mode():
        classified = network.classify(found["features"])
    assert torch.equal(classified[..., : size[0], : size[1]], found["logits"])


@pytest.mark.parametrize("size", [SIZE, ODD_SIZE])
def test_classified_features_brought_to_size_are_the_logits(
    size: tuple[int, int], small: tuple[str, Network]
) -> None:
    name, network = small
    if name.startswith("mask2former"):
        pytest.skip("a mask classifier has no last layer over pixels")
    found = output_of(network, batch_of(size))
    with torch.inference_mode():
        logits = network.brought(network.classify(found["features"]), found["logits"].shape[-2:])
    torch.testing.assert_close(logits, found["logits"], rtol=0, atol=1e-5)


def test_the_features_are_what_the_last_layer_is_given(small: tuple[str, Network]) -> None:
    name, network = small
    if name.startswith("mask2former"):
        pytest.skip("a mask classifier has no last layer over pixels")
    calls: list[tuple[nn.Module, tuple[Tensor, ...], Tensor]] = []
    hooks = [
        module.register_forward_hook(lambda *call: calls.append(call))
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)
    ]
    found = output_of(network)
    for hook in hooks:
        hook.remove()
    _, inputs, output = calls[-1]
    assert torch.equal(inputs[0], found["features"])
    assert output.shape[1] == network.outputs


def test_a_network_in_eval_mode_repeats_itself(small: tuple[str, Network]) -> None:
    network = small[1]
    assert torch.equal(output_of(network)["logits"], output_of(network)["logits"])


def test_channels_last_in_memory_changes_nothing(small: tuple[str, Network]) -> None:
    network = small[1]
    expected = output_of(network)["logits"]
    found = output_of(network, batch_of().contiguous(memory_format=torch.channels_last))["logits"]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * expected.std().item())


def test_bfloat16_stays_near_float32(small: tuple[str, Network]) -> None:
    name, network = small
    with torch.autocast("cpu", torch.bfloat16):
        found = output_of(network)["logits"].float()
    expected = output_of(network)["logits"]
    tolerance = 0.3 if name == "enet" else 0.05  # its pooling takes other places: a jump
    assert (found - expected).std() < tolerance * expected.std()


@pytest.mark.slow
def test_a_network_compiles_into_one_graph(small: tuple[str, Network]) -> None:
    network = small[1]
    torch._dynamo.reset()
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    expected = output_of(network)["logits"]
    torch.testing.assert_close(output_of(compiled)["logits"], expected, rtol=0, atol=1e-4)


@every_network
def test_an_image_of_any_size_becomes_a_batch_that_a_network_takes(name: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    batch = on_meta(name).preprocess(image)
    assert batch.shape == (1, 3, *(network_class(name).input_size or (37, 53)))
    assert batch.dtype == torch.float32


def test_the_classes_of_a_mask_classifier_are_what_its_queries_vote_for() -> None:
    generator = torch.Generator().manual_seed(0)
    class_logits, masks = torch.randn(1, 3, 5, generator=generator), torch.randn(1, 3, 2, 2)
    found = semantic_scores(class_logits, masks)
    for k, i, j in itertools.product(range(4), range(2), range(2)):
        expected = sum(
            class_logits[0, q].softmax(0)[k].item() * masks[0, q, i, j].sigmoid().item()
            for q in range(3)
        )
        assert found[0, k, i, j].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("upsample", ["logits", "score"])
def test_a_method_brings_to_size_as_the_networks_authors_do(
    align_corners: bool, upsample: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = network_class(FILE)
    monkeypatch.setattr(cls, "align_corners", align_corners)
    method = load_method("max_logit", upsample=upsample, **options(tmp_path))
    image = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    low = load_network(FILE, method.weights)(cls().preprocess(image))["logits"][:, :CLASSES]
    if upsample == "score":
        low = -low.amax(dim=1, keepdim=True)
    full = interpolate(low, size=(37, 53), mode="bilinear", align_corners=align_corners)[0]
    expected = -full.amax(dim=0) if upsample == "logits" else full[0]
    np.testing.assert_allclose(method.predict(image).score, expected.numpy(), atol=1e-5)


# Preprocessing


def test_preprocessing_scales_and_normalises() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    expected = (image / 255 - np.array(StandIn.mean)) / np.array(StandIn.std)
    found = StandIn().preprocess(image)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_preprocessing_resizes_as_pil_does_bilinearly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StandIn, "input_size", (4, 6))
    image = np.random.default_rng(0).integers(0, 256, (9, 15, 3), np.uint8)
    resized = np.asarray(Image.fromarray(image).resize((6, 4), Image.Resampling.BILINEAR))
    assert torch.equal(StandIn().preprocess(image), StandIn().preprocess(resized))


def test_preprocessing_leaves_the_image_as_it_is() -> None:
    image = np.zeros((5, 7, 3), np.uint8)
    image.flags.writeable = False
    StandIn().preprocess(image).fill_(1)
    assert not image.any()


# What an output says once for all methods


def test_doubt_is_one_minus_the_largest_probability() -> None:
    logits = torch.randn(CLASSES, 8, 9, generator=torch.Generator().manual_seed(0)) * 5
    expected = 1 - logits.double().softmax(dim=0).amax(dim=0)
    torch.testing.assert_close(NetworkOutput(logits).doubt, expected.float(), rtol=1e-5, atol=0)


def test_doubt_counts_the_second_of_two_equally_good_classes() -> None:
    logits = torch.full((CLASSES, 1, 1), -1000.0)
    logits[[3, 5]] = 0.0
    assert NetworkOutput(logits).doubt.item() == 0.5


def test_doubts_far_below_the_resolution_of_one_stay_apart() -> None:
    logits = torch.zeros(CLASSES, 1, 3)
    logits[0, 0] = torch.tensor([30.0, 40.0, 50.0])
    doubt = NetworkOutput(logits).doubt
    expected = torch.log(torch.tensor(18.0)) - logits[0]
    torch.testing.assert_close(doubt.log(), expected)


def test_confidence_is_the_largest_probability() -> None:
    logits = torch.randn(CLASSES, 8, 9, generator=torch.Generator().manual_seed(0))
    expected = logits.softmax(dim=0).amax(dim=0)
    torch.testing.assert_close(NetworkOutput(logits).confidence, expected)


# Finding a network


def test_a_name_is_looked_up_and_the_nearest_is_offered() -> None:
    with pytest.raises(UnknownName, match=r"no network is called 'espnet2'.*'espnetv2'"):
        network_class("espnet2")


@pytest.mark.parametrize(
    ("name", "nearest"), [("segformer-b6", "segformer-b"), ("mask2former-swin-x", "swin-")]
)
def test_an_unknown_variant_answers_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UnknownName, match=f"called '{name}'. Did you mean '.*{nearest}"):
        network_class(name)


@pytest.mark.parametrize("name", [FILE, f"{FILE}:StandIn"])
def test_a_network_is_found_by_its_path(name: str) -> None:
    assert network_class(name).title == "Stand-in"


def test_a_class_that_the_file_lacks_is_named() -> None:
    with pytest.raises(MethodError, match=r"stand_in\.py: no subclass of Network is called Nope"):
        network_class(f"{FILE}:Nope")


def test_of_two_networks_in_a_file_one_is_chosen_by_name(tmp_path: Path) -> None:
    path = tmp_path / "two.py"
    path.write_text(
        "from methods._network import Network\n\n\n"
        "class One(Network):\n    pass\n\n\nclass Two(Network):\n    pass\n"
    )
    with pytest.raises(MethodError, match="one subclass of Network was expected, found One, Two"):
        network_class(str(path))
    assert network_class(f"{path}:Two").__name__ == "Two"


# segmentation_models_pytorch


def test_a_network_of_smp_without_the_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(MethodError, match="pip install segmentation-models-pytorch"):
        network_class("smp:Unet:resnet50")


def test_a_name_of_smp_has_three_parts() -> None:
    with pytest.raises(MethodError, match="smp:Unet: smp:ARCHITECTURE:ENCODER was expected"):
        network_class("smp:Unet")


@pytest.mark.parametrize("name", ["smp:Unett:resnet18", "smp:Unet:resnet19"])
def test_an_unknown_part_of_a_name_of_smp_answers_with_the_nearest(name: str) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    with pytest.raises(UnknownName, match=r"Did you mean '(unet|resnet)"):
        network_class(name)


@pytest.mark.parametrize("architecture", ["Unet", "FPN", "DeepLabV3Plus", "Segformer"])
def test_a_network_of_smp_gives_logits_of_the_batchs_size(architecture: str) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    network = network_class(f"smp:{architecture}:resnet18")().eval()
    assert output_of(network, batch_of(ODD_SIZE))["logits"].shape == (1, CLASSES, *ODD_SIZE)


class SmpStandIn(nn.Module):
    """A model as the package makes it: the head brings the decoder's maps to the batch's size."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, 8, stride, stride)
        self.encoder.output_stride = 32
        self.decoder = nn.Conv2d(8, 6, 3, padding=1)
        self.segmentation_head = nn.Sequential(
            nn.Conv2d(6, CLASSES, 3, padding=1), nn.UpsamplingBilinear2d(scale_factor=stride)
        )


@pytest.fixture
def smp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[int], dict[str, str]]:
    """Makes options of a method for a network of smp whose features have some stride."""

    def options_for(stride: int) -> dict[str, str]:
        package = SimpleNamespace(
            MODEL_ARCHITECTURES_MAPPING={f"s{stride}": type(f"S{stride}", (), {})},
            encoders=SimpleNamespace(get_encoder_names=lambda: ["stand_in"]),
            create_model=lambda *_, **__: SmpStandIn(stride),
        )
        monkeypatch.setattr("methods.networks.smp._package", lambda: package)
        name, path = f"smp:S{stride}:stand_in", tmp_path / f"{stride}.safetensors"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            state = network_class(name)().state_dict()
        safetensors.torch.save_file(state, path)
        return {"network": name, "weights": str(path), "device": "cpu"}

    return options_for


@pytest.mark.parametrize("stride", [1, 4, 8])
@pytest.mark.parametrize("size", [SIZE, ODD_SIZE])
def test_features_of_smp_end_where_the_batch_ends(
    stride: int, size: tuple[int, int], smp: Callable[[int], dict[str, str]]
) -> None:
    given, batch = smp(stride), batch_of(size)
    network = load_network(given["network"], given["weights"])
    rows, columns = (-(-side // stride) for side in size)
    with torch.inference_mode():
        padded = nn.functional.pad(batch, (0, -size[1] % 32, 0, -size[0] % 32))
        expected = network.decoder(network.encoder(padded))[..., :rows, :columns]
        found = network(batch)
        logits = network.classify(expected)[..., : size[0], : size[1]]
    assert torch.equal(found["features"], expected)
    assert torch.equal(found["logits"], logits)


@pytest.mark.parametrize("stride", [1, 4, 8])
def test_ash_that_prunes_nothing_is_energy_on_a_padded_batch_of_smp(
    stride: int, smp: Callable[[int], dict[str, str]]
) -> None:
    given = smp(stride)
    image = np.random.default_rng(0).integers(0, 256, (*ODD_SIZE, 3), np.uint8)
    ash = load_method("ash", variant="p", percentile=0, **given).predict(image)
    energy = load_method("energy", **given).predict(image)
    assert np.array_equal(ash.score, energy.score)


# The authors' own code as the oracle


@pytest.mark.parametrize("window", ["", "301x333"])
@pytest.mark.parametrize("name", ["espnetv2", "erfnet", "enet"])
def test_ash_that_prunes_nothing_is_energy_of_a_real_network(
    name: str, window: str, data_folder: Path
) -> None:
    weights = str(data_folder / "weights" / REAL_FILES[name])
    given = {"network": name, "weights": weights, "window": window, "device": "cpu"}
    with Image.open(data_folder / "RoadAnomaly21" / "images" / "0.png") as opened:
        image = np.asarray(opened.convert("RGB"))
    ash = load_method("ash", variant="p", percentile=0, **given).predict(image)
    energy = load_method("energy", **given).predict(image)
    np.testing.assert_allclose(ash.score, energy.score, rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def reference(data_folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((data_folder / "reference_logits.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module", params=REAL_FILES)
def real(request: pytest.FixtureRequest, data_folder: Path) -> tuple[str, Tensor]:
    """A real network's name, and its (C, 512, 1024) logits on the first frame."""
    with Image.open(data_folder / "RoadAnomaly21" / "images" / "0.png") as opened:
        image = np.asarray(opened.convert("RGB"))
    network = load_network(request.param, str(data_folder / "weights" / REAL_FILES[request.param]))
    with torch.inference_mode():
        return request.param, network(network.preprocess(image))["logits"][0]


def test_real_logits_have_the_reference_mean_and_deviation(
    real: tuple[str, Tensor], reference: dict[str, Any]
) -> None:
    name, logits = real
    assert list(logits.shape) == reference[name]["output_shape"]
    assert logits.mean().item() == pytest.approx(reference[name]["mean"], abs=1e-5)
    assert logits.std().item() == pytest.approx(reference[name]["std"], abs=1e-5)


def test_real_logits_are_the_reference_logits_at_every_probe(
    real: tuple[str, Tensor], reference: dict[str, Any]
) -> None:
    name, logits = real
    for probe in reference[name]["probes"]:
        found = logits[:, probe["row"], probe["col"]].numpy()
        np.testing.assert_allclose(found, probe["logits"], atol=1e-4, rtol=0)  # 4 decimals kept
