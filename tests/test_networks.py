"""Every network keeps the contract, and the real ones say what their authors' own code says."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from stand_in import FILE, StandIn
from torch import Tensor, nn

from harness.errors import MethodError, UnknownName
from methods._network import (
    CLASSES,
    NETWORKS_FOLDER,
    Network,
    NetworkOutput,
    load_network,
    network_class,
    network_names,
)

REAL_FILES = {
    "espnetv2": "espnetv2_s_2.0_city_1024x512.pth",
    "erfnet": "erfnet_cityscapes_dequantized.safetensors",
    "enet": "enet_cityscapes_void_yurnero14.pth",
}
SIZE = (64, 128)

every_network = pytest.mark.parametrize("name", network_names())


def built(name: str) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return network_class(name)().eval()


def batch_of(size: tuple[int, int] = SIZE) -> Tensor:
    return torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))


# The contract


def test_no_network_is_forgotten() -> None:
    files = {path.stem for path in NETWORKS_FOLDER.glob("*.py")} - {"__init__"}
    assert set(network_names()) == {name for name in files if not name.startswith("_")}
    assert {"espnetv2", "erfnet", "enet"} <= set(network_names())


@every_network
def test_a_network_has_the_published_number_of_parameters(name: str) -> None:
    with torch.device("meta"):
        network = network_class(name)()
    assert sum(p.numel() for p in network.parameters()) == network.parameters_expected


@every_network
def test_a_network_says_what_it_is(name: str) -> None:
    cls = network_class(name)
    assert cls.title
    assert cls.trained_on
    assert cls.outputs >= CLASSES
    assert cls.extra_is_void <= (cls.outputs > CLASSES)


@every_network
def test_a_network_gives_logits_and_features(name: str) -> None:
    with torch.inference_mode():
        found = built(name)(batch_of())
    assert found["logits"].shape[:2] == (1, network_class(name).outputs)
    assert found["features"].ndim == 4
    assert all(value.dtype == torch.float32 for value in found.values())
    assert all(value.isfinite().all() for value in found.values())


@every_network
def test_the_features_are_what_the_last_layer_is_given(name: str) -> None:
    network, calls = built(name), []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.register_forward_hook(lambda *call: calls.append(call))
    with torch.inference_mode():
        found = network(batch_of())
    _, inputs, output = calls[-1]
    assert torch.equal(inputs[0], found["features"])
    assert output.shape[1] == network.outputs


@every_network
def test_a_network_in_eval_mode_repeats_itself(name: str) -> None:
    network = built(name)
    with torch.inference_mode():
        assert torch.equal(network(batch_of())["logits"], network(batch_of())["logits"])


@every_network
def test_an_image_of_any_size_becomes_a_batch_that_a_network_takes(name: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    batch = network_class(name)().preprocess(image)
    assert batch.shape == (1, 3, *(network_class(name).input_size or (37, 53)))
    assert batch.dtype == torch.float32


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


# The authors' own code as the oracle


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
