"""Entropy maximisation: learned from proxies, killed and resumed, scored with what was learned."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from fitting import labelled_frames
from safetensors.torch import save_file
from stand_in import options, state

import harness.fit
from harness.data import Frames, load_frames
from harness.errors import DataError, MethodError
from harness.fit import FitResult, fit
from harness.method import load_method
from harness.run import build
from harness.types import ANOMALY, Frame
from methods import _outlier_training
from methods._network import load_network
from methods.entropy_max import EntropyMax
from methods.networks.tiny import Tiny

SMALL = {"crop": "16", "frames_per_step": "2"}
IMAGE = np.random.default_rng(5).integers(0, 256, (37, 53, 3), np.uint8)


def outlier_frames() -> list[Frame]:
    label = np.zeros((37, 53), np.uint8)
    label[5:25, 10:40] = ANOMALY
    return [Frame(f"o{n}", np.roll(IMAGE, n, 0), label) for n in range(3)]


def few(name: str, *, root: Path | None = None) -> Frames:
    return load_frames(name, root=root).take(range(3))


@pytest.fixture
def network(tmp_path: Path) -> dict[str, str]:
    return options(tmp_path)


@pytest.fixture
def learned(network: dict[str, str], tmp_path: Path) -> tuple[dict[str, str], Path]:
    """Options of a fitted method, and the folder of its state; learned from frames of noise."""
    folder = tmp_path / "fit"
    folder.mkdir()
    given = {**network, **SMALL, "learning_rate": "0.01"}
    method: Any = load_method("entropy_max", **given)
    method.fit(
        labelled_frames(3), folder, outliers=outlier_frames(), steps=5, seed=0,
        progress=lambda *_: None,
    )  # fmt: skip
    return {**given, "fitted": str(folder)}, folder


# The score


def test_the_score_is_scipys_entropy_of_the_retrained_networks_softmax(
    learned: tuple[dict[str, str], Path],
) -> None:
    given, folder = learned
    retrained = load_network(given["network"], str(folder / "state.safetensors"))
    with torch.inference_mode():
        logits = retrained(retrained.preprocess(IMAGE))["logits"][:, :19]
        full = torch.nn.functional.interpolate(logits, IMAGE.shape[:2], mode="bilinear")
    p = full[0].double().softmax(dim=0).numpy()
    expected = scipy.stats.entropy(p, axis=0) / math.log(19)
    found = load_method("entropy_max", **given).predict(IMAGE).score
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_the_score_differs_from_that_of_the_network_as_it_was(
    learned: tuple[dict[str, str], Path], network: dict[str, str]
) -> None:
    found = load_method("entropy_max", **learned[0]).predict(IMAGE).score
    assert np.abs(found - load_method("entropy", **network).predict(IMAGE).score).max() > 0.01


def test_with_the_weights_of_before_the_score_is_plain_entropy(
    network: dict[str, str], tmp_path: Path
) -> None:
    save_file(state(), tmp_path / "state.safetensors")
    method = load_method("entropy_max", **network, fitted=str(tmp_path))
    plain = load_method("entropy", **network)
    assert np.array_equal(method.predict(IMAGE).score, plain.predict(IMAGE).score)
    assert np.array_equal(method.predict(IMAGE).classes, plain.predict(IMAGE).classes)


def test_after_the_logit_objective_the_score_is_the_max_logit(
    network: dict[str, str], tmp_path: Path
) -> None:
    save_file(state(), tmp_path / "state.safetensors")
    method = load_method("entropy_max", **network, fitted=str(tmp_path), objective="logit")
    plain = load_method("max_logit", **network)
    assert np.array_equal(method.predict(IMAGE).score, plain.predict(IMAGE).score)


@pytest.mark.parametrize(
    "more", [{"window": "20x30"}, {"flip": "true"}, {"scales": "0.5,1"}, {"precision": "bfloat16"}]
)
def test_the_options_of_post_hoc_methods_work(
    learned: tuple[dict[str, str], Path], more: dict[str, str]
) -> None:
    score = load_method("entropy_max", **learned[0], **more).predict(IMAGE).score
    assert score.shape == IMAGE.shape[:2]
    assert np.isfinite(score).all()


def test_it_shares_no_pass_with_methods_of_the_network_as_it_was(
    learned: tuple[dict[str, str], Path], network: dict[str, str]
) -> None:
    own = load_method("entropy_max", **learned[0]).forward_key()
    assert own != load_method("entropy", **network).forward_key()
    assert own == load_method("entropy_max", **learned[0]).forward_key()


def test_loading_another_state_takes_effect(
    learned: tuple[dict[str, str], Path], network: dict[str, str], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    save_file(state(), other / "state.safetensors")
    method: Any = load_method("entropy_max", **learned[0])
    before = method.predict(IMAGE).score
    method.load(other)
    assert not np.array_equal(method.predict(IMAGE).score, before)


def test_without_a_fit_it_says_what_it_needs(network: dict[str, str]) -> None:
    with pytest.raises(MethodError, match="EntropyMax is not fitted"):
        load_method("entropy_max", **network).predict(IMAGE)


def test_the_state_is_a_checkpoint_that_other_methods_take(
    learned: tuple[dict[str, str], Path], network: dict[str, str]
) -> None:
    given, folder = learned
    weights = str(folder / "state.safetensors")
    plain = load_method("entropy", **{**network, "weights": weights})
    own = load_method("entropy_max", **given)
    assert np.array_equal(plain.predict(IMAGE).score, own.predict(IMAGE).score)


# harness fit


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.fit, "load_frames", few)


def fit_it(network: dict[str, str], out: Path, **more: Any) -> FitResult:
    given = {"steps": 3, "outliers": "synthroad_outliers", **more}
    return fit("entropy_max", options={**network, **SMALL}, out=out, **given)


@pytest.mark.usefixtures("three")
def test_a_fit_leaves_weights_that_run_finds_and_the_network_loads(
    network: dict[str, str], tmp_path: Path
) -> None:
    result = fit_it(network, tmp_path / "fits")
    assert sorted(path.name for path in result.folder.iterdir()) == [
        "fit.json",
        "state.safetensors",
    ]
    assert load_network(network["network"], str(result.weights)).title == "Stand-in"
    ((_, method),) = build(["entropy_max"], {**network, **SMALL}, fits=tmp_path / "fits")
    assert isinstance(method, EntropyMax)
    assert Path(method.fitted) == result.folder


@pytest.mark.usefixtures("three")
def test_a_fit_tells_losses_and_the_mean_iou_before_and_after(
    network: dict[str, str], tmp_path: Path
) -> None:
    result = fit_it(network, tmp_path, seed=4)
    told = json.loads((result.folder / "fit.json").read_text("utf-8"))
    assert len(told["losses"]) == told["steps"] == 3
    assert 0 <= told["miou_before"] <= 1
    assert 0 <= told["miou"] == result.miou <= 1
    assert told["miou"] != told["miou_before"]
    assert told["outliers"] == "synthroad_outliers"
    assert told["seed"] == 4
    assert told["learning_rate"] == 1e-5
    assert {"outliers_fingerprint", "threads", "sources"} <= told.keys()


@pytest.mark.usefixtures("three")
def test_proxy_outliers_are_data_that_the_method_has_seen_and_are_marked(
    network: dict[str, str], tmp_path: Path
) -> None:
    result = fit_it(network, tmp_path)
    seen = load_method("entropy_max", **network, fitted=str(result.folder)).trained_on
    assert seen == (
        *("nothing", "synthroad_train", "synthroad_outliers"),
        "synthroad_outliers as proxy outliers",
    )


@pytest.mark.usefixtures("three")
def test_the_same_fit_gives_the_same_bytes_and_another_seed_others(
    network: dict[str, str], tmp_path: Path
) -> None:
    first, second = fit_it(network, tmp_path / "a"), fit_it(network, tmp_path / "b")
    other = fit_it(network, tmp_path / "a", seed=1)
    assert first.weights.read_bytes() == second.weights.read_bytes()
    assert first.weights.read_bytes() != other.weights.read_bytes()


@pytest.mark.usefixtures("three")
def test_without_proxy_outliers_it_says_what_to_give(
    network: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(MethodError, match="give --outliers DATASET"):
        fit_it(network, tmp_path, outliers="")


def test_run_says_which_command_makes_the_fit(tmp_path: Path) -> None:
    with pytest.raises(MethodError) as error:
        build(["entropy_max"], {"network": "tiny"}, fits=tmp_path)
    assert str(error.value).endswith(
        "Do: harness fit --method entropy_max --network tiny --dataset synthroad_train "
        "--outliers synthroad_outliers"
    )


KILLED = """
import sys
from pathlib import Path
import torch
import harness.fit
from harness.data import load_frames
from methods import _steps

