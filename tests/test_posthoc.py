"""Post-hoc methods: each score against its formula in double precision, and one shared pass."""

import math
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
import torch.nn.functional
from numpy.typing import NDArray
from PIL import Image as PILImage
from stand_in import FILE, options
from torch import Tensor

from harness.errors import MethodError, UnknownName
from harness.method import load_method, source_files
from harness.types import Image, Prediction
from methods import _posthoc
from methods._network import CLASSES, NetworkOutput, load_network
from methods._posthoc import PostHoc

SIZE = (37, 53)
SCORES = ("msp", "max_logit", "entropy", "energy", "void_class")

every_score = pytest.mark.parametrize("name", SCORES)


def images(count: int = 3, size: tuple[int, int] = SIZE) -> list[Image]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), np.uint8) for _ in range(count)]


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return options(tmp_path_factory.mktemp("weights"))


def loaded(name: str, stand_in: dict[str, str], **more: Any) -> PostHoc:
    method = load_method(name, **stand_in, **more)
    assert isinstance(method, PostHoc)
    return method


def random_output(spread: float = 5.0) -> NetworkOutput:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(CLASSES + 1, *SIZE, generator=generator) * spread
    return NetworkOutput(logits[:CLASSES], logits[CLASSES:])


def same(one: Prediction, other: Prediction) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("score", "classes", "confidence")
    )


def full_logits(stand_in: dict[str, str], image: Image) -> Tensor:
    """All logits at the image's size, by the network and one call of torch."""
    network = load_network(stand_in["network"], stand_in["weights"])
    with torch.inference_mode():
        logits = network(network.preprocess(image))["logits"]
        return torch.nn.functional.interpolate(logits, image.shape[:2], mode="bilinear")[0]


# The formulas

Array = NDArray[np.float64]


def by_formula(name: str, logits: Array) -> Array:
    """The score of (20, h, w) logits in double precision, by SciPy."""
    closed = logits[:CLASSES]
    p = scipy.special.softmax(closed, axis=0)
    scores = {
        "msp": 1 - p.max(axis=0),
        "max_logit": -closed.max(axis=0),
        "entropy": scipy.stats.entropy(p, base=CLASSES, axis=0),
        "energy": -scipy.special.logsumexp(closed, axis=0),
        "void_class": scipy.special.softmax(logits, axis=0)[CLASSES],
    }
    return np.asarray(scores[name])


@every_score
@pytest.mark.parametrize("spread", [0.1, 5.0, 50.0])
def test_a_score_is_its_formula(name: str, spread: float, stand_in: dict[str, str]) -> None:
    output = random_output(spread)
    assert output.extra is not None
    logits = torch.cat([output.logits, output.extra]).double().numpy()
    found = loaded(name, stand_in).score(output)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, by_formula(name, logits), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["msp", "entropy", "void_class"])
def test_adding_a_number_to_all_logits_changes_no_probability_score(
    name: str, stand_in: dict[str, str]
) -> None:
    output, method = random_output(), loaded(name, stand_in)
    assert output.extra is not None
    moved = NetworkOutput(output.logits + 8, output.extra + 8)
    torch.testing.assert_close(method.score(moved), method.score(output), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["max_logit", "energy"])
def test_adding_a_number_to_all_logits_lowers_a_logit_score_by_it(
    name: str, stand_in: dict[str, str]
) -> None:
    output, method = random_output(), loaded(name, stand_in)
    moved = NetworkOutput(output.logits + 8)
    torch.testing.assert_close(method.score(moved), method.score(output) - 8)


def test_entropy_is_one_where_all_classes_are_equally_probable(stand_in: dict[str, str]) -> None:
    score = loaded("entropy", stand_in).score(NetworkOutput(torch.full((CLASSES, 2, 2), 7.0)))
    torch.testing.assert_close(score, torch.ones(2, 2))


def test_entropy_is_zero_where_one_class_is_certain(stand_in: dict[str, str]) -> None:
    logits = torch.zeros(CLASSES, 1, 1)
    logits[4] = 1e4
    score = loaded("entropy", stand_in).score(NetworkOutput(logits))
    assert score.item() == 0


def test_energy_at_a_temperature_is_its_formula(stand_in: dict[str, str]) -> None:
    output = random_output()
    expected = -2.5 * scipy.special.logsumexp(output.logits.double().numpy() / 2.5, axis=0)
    found = loaded("energy", stand_in, temperature="2.5").score(output)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.001, 1.0, 10.0])
