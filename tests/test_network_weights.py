"""Weights come from where they are pinned to, load key by key, and never run code."""

import hashlib
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch
from huggingface_hub.errors import HFValidationError
from stand_in import FILE, StandIn, state
from test_networks import REAL_FILES
from torch import Tensor, nn

from harness.errors import MethodError
from methods import _network
from methods._network import (
    NETWORKS_FOLDER,
    load_network,
    network_class,
    network_names,
    network_weights_path,
)
from methods._weights import Source, load_strictly, read_weights

SOURCES = [(name, source) for name in network_names() for source in network_class(name).sources]


def one_sentence(error: pytest.ExceptionInfo[MethodError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def written(folder: Path, found: dict[str, Tensor], ending: str = ".safetensors") -> str:
    path = folder / f"weights{ending}"
    if ending == ".safetensors":
        safetensors.torch.save_file(found, path)
    else:
        torch.save(found, path)
    return str(path)


@pytest.fixture
def source_of_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Source]:
    """The stand-in's weights as a file behind an address, and the network's source so."""
    origin = tmp_path / "origin" / "stand_in.safetensors"
    origin.parent.mkdir()
    safetensors.torch.save_file(state(), origin)
    digest = hashlib.sha256(origin.read_bytes()).hexdigest()
    source = Source(origin.as_uri(), digest, "CC0")
    monkeypatch.setattr(network_class(FILE), "sources", (source,))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return origin, source


# Reading


@pytest.mark.parametrize("ending", [".safetensors", ".pth", ".pt", ".bin"])
def test_all_formats_give_the_same_weights(ending: str, tmp_path: Path) -> None:
    found = read_weights(Path(written(tmp_path, state(), ending)))
    assert found.keys() == state().keys()
    assert all(torch.equal(found[key], value) for key, value in state().items())


def test_a_training_checkpoint_is_unwrapped(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save({"epoch": 3, "state_dict": state()}, path)
    assert read_weights(path).keys() == state().keys()


@pytest.mark.parametrize("is_zip", [True, False])
def test_numbers_of_numpy_beside_the_weights_are_read(is_zip: bool, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    beside = {"epoch": 3, "mean_iu": np.float64(0.8), "best": np.bool_(True)}
    torch.save({"state_dict": state(), **beside}, path, _use_new_zipfile_serialization=is_zip)
    assert read_weights(path).keys() == state().keys()


def test_counters_of_batch_normalisation_may_be_missing() -> None:
    found = nn.BatchNorm2d(2)
    old = {k: v + 1 for k, v in found.state_dict().items() if k != "num_batches_tracked"}
    load_strictly(found, old, where="a file")
    assert torch.equal(found.weight, torch.full((2,), 2.0))
    with pytest.raises(MethodError, match="missing: running_var"):
        load_strictly(found, {k: v for k, v in old.items() if k != "running_var"}, where="a file")


def test_pickled_code_is_not_run(tmp_path: Path) -> None:
    witness = tmp_path / "witness"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (witness,)

    path = tmp_path / "trap.pth"
    torch.save({"head.weight": Trap()}, path)
    with pytest.raises(MethodError, match="never run") as error:
        read_weights(path)
    assert str(path) in one_sentence(error)
    assert not witness.exists()


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_named(ending: str, share: float, tmp_path: Path) -> None:
    path = Path(written(tmp_path, state(), ending))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(MethodError) as error:
        read_weights(path)
    assert str(path) in one_sentence(error)


def test_a_text_file_is_no_file_of_weights(tmp_path: Path) -> None:
    path = tmp_path / "text.pth"
    path.write_text("hello")
    with pytest.raises(MethodError, match=r"text\.pth: the weights cannot be read"):
        read_weights(path)


def test_another_ending_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    path.write_bytes(b"")
    with pytest.raises(MethodError, match=r"end in \.safetensors, \.pth, \.pt, \.bin or \.pkl"):
        read_weights(path)


def test_a_file_without_a_state_dict_says_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"epoch": 3, "optimizer": {}}, path)
    with pytest.raises(MethodError, match="found epoch, optimizer"):
        read_weights(path)


# Loading


def test_wrong_keys_are_listed_by_name(tmp_path: Path) -> None:
    found = state()
    found["neck.weight"] = found.pop("body.weight")
    found["head.bias"] = torch.zeros(19)
    with pytest.raises(MethodError) as error:
        load_network(FILE, written(tmp_path, found))
    assert re.search(
        r"not the weights of StandIn; missing: body\.weight; unexpected: neck\.weight; "
        r"misshaped: head\.bias 19 instead of 20",
        one_sentence(error),
    )


def test_a_long_list_of_wrong_keys_is_cut(tmp_path: Path) -> None:
    found = {f"layer{number:02}.weight": torch.zeros(1) for number in range(50)}
    with pytest.raises(MethodError, match=r"layer07\.weight and 42 more"):
        load_network(FILE, written(tmp_path, found))


def test_keys_of_a_parallel_wrapper_load(tmp_path: Path) -> None:
    wrapped = {f"module.{key}": value for key, value in state().items()}
    network = load_network(FILE, written(tmp_path, wrapped))
    assert torch.equal(network.state_dict()["head.weight"], state()["head.weight"])


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    half = {key: value.half() for key, value in state().items()}
    network = load_network(FILE, written(tmp_path, half))
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32}


