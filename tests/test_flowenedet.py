"""FlowEneDet: the authors' evaluation, their checkpoints, and a training that can be killed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PILImage
from stand_in import options
from test_flow import filled
from test_views import GOLDEN_NETWORK
from torch import Tensor
from torch.nn import functional

from harness.errors import DataError, HarnessError, MethodError
from harness.method import load_method
from harness.types import Frame
from methods import _flow_checkpoint, _flow_training, _max_logits, _steps, flowenedet
from methods._flow import Flow, energies, pooled, posterior
from methods._flow_checkpoint import Learned, entries, learned
from methods._flow_crops import crop, crop_of
from methods._flow_curve import Point, ranked, write_curve
from methods._network import network_class
from methods._smoothing import at_boundaries
from methods.networks._mix_transformer import DropPath, MixTransformer

SEGFORMER = _max_logits.published("segformer-b2")
FEATURES = (
    "        d = torch.arange(256, dtype=torch.float64)[:, None, None]\n"
    "        features = torch.cos(0.05 * d + 0.3 * h[None, :, None] - 0.2 * w[None, None])\n"
    "        return {'features': features.float()[None], "
)


def saved(folder: Path, flow: Flow, statistics: Any = SEGFORMER) -> str:
    """A folder as a fit leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    state = entries(Learned(flow, statistics.means, statistics.variances))
    flowenedet.save_state(folder, state)
    return str(folder)


@pytest.fixture
def golden(tmp_path: Path) -> Callable[..., Any]:
    """Builds the method on the reference's logits and features, whatever the image."""
    code = GOLDEN_NETWORK.replace("        return {", FEATURES)
    assert FEATURES in code
    (tmp_path / "golden.py").write_text(code)
    torch.save({}, tmp_path / "golden.pth")
    made = {"network": str(tmp_path / "golden.py"), "weights": str(tmp_path / "golden.pth")}

    def build(context: int, **more: Any) -> Any:
        more.setdefault("fitted", saved(tmp_path / f"fit{context}", filled(4, context)))
        return load_method("flowenedet", **made, device="cpu", context=context, **more)

    return build


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Any]:
    """Builds the method on the stand-in, whose features have 6 channels."""
    made = options(tmp_path)
    torch.manual_seed(3)
    fitted = saved(tmp_path / "fit", Flow(4, 6).eval())
    return lambda **more: load_method("flowenedet", **made, **{"fitted": fitted, **more})


IMAGE = np.random.default_rng(0).integers(0, 256, (36, 52, 3), np.uint8)


# Scoring


@pytest.mark.parametrize(
    ("context", "mean", "probes"),
    [
        (0, 0.51410413, (0.5139501, 0.5135727, 0.5140629)),
        (32, 0.45329414, (0.4481987, 0.4552509, 0.4804551)),
    ],
)
def test_the_score_is_that_of_the_reference(
    context: int, mean: float, probes: tuple[float, ...], golden: Callable[..., Any]
) -> None:
    method = golden(context, post_processing="none")
    score = method.predict(np.zeros((24, 32, 3), np.uint8)).score
    assert score.mean() == pytest.approx(mean, abs=1e-5)
    found = [score[probe] for probe in ((0, 0), (5, 7), (23, 31))]
    assert found == pytest.approx(list(probes), abs=1e-5)


@pytest.mark.parametrize("context", [0, 32])
def test_with_flow_upsample_logits_and_context_are_upsampled_first(
    context: int, golden: Callable[..., Any]
) -> None:
    method = golden(context, post_processing="none", flow_upsample="yes")
    output = method._output(torch.zeros(1, 3, 24, 32))
    raise_to = {"size": (50, 70), "mode": "bilinear", "align_corners": False}
    logits = functional.interpolate(output.logits[None], **raise_to)[0]
    z = energies(logits, SEGFORMER.means, SEGFORMER.variances)
    rows = None
    if context:
        whole = functional.interpolate(pooled(output.features, 32)[None], **raise_to)
        rows = lambda near: whole[:, :, near]  # noqa: E731
    expected = posterior(filled(4, context)(z[None], rows))[0].detach()
    found = method.predict(np.zeros((50, 70, 3), np.uint8)).score
    assert np.allclose(found, expected.numpy(), atol=1e-5)
    later = golden(context, post_processing="none").predict(np.zeros((50, 70, 3), np.uint8)).score
    assert not np.allclose(found, later, atol=1e-5)