def test_energy_is_below_max_logit_by_at_most_t_log_c(
    temperature: float, stand_in: dict[str, str]
) -> None:
    output = random_output()
    energy = loaded("energy", stand_in, temperature=temperature).score(output)
    below = loaded("max_logit", stand_in).score(output) - energy
    assert -1e-4 <= below.min() <= below.max() <= temperature * math.log(CLASSES) + 1e-4


@pytest.mark.parametrize("temperature", ["0", "-1", "nan", "inf"])
def test_a_temperature_that_is_no_temperature_is_refused(
    temperature: str, stand_in: dict[str, str]
) -> None:
    with pytest.raises(MethodError, match="it must be above 0"):
        loaded("energy", stand_in, temperature=temperature)


@pytest.mark.parametrize("name", ["msp", "max_logit", "entropy", "energy"])
def test_the_extra_class_has_no_say_in_a_closed_set_score(
    name: str, stand_in: dict[str, str]
) -> None:
    output, method = random_output(), loaded(name, stand_in)
    assert torch.equal(method.score(output), method.score(NetworkOutput(output.logits)))


def test_void_class_names_networks_that_have_one() -> None:
    with pytest.raises(MethodError, match=r"espnetv2 has none; use --network .*enet"):
        load_method("void_class", network="espnetv2")


# The prediction


@every_score
def test_logits_are_upsampled_before_the_score_by_default(
    name: str, stand_in: dict[str, str]
) -> None:
    (image,) = images(1)
    found = loaded(name, stand_in).predict(image)
    expected = by_formula(name, full_logits(stand_in, image).double().numpy())
    np.testing.assert_allclose(found.score, expected, rtol=1e-4, atol=1e-6)


@every_score
def test_the_score_is_upsampled_afterwards_on_demand(name: str, stand_in: dict[str, str]) -> None:
    (image,) = images(1)
    found = loaded(name, stand_in, upsample="score").predict(image)
    network = load_network(stand_in["network"], stand_in["weights"])
    with torch.inference_mode():
        low = network(network.preprocess(image))["logits"][0].double().numpy()
    score = torch.from_numpy(by_formula(name, low))[None, None]
    expected = torch.nn.functional.interpolate(score, SIZE, mode="bilinear")[0, 0]
    np.testing.assert_allclose(found.score, expected, rtol=1e-4, atol=1e-6)


def test_classes_and_confidence_do_not_depend_on_what_is_upsampled(
    stand_in: dict[str, str],
) -> None:
    (image,) = images(1)
    one = loaded("msp", stand_in).predict(image)
    other = loaded("msp", stand_in, upsample="score").predict(image)
    assert np.array_equal(one.classes, other.classes)
    assert np.array_equal(one.confidence, other.confidence)


def test_classes_are_the_best_of_nineteen(stand_in: dict[str, str]) -> None:
    (image,) = images(1)
    classes = loaded("msp", stand_in).predict(image).classes
    assert classes is not None
    assert classes.dtype == np.uint8
    assert np.array_equal(classes, full_logits(stand_in, image)[:CLASSES].argmax(dim=0))


def test_confidence_is_the_largest_of_nineteen_probabilities(stand_in: dict[str, str]) -> None:
    (image,) = images(1)
    confidence = loaded("max_logit", stand_in).predict(image).confidence
    assert confidence is not None
    assert confidence.dtype == np.float32
    expected = full_logits(stand_in, image)[:CLASSES].softmax(dim=0).amax(dim=0)
    np.testing.assert_allclose(confidence, expected, atol=1e-6)


def test_bfloat16_stays_near_float32(stand_in: dict[str, str]) -> None:
    (image,) = images(1)
    exact = loaded("max_logit", stand_in).predict(image).score
    rough = loaded("max_logit", stand_in, precision="bfloat16").predict(image).score
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - exact).max() < 0.05 * np.abs(exact).max()


# Many images


@every_score
def test_predictions_are_those_of_each_image_alone(name: str, stand_in: dict[str, str]) -> None:
    method = loaded(name, stand_in)
    together = list(method.predictions(images()))
    assert len(together) == 3
    assert all(map(same, together, map(method.predict, images())))


def test_images_of_different_sizes_follow_each_other(stand_in: dict[str, str]) -> None:
    mixed = images(1, (20, 30)) + images(1, (31, 17)) + images(1, (8, 8))
    found = loaded("msp", stand_in).predictions(mixed)
    assert [p.score.shape for p in found] == [(20, 30), (31, 17), (8, 8)]


