"""The network tiny: shapes, dropout, parameters, and the weights that come with it."""

import hashlib

import pytest
import torch

from methods._network import NETWORKS_FOLDER, load_network, network_weights_path
from methods.networks.tiny import DECODER_WIDTH, Tiny


@pytest.fixture(scope="module")
def tiny() -> Tiny:
    network = load_network("tiny")
    assert isinstance(network, Tiny)
    return network


@pytest.mark.parametrize("size", [(64, 96), (50, 70), (33, 35)])
def test_logits_and_features_have_stride_four(tiny: Tiny, size: tuple[int, int]) -> None:
    found = tiny(torch.zeros(1, 3, *size))
    low = (-(-size[0] // 4), -(-size[1] // 4))
    assert found["logits"].shape == (1, 20, *low)
    assert found["features"].shape == (1, DECODER_WIDTH, *low)


def test_it_has_the_parameters_that_it_states() -> None:
    count = sum(parameter.numel() for parameter in Tiny().parameters())
    assert count == Tiny.parameters_expected
    assert count < 500_000


def test_features_are_what_the_classifier_reads(tiny: Tiny) -> None:
    found = tiny(torch.rand(1, 3, 32, 48))
    torch.testing.assert_close(tiny.classifier(found["features"]), found["logits"])


def test_dropout_is_off_in_eval_mode(tiny: Tiny) -> None:
    batch = torch.rand(1, 3, 32, 48)
    assert torch.equal(tiny(batch)["logits"], tiny(batch)["logits"])


def test_dropout_alone_can_be_switched_on(tiny: Tiny) -> None:
    batch = torch.rand(1, 3, 32, 48)
    places = [module for module in tiny.modules() if isinstance(module, torch.nn.Dropout2d)]
    try:
        for module in places:
            module.train()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            samples = [tiny(batch)["logits"] for _ in range(3)]
    finally:
        tiny.eval()
    assert len(places) == 2
    assert not torch.equal(samples[0], samples[1])


def test_its_weights_have_the_stated_sha256() -> None:
    content = network_weights_path("tiny").read_bytes()
    assert hashlib.sha256(content).hexdigest() == Tiny.sources[0].sha256


def test_its_weights_are_small() -> None:
    assert (NETWORKS_FOLDER / "tiny.safetensors").stat().st_size < 1_000_000