@pytest.mark.parametrize("upsample", ["yes", "no"])
def test_bands_give_the_whole(
    upsample: str, small: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = small(flow_upsample=upsample).predict(IMAGE).score
    monkeypatch.setattr(flowenedet, "BAND_VALUES", {"cpu": 7 * 52 * 19})
    assert np.allclose(small(flow_upsample=upsample).predict(IMAGE).score, whole, atol=1e-6)


VIEWS = [
    {},
    {"flow_upsample": "yes"},
    {"scales": "1,0.5"},
    {"scales": "0.75", "flow_upsample": "yes"},
    {"window": "20x24", "stride": "15x18"},
    {"window": "40x60", "stride": "30x45", "scales": "1,0.5", "flow_upsample": "yes"},
    {"post_processing": "smooth"},
    {"post_processing": "smooth", "flow_upsample": "yes", "window": "20x24"},
    {"flip": "yes"},
]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: "-".join(map(str, view)) or "whole")
def test_an_image_is_seen_as_in_the_authors_evaluation(
    view: dict[str, Any], small: Callable[..., Any]
) -> None:
    method = small(**view)
    found = method.predict(IMAGE)
    score, chances = evaluated(method, IMAGE)
    assert np.allclose(found.score, score.numpy(), atol=2e-6)
    assert np.array_equal(found.classes, chances.argmax(dim=0).numpy())
    assert np.allclose(found.confidence, chances.amax(dim=0).numpy(), atol=1e-6)


@torch.inference_mode()
def evaluated(method: Any, image: Any) -> tuple[Tensor, Tensor]:
    """The evaluation in the order of the authors' code, written plainly, without bands."""
    batch, size = method._loaded.preprocess(image), image.shape[:2]
    passes = []
    for scale in method.scales:
        for flip in (False, True) if method.flip else (False,):
            to = [round(side * scale) for side in size]
            view = brought(batch[0], to)[None]
            score, logits = slid(method, view.flip(-1) if flip else view, size)
            chances = brought(logits, size).softmax(dim=0)
            passes.append([brought(score, size), chances])
            if flip:
                passes[-1] = [each.flip(-1) for each in passes[-1]]
    score, chances = (sum(parts) / len(passes) for parts in zip(*passes, strict=True))
    return score[0], chances