def test_no_images_give_no_predictions(stand_in: dict[str, str]) -> None:
    assert list(loaded("msp", stand_in).predictions([])) == []


def test_methods_together_predict_as_each_alone(stand_in: dict[str, str]) -> None:
    methods = [loaded(name, stand_in) for name in SCORES]
    methods += [loaded(name, stand_in, upsample="score") for name in SCORES]
    for position, row in enumerate(PostHoc.predictions_together(methods, images())):
        alone = [method.predict(images()[position]) for method in methods]
        assert all(map(same, row, alone))


def test_methods_together_run_the_network_once_per_image(stand_in: dict[str, str]) -> None:
    methods = [loaded(name, stand_in) for name in SCORES]
    calls: list[object] = []
    methods[0]._loaded.register_forward_hook(lambda *call: calls.append(call))
    list(type(methods[0]).predictions_together(methods, images(3)))
    assert len(calls) == 3
    assert all(method._loaded is methods[0]._loaded for method in methods)


def test_methods_with_different_passes_are_not_run_together(stand_in: dict[str, str]) -> None:
    methods = [loaded("msp", stand_in), loaded("msp", stand_in, flip="yes")]
    with pytest.raises(ValueError, match="one forward key"):
        PostHoc.predictions_together(methods, images())


def test_a_network_is_loaded_once_and_not_before_it_is_used(
    stand_in: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def counted(name: str, weights: str) -> Any:
        calls.append(name)
        return load_network(name, weights)

    monkeypatch.setattr(_posthoc, "load_network", counted)
    method = loaded("msp", stand_in)
    method.weights_files(), method.modules(), method.forward_key(), method.trained_on
    assert calls == []
    list(method.predictions(images()))
    method.predict(images(1)[0])
    assert calls == [FILE]


def test_the_next_image_is_prepared_while_the_network_computes(stand_in: dict[str, str]) -> None:
    second_taken, waited = threading.Event(), []

    def source() -> Iterator[Image]:
        first, second = images(2)
        yield first
        second_taken.set()
        yield second

    method = loaded("msp", stand_in)
    method._loaded.register_forward_pre_hook(lambda *_: waited.append(second_taken.wait(10)))
    list(method.predictions(source()))
    assert waited == [True, True]


def test_no_more_than_one_image_is_taken_ahead(stand_in: dict[str, str]) -> None:
    taken = []

    def source() -> Iterator[Image]:
        for image in images(5):
            taken.append(image)
            yield image

    for done, _ in enumerate(loaded("msp", stand_in).predictions(source()), start=1):
        assert len(taken) <= done + 1


def test_an_error_among_the_images_comes_through(stand_in: dict[str, str]) -> None:
    def source() -> Iterator[Image]:
        yield images(1)[0]
        raise MethodError("the second image is broken")

    found = loaded("msp", stand_in).predictions(source())
    with pytest.raises(MethodError, match="the second image is broken"):
        list(found)


def test_stopping_early_ends_the_thread(stand_in: dict[str, str]) -> None:
    found = loaded("msp", stand_in).predictions(images(5))
    next(found)
    del found
    assert not any(thread.name.startswith("prepare") for thread in threading.enumerate())


def test_no_mode_of_torch_leaks_to_the_caller(stand_in: dict[str, str]) -> None:
    for _ in loaded("msp", stand_in, precision="bfloat16").predictions(images(2)):
        assert not torch.is_inference_mode_enabled()
        assert not torch.is_autocast_enabled("cpu")


# What identifies a run


def test_methods_that_differ_only_in_the_score_share_a_forward_key(
    stand_in: dict[str, str],
) -> None:
    assert len({loaded(name, stand_in).forward_key() for name in SCORES}) == 1


@pytest.mark.parametrize(
    "other", [{"flip": "yes"}, {"precision": "bfloat16"}, {"weights": "elsewhere.pth"}]
)
def test_another_pass_has_another_forward_key(
    other: dict[str, str], stand_in: dict[str, str]
) -> None:
    one = loaded("msp", stand_in)
    assert load_method("msp", **{**stand_in, **other}).forward_key() != one.forward_key()


def test_the_sources_of_a_method_include_the_network_and_the_shared_parts(
    stand_in: dict[str, str],
) -> None:
    names = {path.name for path in source_files(loaded("msp", stand_in))}
    shared = {"_posthoc.py", "_network.py", "_device.py", "_smoothing.py", "_views.py"}
    assert names >= {"msp.py", *shared, Path(FILE).name}
    assert "energy.py" not in names


def test_the_weights_and_the_data_behind_them_are_named(stand_in: dict[str, str]) -> None:
    method = loaded("msp", stand_in)
    assert method.weights_files() == {"network": Path(stand_in["weights"])}
    assert method.trained_on == ("nothing",)


# Mistakes


@pytest.mark.parametrize("device", ["cuda:99", "tpu", ""])
def test_a_device_that_is_not_there_is_refused(device: str, stand_in: dict[str, str]) -> None:
    with pytest.raises(MethodError, match=f"device '{device}' is not there") as error:
        load_method("msp", **{**stand_in, "device": device})
    assert "\n" not in str(error.value)


def test_a_network_that_is_not_there_is_refused_at_once() -> None:
    with pytest.raises(UnknownName, match="no network is called 'espnet'"):
        load_method("msp", network="espnet")


def test_float16_on_a_cpu_is_refused(stand_in: dict[str, str]) -> None:
    with pytest.raises(MethodError, match="a CPU takes bfloat16"):
        loaded("msp", stand_in, precision="float16")


def test_a_precision_that_does_not_exist_is_refused(stand_in: dict[str, str]) -> None:
    with pytest.raises(UnknownName, match="float31"):
        loaded("msp", stand_in, precision="float31")


# Real images

REFERENCE = {  # AP, AUROC and FPR95 in per cent of ESPNetv2 on RoadAnomaly21, by scikit-learn
    "msp": (26.7855, 72.6934, 63.6318),
    "max_logit": (25.4539, 73.0210, 61.1848),
    "entropy": (26.7730, 73.4209, 62.8974),
    "energy": (24.9682, 72.5659, 61.3814),
}


@pytest.mark.slow
def test_espnetv2_on_road_anomaly_21_gives_the_reference_table(data_folder: Path) -> None:
    from sklearn.metrics import auc as area
    from sklearn.metrics import average_precision_score, roc_curve

    weights = str(data_folder / "weights" / "espnetv2_s_2.0_city_1024x512.pth")
    methods = [
        load_method(name, network="espnetv2", weights=weights, device="cpu") for name in REFERENCE
    ]
    paths = sorted((data_folder / "RoadAnomaly21" / "labels_masks").glob("*.png"))
    labels = [np.asarray(PILImage.open(path)) for path in paths]
    opened = (PILImage.open(path.parents[1] / "images" / path.name) for path in paths)
    rows = PostHoc.predictions_together(methods, (np.asarray(i.convert("RGB")) for i in opened))
    scores: Sequence[Sequence[Prediction]] = list(zip(*rows, strict=True))
    truth = np.concatenate([label[label != 255] for label in labels])
    for name, of_one in zip(REFERENCE, scores, strict=True):
        score = np.concatenate(
            [p.score[label != 255] for p, label in zip(of_one, labels, strict=True)]
        )
        fpr, tpr, _ = roc_curve(truth, score)
        found = (average_precision_score(truth, score), area(fpr, tpr), fpr[tpr >= 0.95][0])
        np.testing.assert_allclose(np.multiply(found, 100), REFERENCE[name], atol=0.001)


# What the network has seen


def test_a_run_states_what_given_weights_have_seen_beside_the_networks_data(
    stand_in: dict[str, str],
) -> None:
    method = load_method("msp", **stand_in, also_trained_on="coco_proxy,nuscenes")
    assert method.trained_on == ("nothing", "coco_proxy", "nuscenes")


def test_weights_out_of_a_fit_carry_the_proxy_outliers_that_it_saw(tmp_path: Path) -> None:
    stand_in = options(tmp_path)
    (tmp_path / "fit.json").write_text('{"dataset": "scenes", "outliers": "coco_proxy"}', "utf-8")
    seen = ("nothing", "scenes", "coco_proxy", "coco_proxy as proxy outliers")
    assert load_method("msp", **stand_in).trained_on == seen


def test_an_ensemble_has_seen_what_each_of_its_members_has(tmp_path: Path) -> None:
    stand_in = options(tmp_path)
    fit = tmp_path / "fit"
    fit.mkdir()
    (fit / "fit.json").write_text('{"dataset": "scenes"}', "utf-8")
    method = load_method("deep_ensemble", **stand_in, members=f"{fit / 'state.safetensors'},")
    assert method.trained_on == ("nothing", "scenes")
