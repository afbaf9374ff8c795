"""`fit` of methods: one pass, the same bytes each time, and `run` finds what was learned."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from fitting import FITTED, SMALL, labelled_frames
from stand_in import options, state

import harness.fit
from harness.cli import main
from harness.data import Frames, load_frames
from harness.errors import DataError, MethodError
from harness.fit import FitResult, export_fit, fit, fitted
from harness.method import load_method
from harness.run import build, run
from harness.types import Frame
from methods import _fitted
from methods._fitted import FittedPostHoc, Sight, Tally

every_fitted = pytest.mark.parametrize("name", FITTED)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three frames of each split."""
    monkeypatch.setattr(harness.fit, "load_frames", three)


def three(name: str, *, root: Path | None = None) -> Frames:
    return load_frames(name, root=root).take(range(3))


@pytest.fixture
def network(tmp_path: Path) -> dict[str, str]:
    return options(tmp_path)


def fit_it(name: str, network: dict[str, str], out: Path, **more: Any) -> FitResult:
    given = {key: more.pop(key) for key in ("seed", "progress", "dataset") if key in more}
    return fit(name, options={**network, **more}, out=out, **given)


@every_fitted
def test_a_fit_leaves_a_state_that_run_finds(
    name: str, network: dict[str, str], tmp_path: Path
) -> None:
    result = fit_it(name, network, tmp_path / "fits")
    assert sorted(path.name for path in result.folder.iterdir()) == [
        "fit.json",
        "state.safetensors",
    ]
    ((_, method),) = build([name], network, fits=tmp_path / "fits")
    assert isinstance(method, FittedPostHoc)
    assert Path(method.fitted) == result.folder
    score = method.predict(labelled_frames(1)[0].image).score
    assert np.isfinite(score).all()
    assert np.ptp(score) > 0


@every_fitted
def test_a_killed_fit_goes_on_and_ends_with_the_same_bytes(
    name: str, network: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_fitted, "CHECKPOINT_EVERY", 1)
    seen: list[int] = []

    def kill(what: str, done: int, total: int) -> None:
        if what.startswith("fitting") and done == 2:
            raise KeyboardInterrupt

    def note(what: str, done: int, total: int) -> None:
        if what.startswith("fitting"):
            seen.append(done)

    with pytest.raises(KeyboardInterrupt):
        fit_it(name, network, tmp_path / "killed", progress=kill)
    resumed = fit_it(name, network, tmp_path / "killed", progress=note)
    whole = fit_it(name, network, tmp_path / "whole")
    assert seen == [3]
    assert resumed.weights.read_bytes() == whole.weights.read_bytes()
    assert resumed.folder.name == whole.folder.name


def test_a_fit_that_is_done_is_read(network: dict[str, str], tmp_path: Path) -> None:
    first = fit_it("knn", network, tmp_path)

    def refuse(what: str, done: int, total: int) -> None:
        assert not what.startswith("fitting")

    assert fit_it("knn", network, tmp_path, progress=refuse) == first


def test_a_fit_tells_what_it_came_from(network: dict[str, str], tmp_path: Path) -> None:
    result = fit_it("mahalanobis", network, tmp_path, frames="2", seed=7)
    told = json.loads((result.folder / "fit.json").read_text("utf-8"))
    assert told["options"]["frames"] == "2"
    assert told["options"]["pixels"] == "10000"
    assert told["seed"] == 7
    assert told["dataset"] == "synthroad_train"
    assert 0 < told["pixels_seen"] <= 20_000
    assert {"fingerprint", "sources", "versions"} <= told.keys()