def slid(method: Any, view: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Score and logits of a view at its own size, averaged over windows."""
    fed = view.shape[-2:]
    window, stride = method.window or fed, method.stride or method.window or fed
    inner = method.window or size
    starts = [
        [min(n * s, max(side - w, 0)) for n in range(max(side - w + s - 1, 0) // s + 1)]
        for side, w, s in zip(fed, window, stride, strict=True)
    ]
    total = torch.zeros(20, *fed)
    times = torch.zeros(fed)
    for top in starts[0]:
        for left in starts[1]:
            rows, columns = slice(top, top + window[0]), slice(left, left + window[1])
            part = view[..., rows, columns]
            logits, score = head(method, part, inner)
            extent = part.shape[-2:]
            total[:, rows, columns] += torch.cat((brought(logits, extent), brought(score, extent)))
            times[rows, columns] += 1
    total /= times
    return total[19:], total[:19]


def head(method: Any, part: Tensor, inner: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Logits, and the post-processed score at `inner`, of one window."""
    said = {name: value[0] for name, value in method._loaded(part).items()}
    logits, context = said["logits"][:19], said["features"]
    if method.flow_upsample:
        inputs, context = brought(logits, inner), brought(context, inner)
    else:
        inputs = logits
    z = energies(inputs, SEGFORMER.means, SEGFORMER.variances)
    score = posterior(method._learned.flow(z[None], lambda near: context[None, :, near]))
    if method.post_processing == "smooth":
        kernel = torch.exp(-((torch.arange(7.0) - 3) ** 2) / 2)
        kernel = torch.outer(kernel, kernel) / kernel.sum() ** 2
        padded = functional.pad(score[None], (3, 3, 3, 3), mode="reflect")
        return logits, functional.conv2d(padded, kernel[None, None])[0]
    classes = brought(inputs, inner).argmax(dim=0)
    return logits, at_boundaries(brought(score, inner)[0], classes, "boundary_smooth")[None]


def brought(maps: Tensor, size: Any) -> Tensor:
    return functional.interpolate(maps[None], tuple(size), mode="bilinear", align_corners=False)[0]


def test_it_runs_beside_another_with_the_same_pass_only_if_that_is_flowenedet(
    small: Callable[..., Any], tmp_path: Path
) -> None:
    one, other = small(), small(flow_upsample="yes", post_processing="none")
    assert one.forward_key() == other.forward_key()
    assert one.forward_key() != load_method("energy", **options(tmp_path)).forward_key()
    ((first, second),) = type(one).predictions_together((one, other), [IMAGE])
    assert np.array_equal(first.score, one.predict(IMAGE).score)
    assert np.array_equal(second.score, other.predict(IMAGE).score)


def test_logits_of_another_size_are_classified_anew_at_that_of_the_features(
    small: Callable[..., Any],
) -> None:
    method = small()
    output = method._output(method._loaded.preprocess(IMAGE))
    larger = functional.interpolate(output.logits[None], scale_factor=2)[0]
    stretched = type(output)(larger, None, output.features)
    assert torch.allclose(method.native(stretched).logits, output.logits, atol=1e-5)
    assert torch.allclose(method.score(stretched), method.score(output), atol=1e-6)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("blocks", "5", "has 4 or 8"),
        ("context", "-1", "expected 0"),
        ("crop", "7", "expected height x width"),
        ("learning_rate", "0", "expected one like"),
        ("upsample", "logits", "Known: score"),
        ("blocks", "8", "--set blocks=4 --set context=6"),
        ("context", "0", "--set blocks=4 --set context=6"),
        ("fitted", "", "not fitted"),
        ("fitted", "nowhere.pth", "no such file"),
    ],
)
def test_an_option_that_does_not_fit_is_one_sentence(
    option: str, value: str, said: str, small: Callable[..., Any]
) -> None:
    with pytest.raises(HarnessError, match=said):
        small(**{option: value}).predict(IMAGE)


def test_a_network_without_features_is_told_to_use_the_other_form(
    tmp_path: Path,
) -> None:
    (tmp_path / "golden.py").write_text(GOLDEN_NETWORK)
    torch.save({}, tmp_path / "golden.pth")
    made = {"network": str(tmp_path / "golden.py"), "weights": str(tmp_path / "golden.pth")}
    method = load_method(
        "flowenedet", **made, device="cpu", fitted=saved(tmp_path / "fit", filled(4, 32))
    )
    with pytest.raises(MethodError, match="--set context=0"):
        method.predict(np.zeros((24, 32, 3), np.uint8))


# Checkpoints


def official(flow: Flow, **change: Any) -> dict[str, Tensor]:
    """Entries as in a file of the authors."""
    found = {f"decode_head.flow_model.{name}": value for name, value in flow.state_dict().items()}
    found["decode_head.class_means"] = SEGFORMER.means
    found["decode_head.class_vars"] = SEGFORMER.variances
    found["decode_head.post_processor.first_conv.weight"] = torch.ones(1, 1, 3, 3)
    found["backbone.something"] = torch.zeros(3)
    return {**found, **change}


@pytest.mark.parametrize(("blocks", "context"), [(4, 0), (4, 32), (8, 0), (8, 5)])
def test_a_checkpoint_of_the_authors_is_read(blocks: int, context: int) -> None:
    flow = filled(blocks, context)
    found = learned(official(flow), where="file")
    assert (found.flow.blocks, found.flow.context) == (blocks, context)
    for name, value in flow.state_dict().items():
        assert torch.equal(found.flow.state_dict()[name], value)
    assert torch.equal(found.means, SEGFORMER.means)
    assert torch.equal(found.variances, SEGFORMER.variances)