torch.set_num_threads(1)
_steps.CHECKPOINT_EVERY = 2
harness.fit.load_frames = lambda name, root=None: load_frames(name, root=root).take(range(3))

def wait(what, done, total):
    if what.startswith("training") and done == 5:
        print("five", flush=True)
        sys.stdin.read()  # to be killed here: after a checkpoint, amid the steps

harness.fit.fit(
    "entropy_max", options={options!r}, out=Path({out!r}), steps=7,
    outliers="synthroad_outliers", progress=wait,
)
"""


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("three", "one_thread")
def test_a_fit_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    network: dict[str, str], tmp_path: Path
) -> None:
    script = KILLED.format(options={**network, **SMALL}, out=str(tmp_path / "killed"))
    with subprocess.Popen(
        [sys.executable, "-c", script], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "five\n"
        process.kill()
    (folder,) = (tmp_path / "killed").iterdir()
    assert (folder / "checkpoint.pt").is_file()
    assert not (folder / "fit.json").exists()
    steps = []

    def note(what: str, done: int, total: int) -> None:
        if what.startswith("training"):
            steps.append(done)

    resumed = fit_it(network, tmp_path / "killed", steps=7, progress=note)
    whole = fit_it(network, tmp_path / "whole", steps=7)
    assert resumed.folder == folder
    assert steps == [4, 5, 6, 7]
    assert resumed.weights.read_bytes() == whole.weights.read_bytes()
    told = [json.loads((each.folder / "fit.json").read_text("utf-8")) for each in (resumed, whole)]
    assert told[0]["losses"] == told[1]["losses"]


# Options


def test_the_small_network_learns_faster_than_published_ones() -> None:
    rates = [
        load_method("entropy_max", **given)._options(0).learning_rate  # type: ignore[attr-defined]
        for given in ({"network": "segformer-b0"}, {"network": "tiny"}, {"learning_rate": "0.5"})
    ]
    assert rates[0] == 1e-5
    assert rates[0] < rates[1] < rates[2] == 0.5


def test_defaults_are_those_of_the_training() -> None:
    plain = _outlier_training.Options(seed=3)
    method = load_method("entropy_max", network="segformer-b0")
    assert method._options(3) == plain  # type: ignore[attr-defined]


def test_options_out_of_range_are_refused_before_anything_is_learned() -> None:
    with pytest.raises(MethodError, match=r"outlier_weight is 2\.0; expected 0 to 1"):
        load_method("entropy_max", outlier_weight="2")


def test_fewer_frames_are_taken_where_the_option_says_so(tmp_path: Path) -> None:
    method: Any = load_method("entropy_max", frames="2")
    taken = method._learned_from(labelled_frames(9), seed=0)
    assert len(taken) == 2
    assert len(method._learned_from(load_frames("synthroad_train"), seed=0)) == 2


@pytest.mark.usefixtures("three")
def test_the_network_of_the_demonstration_is_retrained(tmp_path: Path) -> None:
    given = {"network": "tiny", "device": "cpu"}
    result = fit_it(given, tmp_path, steps=1)
    assert isinstance(load_network("tiny", str(result.weights)), Tiny)


def test_coco_is_short_for_the_proxy_outliers_made_of_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="coco_proxy"):
        fit("entropy_max", dataset="synthroad_train", outliers="coco", root=tmp_path, out=tmp_path)