def test_run_says_which_command_makes_the_fit(network: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(MethodError, match=r"with network .* is not fitted") as error:
        build(["knn"], {**network, "frames": "2"}, fits=tmp_path)
    assert "Do: harness fit --method knn --network" in str(error.value)
    assert "--set frames=2 --dataset cityscapes_train" in str(error.value)


def test_the_command_that_makes_the_fit_can_be_pasted(
    network: dict[str, str], tmp_path: Path
) -> None:
    weights = tmp_path / "a folder" / "weights.safetensors"
    weights.parent.mkdir()
    safetensors.torch.save_file(state(), weights)
    with pytest.raises(MethodError) as error:
        build(["vim"], {**network, "weights": str(weights), "origin": "mean"}, fits=tmp_path)
    words = shlex.split(str(error.value).partition("Do: ")[2].rstrip("."))
    assert words[:4] == ["harness", "fit", "--method", "vim"]
    assert words[words.index("--weights") + 1] == str(weights)
    assert "origin=mean" in words


def test_a_given_fit_of_other_options_or_another_method_is_refused(
    network: dict[str, str], tmp_path: Path
) -> None:
    folder = str(fit_it("react", network, tmp_path, quantile="0.5").folder)
    assert build(["react"], {**network, "quantile": "0.5", "fitted": folder}, fits=tmp_path)
    with pytest.raises(MethodError, match=r"does not suit \(quantile = 0.5, here 0.9\)"):
        build(["react"], {**network, "fitted": folder}, fits=tmp_path)
    with pytest.raises(MethodError, match="is a fit of react with network"):
        build(["kl_matching"], {**network, "fitted": folder}, fits=tmp_path)


def test_a_method_is_not_measured_by_the_labels_that_it_was_fitted_on(
    network: dict[str, str], tmp_path: Path
) -> None:
    folder = fit_it("react", network, tmp_path).folder
    told = json.loads((folder / "fit.json").read_text("utf-8"))
    (folder / "fit.json").write_text(json.dumps({**told, "dataset": "synthroad"}), "utf-8")
    methods = build(["react"], {**network, "fitted": str(folder)}, fits=tmp_path)
    with pytest.raises(MethodError, match="react: was fitted on synthroad, whose labels"):
        run(methods, load_frames("synthroad", limit=1), out=tmp_path)


def test_a_fit_on_fewer_frames_is_taken_unless_there_is_one_on_as_many_as_asked_for(
    network: dict[str, str], tmp_path: Path
) -> None:
    method = load_method("react", **network)
    few = fit_it("react", network, tmp_path, frames="1").folder
    assert fitted("react", method, fits=tmp_path) == few
    all_frames = fit_it("react", network, tmp_path).folder
    assert fitted("react", method, fits=tmp_path) == all_frames != few


def test_a_fit_with_other_options_is_not_taken(network: dict[str, str], tmp_path: Path) -> None:
    fit_it("react", network, tmp_path, quantile="0.5")
    method = load_method("react", **network)
    with pytest.raises(MethodError, match="is not fitted"):
        fitted("react", method, fits=tmp_path)


def test_a_fit_of_other_weights_is_not_taken(network: dict[str, str], tmp_path: Path) -> None:
    fit_it("kl_matching", network, tmp_path)
    other = tmp_path / "other.safetensors"
    safetensors.torch.save_file(state(seed=1), other)
    method = load_method("kl_matching", **{**network, "weights": str(other)})
    with pytest.raises(MethodError, match="is not fitted"):
        fitted("kl_matching", method, fits=tmp_path)


def test_among_several_fits_one_has_to_be_chosen(network: dict[str, str], tmp_path: Path) -> None:
    folders = {str(fit_it("knn", network, tmp_path, seed=seed).folder) for seed in (0, 1)}
    with pytest.raises(MethodError, match=r"several fits suit: .*; choose by --set fitted=FOLDER"):
        fitted("knn", load_method("knn", **network), fits=tmp_path)
    chosen = load_method("knn", **network, fitted=min(folders))
    assert fitted("knn", chosen, fits=tmp_path) is None


def test_a_score_does_not_need_to_be_fitted_anew(network: dict[str, str], tmp_path: Path) -> None:
    result = fit_it("knn", network, tmp_path)
    method = load_method("knn", **network, k="3")  # of the score alone
    assert fitted("knn", method, fits=tmp_path) == result.folder


def test_the_data_of_the_fit_is_data_that_the_method_has_seen(
    network: dict[str, str], tmp_path: Path
) -> None:
    result = fit_it("react", network, tmp_path)
    assert load_method("react", **network).trained_on == ("nothing",)
    loaded = load_method("react", **network, fitted=str(result.folder))
    assert loaded.trained_on == ("nothing", "synthroad_train")


def test_steps_are_refused_where_a_method_learns_without(
    network: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(MethodError, match="knn: learns without steps"):
        fit("knn", options=network, out=tmp_path, steps=3)


def test_a_published_table_needs_no_fit(network: dict[str, str], tmp_path: Path) -> None:
    method = load_method("sml", **network, statistics="segformer-b2")
    assert fitted("sml", method, fits=tmp_path) is None


# Frames


def numbers(count: int, of: int, seed: int = 0) -> list[int]:
    method: Any = load_method("knn", frames=count)
    return list(method._chosen(of, seed))


@pytest.mark.parametrize(("count", "of"), [(0, 5), (5, 5), (9, 5)])
def test_all_frames_are_learned_from_where_there_are_no_more(count: int, of: int) -> None:
    assert numbers(count, of) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("seed", range(5))
def test_fewer_frames_are_evenly_spaced(seed: int) -> None:
    chosen = numbers(7, 100, seed)
    assert len(chosen) == 7
    assert 0 <= chosen[0] <= chosen[-1] < 100
    assert set(np.diff(chosen)) <= {14, 15}


def test_the_seed_decides_where_they_begin() -> None:
    assert len({numbers(7, 100, seed)[0] for seed in range(20)}) > 3


def test_a_negative_number_of_frames_is_refused() -> None:
    with pytest.raises(MethodError, match="frames is -1; expected"):
        load_method("sml", frames="-1")


def learn(name: str, network: dict[str, str], frames: list[Frame], folder: Path) -> dict[str, Any]:
    learner: Any = load_method(name, **network)
    return dict(learner.fit(frames, folder, seed=0, progress=lambda *_: None))


def test_frames_without_classes_are_refused(network: dict[str, str], tmp_path: Path) -> None:
    bare = Frame("a", np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(DataError, match="a: has no classes"):
        learn("knn", network, [bare], tmp_path)


def test_no_frames_are_refused(network: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no frame to learn from"):
        learn("knn", network, [], tmp_path)


@pytest.mark.parametrize("name", sorted(set(FITTED) - {"sml"}))
def test_frames_of_void_alone_are_refused(
    name: str, network: dict[str, str], tmp_path: Path
) -> None:
    void = Frame("a", np.zeros((20, 30, 3), np.uint8), classes=np.full((20, 30), 255, np.uint8))
    with pytest.raises(MethodError, match=r"no pixel (of the data set has|with) one of the 19"):
        learn(name, network, [void], tmp_path)


def test_a_damaged_checkpoint_is_one_sentence(network: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(b"nothing")
    with pytest.raises(MethodError, match=r"checkpoint\.safetensors: .*cannot be read") as error:
        learn("knn", network, labelled_frames(), tmp_path)
    assert "\n" not in str(error.value)


def test_fitting_leaves_the_random_numbers_of_torch_alone(
    network: dict[str, str], tmp_path: Path
) -> None:
    before = torch.random.get_rng_state()
    learn("vim", network, labelled_frames(), tmp_path)
    assert torch.equal(before, torch.random.get_rng_state())


# What a fit sees


def test_a_fit_sees_each_frame_with_its_classes_and_void_as_minus_one(
    network: dict[str, str], tmp_path: Path
) -> None:
    frames = labelled_frames(2)
    sights: list[Sight] = []

    def note(_: Tally, sight: Sight) -> None:
        sights.append(sight)

    method: Any = load_method("knn", **network)
    method.tallied(frames, tmp_path, note, seed=0, progress=lambda *_: None)
    for sight, frame in zip(sights, frames, strict=True):
        assert frame.classes is not None
        expected = np.where(frame.classes == 255, -1, frame.classes.astype(int))
        assert np.array_equal(sight.classes, expected)
        assert np.array_equal(sight.labels((37, 53)), expected)
        assert sight.output.logits.shape == (19, 19, 27)
        assert sight.labels((19, 27))[4, 5] == expected[8, 10]


def test_a_method_without_a_layout_of_its_authors_is_not_exported(tmp_path: Path) -> None:
    for name in ("sml", "network:tiny"):
        with pytest.raises(MethodError, match="no layout of its authors"):
            export_fit(name, {}, None, tmp_path / "out.pth")


def test_the_command_exports_what_it_fitted_and_run_takes_it(
    network: dict[str, str], tmp_path: Path
) -> None:
    options = {**network, **SMALL["flowenedet"]}
    words = [each for key, value in options.items() for each in ("--set", f"{key}={value}")]
    words = ["fit", "--method", "flowenedet", *words, "--steps", "2", "--out", str(tmp_path)]
    done = CliRunner().invoke(main, [*words, "--export", str(tmp_path / "fed.pth")])
    assert done.exit_code == 0, done.stderr
    image = np.zeros((20, 30, 3), np.uint8)
    scores = [
        load_method("flowenedet", **{**options, "fitted": str(place)}).predict(image).score
        for place in (Path(done.stdout.strip()).parent, tmp_path / "fed.pth")
    ]
    assert np.allclose(*scores, atol=1e-6)