@pytest.mark.parametrize("left_out", [".t.", ".s.", ".cn."])
def test_layers_may_be_saved_once_and_empty_entries_left_out(left_out: str) -> None:
    flow = filled(4, 0)
    state = {name: value for name, value in official(flow).items() if left_out not in name}
    if left_out == ".s.":
        with pytest.raises(MethodError, match=r"missing: rnvp\.0\.s\.0\.weight"):
            learned(state, where="file")
        return
    found = learned(state, where="file").flow.state_dict()
    assert all(torch.equal(found[name], value) for name, value in flow.state_dict().items())


def test_twins_that_differ_are_refused() -> None:
    name = "decode_head.flow_model.rnvp.2.t.5.bias"
    with pytest.raises(MethodError, match=r"rnvp\.2\.t\.5\.bias differs from rnvp\.2\.s\.5\.bias"):
        learned(official(filled(4, 0), **{name: torch.ones(2)}), where="file")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"decode_head.flow_model.rnvp.0.s.9.weight": torch.zeros(1)}, "unexpected"),
        ({"decode_head.flow_model.p_z.U": torch.zeros(4)}, "misshaped"),
        ({"decode_head.class_means": torch.zeros(20)}, "instead of"),
    ],
)
def test_entries_that_do_not_fit_are_refused(change: dict[str, Tensor], said: str) -> None:
    with pytest.raises(MethodError, match=said):
        learned(official(filled(4, 0), **change), where="file")


def test_a_file_without_a_flow_is_refused() -> None:
    with pytest.raises(MethodError, match="a checkpoint of FlowEneDet was expected"):
        learned({"backbone.weight": torch.zeros(1)}, where="file")


def test_an_authors_file_is_given_as_fitted_and_its_statistics_go_first(
    tmp_path: Path, golden: Callable[..., Any]
) -> None:
    meta = {"iter": 50_000, "mmseg_version": "0.28.0"}
    file = tmp_path / "fed.pth"
    torch.save({"meta": meta, "state_dict": official(filled(4, 32)), "optimizer": {}}, file)
    image = np.zeros((24, 32, 3), np.uint8)
    expected = golden(32).predict(image).score
    for statistics in ("fit", "deeplabv3plus-r101"):
        method = golden(32, fitted=str(file), statistics=statistics)
        assert np.array_equal(method.predict(image).score, expected)
    assert method.weights_files()["fit"] == file


def test_a_file_without_statistics_asks_for_a_table(
    tmp_path: Path, golden: Callable[..., Any]
) -> None:
    state = {k: v for k, v in official(filled(4, 32)).items() if "class_" not in k}
    torch.save(state, tmp_path / "fed.pth")
    image, file = np.zeros((24, 32, 3), np.uint8), str(tmp_path / "fed.pth")
    with pytest.raises(MethodError, match="--set statistics=segformer-b2"):
        golden(32, fitted=file).predict(image)
    found = golden(32, fitted=file, statistics="segformer-b2").predict(image).score
    assert np.array_equal(found, golden(32).predict(image).score)


def test_an_export_is_read_again_to_the_same_scores(
    tmp_path: Path, small: Callable[..., Any]
) -> None:
    method = small()
    method.export(tmp_path / "out" / "fed.pth")
    again = small(fitted=str(tmp_path / "out" / "fed.pth"))
    assert np.array_equal(again.predict(IMAGE).score, method.predict(IMAGE).score)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["fed.pth"]
    with pytest.raises(MethodError, match=r"ends in \.pth"):
        method.export(tmp_path / "fed.txt")