def test_a_network_is_loaded_for_evaluation(tmp_path: Path) -> None:
    network = load_network(FILE, written(tmp_path, state()))
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_loading_leaves_the_random_state_alone(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    load_network(FILE, written(tmp_path, state()))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_denormal_weights_become_zero_and_others_stay(tmp_path: Path) -> None:
    found = state()
    found["head.bias"] = torch.full((20,), 1e-40)
    found["body.bias"] = torch.full((6,), -1.2e-38)
    network = load_network(FILE, written(tmp_path, found))
    assert torch.equal(network.state_dict()["head.bias"], torch.zeros(20))
    assert torch.equal(network.state_dict()["body.bias"], found["body.bias"])


def test_entries_that_are_spare_are_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_class(FILE), "spare", ("aux.*",))
    found = {**state(), "aux.weight": torch.zeros(1), "aux.bias": torch.zeros(0)}
    network = load_network(FILE, written(tmp_path, found, ".pth"))
    assert network.left_out == ("aux.weight", "aux.bias")
    assert load_network(FILE, written(tmp_path, state())).left_out == ()


def test_spare_entries_may_be_absent_but_others_may_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_class(FILE), "spare", ("aux.*",))
    found = {"aux.weight": torch.zeros(1), "auxiliary": torch.zeros(1), **state()}
    with pytest.raises(MethodError, match=r"StandIn; unexpected: auxiliary\."):
        load_network(FILE, written(tmp_path, found, ".pth"))


# Finding


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(MethodError, match=r"nowhere\.pth: no such file; weights of network"):
        network_weights_path(FILE, str(tmp_path / "nowhere.pth"))


def test_weights_without_address_and_sha256_are_described(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source("", "", "CC0", note="kept by the authors")
    monkeypatch.setattr(network_class(FILE), "sources", (source,))
    with pytest.raises(MethodError, match=r"weights have no public .*PATH\. kept by the authors"):
        network_weights_path(FILE)


def test_a_network_without_weights_asks_for_them() -> None:
    with pytest.raises(MethodError, match="no weights of its own; give --weights PATH"):
        network_weights_path(FILE)


def test_weights_without_an_address_are_described(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source("", "12ab", "CC0", note="kept by the authors")
    monkeypatch.setattr(network_class(FILE), "sources", (source,))
    with pytest.raises(MethodError, match=r"12ab.*--weights PATH\. kept by the authors"):
        network_weights_path(FILE)


def test_weights_of_the_package_lie_beside_the_networks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network_class(FILE), "sources", (Source("enet.py", "", ""),))
    assert network_weights_path(FILE) == NETWORKS_FOLDER / "enet.py"


def test_absent_weights_of_the_package_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_class(FILE), "sources", (Source("gone.safetensors", "", ""),))
    with pytest.raises(MethodError, match=r"gone\.safetensors: no such file"):
        network_weights_path(FILE)