def test_an_export_has_the_entries_of_the_authors_files(tmp_path: Path) -> None:
    flow = filled(4, 0)
    trained = Learned(flow, SEGFORMER.means, SEGFORMER.variances)
    _flow_checkpoint.export(tmp_path / "fed.pth", trained, {"backbone.a": torch.ones(1)}, "test")
    found = torch.load(tmp_path / "fed.pth", weights_only=True)
    assert set(found) == {"meta", "state_dict"}
    state = found["state_dict"]
    assert len(state) == 99 + 2 + 2 + 1
    assert state["decode_head.flow_model.cn.0.shift"].shape == (1, 0, 1, 1)
    assert state["decode_head.flow_model.cn.0.initialized"].shape == (1,)
    kernel = state["decode_head.post_processor.second_conv.weight"]
    assert kernel.shape == (1, 1, 7, 7)
    assert kernel.sum().item() == pytest.approx(1, abs=1e-6)
    assert kernel[0, 0, 3, 3].item() == pytest.approx(0.159241, abs=1e-5)


@pytest.mark.parametrize(
    ("network", "blocks", "context", "entries_expected"),
    [("segformer-b2-mmseg", 8, 32, 531), ("deeplabv3plus-r101", 4, 32, 825)],
)
def test_network_and_flow_have_as_many_entries_as_the_authors_files(
    network: str, blocks: int, context: int, entries_expected: int
) -> None:
    with torch.device("meta"):
        names = {*network_class(network)().state_dict()}
        names |= {f"decode_head.flow_model.{name}" for name in Flow(blocks, context).state_dict()}
    post_processor, statistics = 2, 2
    assert "decode_head.conv_seg.weight" in names
    assert len(names) + post_processor + statistics == entries_expected


# Training


def frames(count: int = 3, size: tuple[int, int] = (40, 56)) -> list[Frame]:
    rng = np.random.default_rng(1)
    return [
        Frame(
            str(number),
            rng.integers(0, 256, (*size, 3), np.uint8),
            classes=rng.choice(np.array([0, 3, 7, 255], np.uint8), size),
        )
        for number in range(count)
    ]


def fit(method: Any, folder: Path, **chosen: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    given = {"validation": frames(2), "steps": 4, "seed": 0, "progress": lambda *told: None}
    return method.fit(frames(), folder, **{**given, **chosen})


@pytest.fixture
def untrained(tmp_path: Path) -> Callable[..., Any]:
    made = options(tmp_path)
    return lambda **more: load_method("flowenedet", **made, crop="24x32", **more)


@pytest.mark.parametrize(("context", "width"), [("0", 0), ("4", 4), ("32", 6)])
def test_a_fit_leaves_a_state_that_scores(
    context: str, width: int, untrained: Callable[..., Any], tmp_path: Path
) -> None:
    told = fit(untrained(context=context), tmp_path / "fit")
    assert (told["steps"], told["context_width"], told["crop"]) == (4, width, [24, 32])
    score = untrained(context=context, fitted=str(tmp_path / "fit")).predict(IMAGE).score
    assert 0 < score.min() < score.max() < 1
    json.dumps(told)


def test_a_fit_leaves_its_curve_as_a_table_and_a_picture(
    untrained: Callable[..., Any], tmp_path: Path
) -> None:
    fit(untrained(), tmp_path / "fit")
    table = (tmp_path / "fit" / "curve.csv").read_text().splitlines()
    assert table[0].startswith("step,learning_rate,training_loss,validation_loss,validation_ap")
    assert [line.split(",")[0] for line in table[1:]] == ["1", "2", "3", "4"]
    with PILImage.open(tmp_path / "fit" / "curve.png") as picture:
        assert picture.size == (640, 360)
        assert len(picture.getcolors(1 << 16)) > 5


def test_a_killed_fit_goes_on_and_ends_with_the_same_bytes(
    untrained: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_steps, "CHECKPOINT_EVERY", 1)

    def kill(what: str, done: int, total: int) -> None:
        if what == "training the flow" and done == 2:
            raise KeyboardInterrupt

    told: list[tuple[str, int]] = []
    with pytest.raises(KeyboardInterrupt):
        fit(untrained(), tmp_path / "killed", progress=kill)
    fit(
        untrained(),
        tmp_path / "killed",
        progress=lambda what, done, _: told.append((what, done)),
    )
    fit(untrained(), tmp_path / "whole")
    assert told == [("training the flow", done) for done in (2, 3, 4)]
    for name in ("state.safetensors", "curve.csv", "curve.png"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_broken_checkpoint_is_one_sentence(untrained: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "fit").mkdir()
    (tmp_path / "fit" / "checkpoint.pt").write_bytes(b"no zip")
    with pytest.raises(MethodError, match=r"checkpoint\.pt: cannot be read"):
        fit(untrained(), tmp_path / "fit")


def test_another_seed_gives_another_flow(untrained: Callable[..., Any], tmp_path: Path) -> None:
    for seed in (0, 1):
        fit(untrained(), tmp_path / str(seed), seed=seed)
    first, second = ((tmp_path / str(seed) / "state.safetensors").read_bytes() for seed in (0, 1))
    assert first != second


def test_training_leaves_the_random_numbers_of_torch_alone(
    untrained: Callable[..., Any], tmp_path: Path
) -> None:
    before = torch.random.get_rng_state()
    fit(untrained(), tmp_path / "fit")
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_published_table_takes_the_place_of_the_estimate(
    untrained: Callable[..., Any], tmp_path: Path
) -> None:
    fit(untrained(statistics="segformer-b2"), tmp_path / "fit")
    method = untrained(statistics="segformer-b2", fitted=str(tmp_path / "fit"))
    assert torch.equal(method._learned.means, SEGFORMER.means)


def test_without_statistics_the_first_energy_falls_with_that_of_the_logits(
    untrained: Callable[..., Any], tmp_path: Path
) -> None:
    method = untrained(statistics="none")
    fit(method, tmp_path / "fit")
    means, variances = method.given_statistics()
    output = method._output(method._loaded.preprocess(IMAGE))
    inside = energies(output.logits, means, variances)[0]
    assert torch.allclose(inside, functional.logsigmoid(output.logits.logsumexp(dim=0)), atol=1e-6)
    learned_means = untrained(statistics="none", fitted=str(tmp_path / "fit"))._learned.means
    assert torch.equal(learned_means, means)


def test_statistics_are_the_moving_estimate_over_crops(
    untrained: Callable[..., Any], tmp_path: Path
) -> None:
    method = untrained()
    found = method.estimated(frames(), tmp_path, (24, 32), 0, lambda *told: None)
    tally: dict[str, Tensor] = {}
    for number in range(3):
        image, classes = crop_of(frames(), number, (24, 32), seed=0, stream=0)
        padded = np.full((24, 32), 255, np.uint8)
        padded[: classes.shape[0], : classes.shape[1]] = classes
        batch = functional.pad(
            method._loaded.preprocess(image),
            (0, 32 - classes.shape[1], 0, 24 - classes.shape[0]),
        )
        with torch.inference_mode():
            logits = brought(method._loaded(batch)["logits"][0, :19], (24, 32))
        labelled = torch.from_numpy(padded.astype(np.int64))
        _max_logits.add_moving(tally, logits, labelled.masked_fill(labelled == 255, -1))
    seen = tally["means"] != 0
    assert 0 < seen.sum() < 19
    for value, expected in zip(found, (tally["means"], tally["variances"]), strict=True):
        assert torch.allclose(value[seen], expected[seen])
        assert torch.allclose(value[~seen], expected[seen].mean())  # no class wins unseen


def test_void_and_padding_count_as_wrong(untrained: Callable[..., Any]) -> None:
    method = untrained()
    classes = np.full((36, 52), 255, np.uint8)
    target = method.seen(IMAGE, classes, SEGFORMER.means, SEGFORMER.variances, (40, 60)).target
    assert target.shape == (40, 60)
    assert target.min() == 1


def test_the_target_is_where_the_predicted_class_is_not_the_labelled(
    untrained: Callable[..., Any], small: Callable[..., Any]
) -> None:
    predicted = small().predict(IMAGE).classes
    classes = predicted.copy()
    classes[:9] = 255
    classes[9:12] = (classes[9:12] + 1) % 19
    target = untrained().seen(IMAGE, classes, SEGFORMER.means, SEGFORMER.variances).target
    assert (target.numpy() == (np.arange(36)[:, None] < 12)).all()


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_network_is_left_as_it_was(mode: str, tmp_path: Path) -> None:
    method = load_method("flowenedet", crop="64x64", frozen_mode=mode, device="cpu")
    before = {name: value.clone() for name, value in method._loaded.state_dict().items()}
    method.fit(
        frames(1, (64, 64)), tmp_path, validation=(), steps=1, seed=0, progress=lambda *told: None
    )
    after = method._loaded.state_dict()
    assert not method._loaded.training
    assert not any(module.training for module in method._loaded.modules())
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert all(name.endswith("num_batches_tracked") for name in changed)


def test_in_train_mode_a_crop_is_normalised_by_its_own_statistics(tmp_path: Path) -> None:
    image = frames(1, (64, 64))[0].image
    kept, own = (
        load_method("flowenedet", frozen_mode=mode, device="cpu") for mode in ("eval", "train")
    )
    size = (64, 64)
    assert not torch.allclose(own.output_of(image, size).logits, kept.output_of(image, size).logits)
    assert torch.equal(own.output_of(image).logits, kept.output_of(image).logits)


def test_in_train_mode_a_mix_transformer_draws_which_branches_it_leaves_out(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = tmp_path / "weights.pth"
    torch.save(network_class("segformer-b0-mmseg")().state_dict(), weights)
    method = load_method(
        "flowenedet", network="segformer-b0-mmseg", weights=str(weights), frozen_mode="train",
        device="cpu",
    )  # fmt: skip
    image = frames(1, (64, 64))[0].image

    def logits(seed: int, size: tuple[int, ...]) -> Tensor:
        torch.manual_seed(seed)
        return method.output_of(image, size).logits

    crops = [logits(seed, (64, 64)) for seed in range(4)]
    assert torch.equal(crops[0], logits(0, (64, 64)))
    assert any(not torch.allclose(crops[0], other) for other in crops[1:])
    assert torch.equal(logits(0, ()), logits(1, ()))
    assert not any(module.training for module in method._loaded.modules())


def test_a_branch_is_left_out_for_a_whole_image_and_the_mean_stays() -> None:
    torch.manual_seed(0)
    path, branch = DropPath(0.25), torch.ones(4000, 2, 3)
    made = path(branch)
    assert torch.equal(made, made[:, :1, :1].expand_as(made))
    assert set(made.unique().tolist()) == {0.0, float(torch.tensor(1.0) / 0.75)}
    assert abs(float(made.mean()) - 1) < 0.03
    assert torch.equal(path.eval()(branch), branch)


def test_branches_are_left_out_more_often_the_deeper_they_lie() -> None:
    with torch.device("meta"):
        encoder = MixTransformer((32, 64, 160, 256), (3, 4, 6, 3), 1e-6)
    shares = [path.share for path in encoder.modules() if isinstance(path, DropPath)]
    assert shares == pytest.approx(torch.linspace(0, 0.1, 16).tolist())


def test_frames_without_classes_are_refused(untrained: Callable[..., Any], tmp_path: Path) -> None:
    bare = [Frame("a", IMAGE)]
    with pytest.raises(DataError, match="a: has no classes"):
        untrained().fit(bare, tmp_path, validation=(), steps=1, seed=0, progress=lambda *told: None)


def test_the_schedule_is_the_published_one_stretched() -> None:
    rate = _flow_training.learning_rate
    assert rate(0, 50_000) == pytest.approx(1e-9)
    assert rate(2_000, 50_000) == pytest.approx(5e-4, rel=1e-5)
    assert [rate(step, 50_000) for step in (4_000, 14_999)] == [1e-3, 1e-3]
    assert [rate(step, 50_000) for step in (15_000, 30_000, 45_000)] == pytest.approx(
        [1e-4, 1e-5, 1e-6]
    )
    assert [rate(step, 500) for step in (20, 150, 300, 450)] == pytest.approx(
        [rate(step, 50_000) for step in (2_000, 15_000, 30_000, 45_000)]
    )


def test_the_loss_is_of_upsampled_log_densities() -> None:
    flow, target = filled(4, 0), torch.zeros(48, 64, dtype=torch.int64)
    z = -torch.rand(2, 24, 32, generator=torch.Generator().manual_seed(0)) - 0.1
    seen = _flow_training.Seen(z, None, target)
    logs = functional.interpolate(flow(z[None]), (48, 64), mode="bilinear", align_corners=False)
    expected = -(logs[:, 0] - logs.logsumexp(dim=1)).mean()
    assert _flow_training.loss_of(flow, seen).item() == pytest.approx(expected.item(), abs=1e-6)


def test_a_flow_learns_what_its_energies_say(tmp_path: Path) -> None:
    """Wrong where log P(in | x) is low: after some steps that is what ranks."""
    target = torch.zeros(16, 16, dtype=torch.int64)
    target[:, 9:] = 1
    inside = torch.where(target == 1, -2.0, -0.05)
    z = torch.stack((inside, torch.log(1 - inside.exp())))
    seen = _flow_training.Seen(z, None, target)
    torch.manual_seed(0)
    flow = Flow(4, 0)

    image = np.zeros((1, 1, 3), np.uint8)
    curve = _flow_training.trained(
        flow, lambda step: (image, image[..., 0]), lambda crop: seen, lambda: [seen], tmp_path,
        steps=400, top=1e-3, seed=0, progress=lambda *told: None,
    )  # fmt: skip
    assert curve[-1].validation_loss < curve[0].validation_loss
    assert curve[-1].validation_auroc > 0.9


# Crops and the curve


def test_a_crop_is_no_larger_than_asked_and_holds_what_the_frame_holds() -> None:
    (frame,) = frames(1)
    for number in range(8):
        image, classes = crop(frame, (24, 32), np.random.default_rng(number))
        assert image.shape[:2] == classes.shape
        assert all(side <= most for side, most in zip(classes.shape, (24, 32), strict=True))
        assert set(np.unique(classes)) <= {0, 3, 7, 255}


def test_image_and_classes_are_cropped_at_the_same_place() -> None:
    classes = (np.arange(40)[:, None] // 8 + np.arange(56)[None] // 8).astype(np.uint8)
    image = np.repeat(classes[..., None] * 10, 3, axis=2)
    for number in range(5):
        rng = np.random.default_rng(number)
        found, near = crop(Frame("a", image, classes=classes), (24, 32), rng)
        assert np.abs(found[..., 0] / 10.0 - near).max() <= 0.75
        assert np.mean(found[..., 0] == near * 10) > 0.6


def test_a_crop_of_one_class_alone_is_drawn_again() -> None:
    classes = np.zeros((40, 400), np.uint8)
    classes[:, 300:] = np.arange(100)[None] // 10
    frame = Frame("a", np.zeros((40, 400, 3), np.uint8), classes=classes)
    mixed = [
        len(np.unique(crop(frame, (40, 40), np.random.default_rng(number))[1])) > 1
        for number in range(40)
    ]
    assert np.mean(mixed) > 0.7  # about a quarter of all places


def test_crops_depend_on_seed_and_number_alone() -> None:
    def image(number: int, seed: int = 0, stream: int = 1) -> Any:
        return crop_of(frames(), number, (24, 32), seed=seed, stream=stream)[0]

    assert np.array_equal(image(4), image(4))
    for other in (image(3), image(4, seed=1), image(4, stream=0)):
        assert not np.array_equal(other, image(4))


def test_the_ranking_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(0)
    scores, targets = rng.integers(0, 20, 300).astype(np.float32), rng.random(300) < 0.3
    ap, auroc = ranked(torch.from_numpy(scores), torch.from_numpy(targets))
    assert ap == pytest.approx(average_precision_score(targets, scores))
    assert auroc == pytest.approx(roc_auc_score(targets, scores))


def test_a_curve_without_validation_is_drawn_too(tmp_path: Path) -> None:
    nothing = float("nan")
    write_curve(tmp_path, [Point(5, 1e-3, 0.7, nothing, nothing, nothing)])
    assert (tmp_path / "curve.csv").read_text().splitlines()[1] == "5,0.001,0.7,,,"
    assert (tmp_path / "curve.png").stat().st_size > 0