def test_a_download_is_kept_under_its_sha256(
    source_of_stand_in: tuple[Path, Source], tmp_path: Path
) -> None:
    origin, source = source_of_stand_in
    path = network_weights_path(FILE)
    assert path == tmp_path / "cache" / "weights" / source.sha256 / "stand_in.safetensors"
    assert path.read_bytes() == origin.read_bytes()
    assert list(path.parent.iterdir()) == [path]


def test_a_download_happens_once(source_of_stand_in: tuple[Path, Source]) -> None:
    origin, _ = source_of_stand_in
    first = network_weights_path(FILE)
    origin.unlink()
    assert network_weights_path(FILE) == first
    assert load_network(FILE).training is False


def test_a_download_with_another_sha256_is_not_kept(
    source_of_stand_in: tuple[Path, Source], tmp_path: Path
) -> None:
    origin, source = source_of_stand_in
    origin.write_bytes(b"something else")
    with pytest.raises(MethodError, match="nothing was kept") as error:
        network_weights_path(FILE)
    assert source.sha256 in one_sentence(error)
    assert [path for path in tmp_path.rglob("cache/**/*") if path.is_file()] == []


def test_the_beginning_of_a_sha256_is_enough(
    source_of_stand_in: tuple[Path, Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    origin, source = source_of_stand_in
    short = Source(source.address, source.sha256[:8], "CC0")
    monkeypatch.setattr(network_class(FILE), "sources", (short,))
    assert network_weights_path(FILE).read_bytes() == origin.read_bytes()


def test_without_a_connection_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source("http://127.0.0.1:9/of/no/one.pth", "12ab", "CC0")
    monkeypatch.setattr(network_class(FILE), "sources", (source,))
    with pytest.raises(MethodError, match="could not be fetched") as error:
        network_weights_path(FILE)
    text = one_sentence(error)
    assert all(part in text for part in (source.address, source.sha256, "--weights PATH"))


def test_a_full_disk_leaves_nothing_behind(
    source_of_stand_in: tuple[Path, Source], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(MethodError, match="No space left on device"):
        network_weights_path(FILE)
    assert [path for path in tmp_path.rglob("cache/**/*") if path.is_file()] == []


# The hub

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What the hub is asked for; it gives the weights of the stand-in, at `REVISION`."""
    asked: list[tuple[str, ...]] = []
    given = tmp_path / "hub.safetensors"
    safetensors.torch.save_file(state(), given)

    def info(self: object, repository: str) -> SimpleNamespace:
        asked.append((repository, "which revision?"))
        return SimpleNamespace(sha=REVISION)

    def download(repository: str, file: str, *, revision: str) -> str:
        asked.append((repository, file, revision))
        return str(given)

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", info)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return asked


def test_a_pinned_file_of_the_hub_is_asked_for_at_its_revision(hub: list[tuple[str, ...]]) -> None:
    load_network(FILE, f"hf://ada/road@{'a' * 40}/model.safetensors")
    assert hub == [("ada/road", "model.safetensors", "a" * 40)]


def test_an_unpinned_repository_keeps_the_revision_of_its_first_use(
    hub: list[tuple[str, ...]], tmp_path: Path
) -> None:
    for _ in range(2):
        network_weights_path(FILE, "hf://ada/road/model.safetensors")
    wanted = ("ada/road", "model.safetensors", REVISION)
    assert hub == [("ada/road", "which revision?"), wanted, wanted]
    assert (tmp_path / "cache/revisions/ada--road").read_text() == f"{REVISION}\n"


def test_a_source_on_the_hub_is_used_by_default(
    hub: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(f"hf://ada/road@{REVISION}/model.safetensors", "", "CC0")
    monkeypatch.setattr(network_class(FILE), "sources", (source,))
    load_network(FILE)
    assert hub == [("ada/road", "model.safetensors", REVISION)]


@pytest.mark.parametrize(
    "address", ["hf://ada/road", "hf://road/a.pth", "hf://ada/road@main/a.pth"]
)
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(MethodError, match=r"hf://OWNER/NAME\[@REVISION\]/FILE was expected"):
        network_weights_path(FILE, address)


@pytest.mark.parametrize("error", [ConnectionError("no route"), HFValidationError("no route")])
def test_without_the_hub_the_way_out_is_told(
    error: Exception, hub: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> str:
        raise error

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    with pytest.raises(MethodError, match="no route") as told:
        network_weights_path(FILE, f"hf://ada/road@{REVISION}/model.safetensors")
    text = one_sentence(told)
    assert all(part in text for part in ("ada/road", REVISION, "--weights PATH"))


def test_a_fault_of_our_own_is_not_taken_for_the_hubs(
    hub: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        network_weights_path(FILE, f"hf://ada/road@{REVISION}/model.safetensors")


# The sources that are written down


@pytest.mark.parametrize(("name", "source"), SOURCES)
def test_every_source_states_its_licence_and_what_it_is(name: str, source: Source) -> None:
    assert source.licence
    assert source.note or name == "tiny"


@pytest.mark.parametrize(("name", "source"), [s for s in SOURCES if "://" in s[1].address])
def test_every_public_address_is_pinned(name: str, source: Source) -> None:
    if source.address.startswith("hf://"):
        pinned = r"hf://[\w-]+/[\w-]+(@[0-9a-f]{40})?/(model\.safetensors|pytorch_model\.bin)"
        assert re.fullmatch(pinned, source.address)
    elif len(source.sha256) == 8:  # MMSegmentation's files end in the beginning of their sha256
        assert re.fullmatch(rf"https://\S+-{source.sha256}\.pth", source.address)
    else:
        assert re.fullmatch("[0-9a-f]{64}", source.sha256)
        assert re.fullmatch(r"https://\S+/[0-9a-f]{40}/\S+\.(pth|pt|safetensors)", source.address)


def test_only_one_revision_of_the_hub_is_left_to_the_first_use() -> None:
    open_ones = [
        name for name, s in SOURCES if s.address.startswith("hf://") and "@" not in s.address
    ]
    assert open_ones == ["mask2former-swin-t"]


@pytest.mark.parametrize(
    ("name", "source"), [s for s in SOURCES if s[1].address and "://" not in s[1].address]
)
def test_weights_of_the_package_are_those_of_their_source(name: str, source: Source) -> None:
    path = NETWORKS_FOLDER / source.address
    assert hashlib.sha256(path.read_bytes()).hexdigest() == source.sha256


@pytest.mark.parametrize("name", REAL_FILES)
def test_the_real_weights_are_those_of_their_source(name: str, data_folder: Path) -> None:
    path = data_folder / "weights" / REAL_FILES[name]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest == network_class(name).sources[0].sha256


@pytest.mark.parametrize("name", REAL_FILES)
def test_zeroing_denormal_weights_changes_no_output(
    name: str, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = str(data_folder / "weights" / REAL_FILES[name])
    flushed = load_network(name, weights)
    monkeypatch.setattr(_network, "_flush_denormals", lambda network: None)
    kept = load_network(name, weights)
    batch = torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(flushed(batch)["logits"], kept(batch)["logits"])


def test_the_stand_in_is_no_network_of_the_harness() -> None:
    assert StandIn.__name__ not in {network_class(name).__name__ for name in network_names()}
