"""The contract of a segmentation network, and how one is found by its name and given weights."""

import hashlib
import http.client
import os
import pickle
import urllib.request
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from PIL import Image as PILImage
from torch import Tensor, nn

from harness.errors import MethodError, unknown_name
from harness.method import import_file, import_named, the_one_subclass
from harness.types import Image

NETWORKS_FOLDER = Path(__file__).parent / "networks"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLASSES = 19  # Cityscapes train ids; a network's further outputs are its extra classes


@dataclass(frozen=True)
class Source:
    """Where a network's weights come from: a pinned public address, or a file of this package."""

    address: str  # https://… pinned to a revision; a file name inside methods/networks/; "": none
    sha256: str
    licence: str
    note: str = ""  # what was trained, by whom, published mIoU


@dataclass(frozen=True)
class NetworkOutput:
    """What a network says of one image, before or after upsampling to the image's size."""

    logits: Tensor  # (19, h, w) float32, closed-set logits in the order of the train ids
    extra: Tensor | None = None  # (E, h, w) float32, logits of outputs beyond the 19 classes
    features: Tensor | None = None  # (D, h', w') float32, penultimate features at their own stride

    # The rest is computed once per output, and shared by all methods that read it.

    @cached_property
    def best(self) -> tuple[Tensor, Tensor]:
        """The largest logit (h, w) float32, and which class has it (h, w) int64."""
        return tuple(self.logits.max(dim=0))

    @cached_property
    def doubt(self) -> Tensor:
        """The softmax probability of all classes but the best, (h, w) float32 in [0, 1).

        Equals 1 - max softmax, without its cancellation: values down to 1e-38 stay apart, where
        the subtraction in float32 leaves only multiples of 6e-8.
        """
        value, index = self.best
        odds = (self.logits - value).exp_().scatter_(0, index[None], 0.0).sum(dim=0)
        return odds / (1 + odds)

    @cached_property
    def confidence(self) -> Tensor:
        """The largest softmax probability, (h, w) float32 in [0, 1]."""
        return 1 - self.doubt


class Network(nn.Module):
    """A closed-set segmentation network: one subclass per file of `methods/networks/`.

    Facts are class attributes. `forward` maps a preprocessed (1, 3, h, w) float32 batch to a dict
    with "logits" (1, C, h', w'), C >= 19, and "features" (1, D, h'', w''), the input of the last
    classification layer.
    """

    paper = ""
    title = ""
    outputs = CLASSES  # C: channels of the logits; channels from 19 on are extra classes
    extra_is_void = False  # whether channel 19 was trained on void pixels
    input_size: tuple[int, int] | None = (
        None  # (height, width) it is fed with; None: the image's own
    )
    mean = (0.0, 0.0, 0.0)  # subtracted from RGB in [0, 1]
    std = (1.0, 1.0, 1.0)
    sources: tuple[Source, ...] = ()  # the first is the default
    trained_on: tuple[str, ...] = ("cityscapes_train",)
    parameters_expected = 0  # how many parameters the published network has

    def preprocess(self, image: Image) -> Tensor:
        """The (1, 3, h, w) float32 batch that the network is fed with, on the CPU.

        The (H, W, 3) uint8 RGB image is resized to `input_size` (PIL, bilinear) where there is
        one, scaled to [0, 1], and normalised by `mean` and `std`.
        """
        if self.input_size is not None and image.shape[:2] != self.input_size:
            height, width = self.input_size
            resized = PILImage.fromarray(image).resize(
                (width, height), PILImage.Resampling.BILINEAR
            )
            image = np.asarray(resized)
        pixels = torch.from_numpy(np.array(image))  # a copy: torch warns of read-only arrays
        batch = pixels.permute(2, 0, 1)[None].float() / 255
        mean = torch.tensor(self.mean).view(1, 3, 1, 1)
        std = torch.tensor(self.std).view(1, 3, 1, 1)
        return (batch - mean) / std

    @staticmethod
    def translated(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The state dict `state` of a public checkpoint under this network's own key names."""
        return {key.removeprefix("module."): value for key, value in state.items()}


def network_names() -> list[str]:
    """Names of the networks that come with the harness, sorted: the files of `networks/`."""
    return sorted(path.stem for path in NETWORKS_FOLDER.glob("[!_]*.py"))


def network_class(name: str) -> type[Network]:
    """The `Network` subclass called `name`.

    Args:
        name: a file of `methods/networks/` without its ending, or the path of a Python file that
            defines one subclass, or `path.py:ClassName`.

    Raises:
        UnknownName: no such network.
        MethodError: the file cannot be imported or does not hold the network.
    """
    path, _, class_name = name.partition(".py:")
    if class_name:
        module = import_file(Path(f"{path}.py"), what="network")
        found = getattr(module, class_name, None)
        if not (isinstance(found, type) and issubclass(found, Network)):
            raise MethodError(f"{path}.py: no subclass of Network is called {class_name} there.")
        return found
    if name.endswith(".py"):
        return the_one_subclass(import_file(Path(name), what="network"), Network, name)
    if name not in network_names():
        raise unknown_name("network", name, network_names())
    module = import_named(f"methods.networks.{name}", what="network")
    return the_one_subclass(module, Network, f"methods/networks/{name}.py")


def load_network(name: str, weights: str = "") -> Network:
    """The network called `name` with its weights, in eval mode, on the CPU.

    Args:
        name: as `network_class` takes it.
        weights: path of a checkpoint (.safetensors, .pth or .pt); empty: the network's own.

    Raises:
        UnknownName: no such network.
        MethodError: the weights are not there, cannot be read, or do not fit key by key.
    """
    cls = network_class(name)
    path = network_weights_path(name, weights)
    with torch.random.fork_rng(devices=[]):  # first weights, overwritten below, are drawn
        network = cls()
    load_strictly(network, network.translated(read_weights(path)), where=str(path))
    _flush_denormals(network)
    return network.eval().requires_grad_(False)


def network_weights_path(name: str, weights: str = "") -> Path:
    """The file of weights that `load_network(name, weights)` reads; it is downloaded if need be.

    A download goes to `weights/<sha256>/` below the cache folder: the environment variable
    HARNESS_CACHE, else ~/.cache/road-anomaly-harness.

    Raises:
        UnknownName: no such network.
        MethodError: no such file, no public address, no connection, or another sha256.
    """
    cls = network_class(name)
    if weights:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise MethodError(f"{path}: no such file; weights of network {name} were expected.")
        return path
    if not cls.sources:
        raise MethodError(f"network {name} has no weights of its own; give --weights PATH.")
    source = cls.sources[0]
    if not source.address:
        raise MethodError(
            f"network {name}: its weights (sha256 {source.sha256}) have no public address; "
            f"give the file with --weights PATH. {source.note}".rstrip()
        )
    if "://" in source.address:
        return _downloaded(source, name)
    path = NETWORKS_FOLDER / source.address
    if not path.is_file():
        raise MethodError(f"{path}: no such file; the weights of network {name} were expected.")
    return path


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a .safetensors, .pth or .pt file, on the CPU; no pickled code is run.

    A training checkpoint that keeps the state dict under "state_dict" is unwrapped.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        if path.suffix not in (".pth", ".pt"):
            raise MethodError(f"{path}: weights end in .safetensors, .pth or .pt.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd pickles, which are read or refused anyway
            found = torch.load(path, map_location="cpu", weights_only=True)
    except MethodError:
        raise
    except pickle.UnpicklingError as error:
        raise MethodError(
            f"{path}: holds pickled objects other than tensors, or is damaged; pickled code is "
            "never run, so save the state dict alone, as .safetensors."
        ) from error
    except (safetensors.SafetensorError, RuntimeError, ValueError, EOFError, OSError) as error:
        raise MethodError(f"{path}: the weights cannot be read: {_one_line(error)}.") from error
    except Exception as error:  # bytes that are no weights make torch raise nearly anything
        raise MethodError(
            f"{path}: the weights cannot be read ({type(error).__name__}); no weights are in it."
        ) from error
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        kinds = ", ".join(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
        raise MethodError(f"{path}: a state dict (name to tensor) was expected, found {kinds}.")
    return dict(found)


def load_strictly(network: nn.Module, state: Mapping[str, Tensor], *, where: str) -> None:
    """Copies `state` into `network`; every key must be there, known, and of the right shape."""
    own = network.state_dict()
    problems = {
        "missing": [key for key in own if key not in state],
        "unexpected": [key for key in state if key not in own],
        "misshaped": [
            f"{key} {_shape(state[key])} instead of {_shape(own[key])}"
            for key in own
            if key in state and state[key].shape != own[key].shape
        ],
    }
    if any(problems.values()):
        told = "; ".join(f"{kind}: {_listed(keys)}" for kind, keys in problems.items() if keys)
        raise MethodError(f"{where}: not the weights of {type(network).__name__}; {told}.")
    network.load_state_dict(state)


def _flush_denormals(network: nn.Module) -> None:
    """Sets values below 1.2e-38 to zero, for some CPUs compute many times slower with them.

    Weights, not torch.set_flush_denormal: that mode would change the whole process.
    """
    for value in network.state_dict().values():
        if value.is_floating_point():
            value[value.abs() < torch.finfo(value.dtype).tiny] = 0


def _downloaded(source: Source, name: str) -> Path:
    cache = os.environ.get("HARNESS_CACHE") or "~/.cache/road-anomaly-harness"
    file_name = source.address.rsplit("/", 1)[-1]
    path = Path(cache).expanduser() / "weights" / source.sha256 / file_name
    if path.is_file():
        return path
    beside = path.with_name(f"{file_name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with (
            urllib.request.urlopen(source.address, timeout=60) as answer,
            beside.open("wb") as file,
        ):
            while block := answer.read(1 << 20):
                digest.update(block)
                file.write(block)
        if digest.hexdigest() != source.sha256:
            raise MethodError(
                f"network {name}: {source.address} has sha256 {digest.hexdigest()}, expected "
                f"{source.sha256}; nothing was kept. Give the right file with --weights PATH."
            )
        beside.replace(path)
    except (OSError, http.client.HTTPException) as error:  # urllib's errors are OSErrors
        raise MethodError(
            f"network {name}: its weights could not be fetched ({_one_line(error)}); fetch "
            f"{source.address} (sha256 {source.sha256}) elsewhere and give it with --weights PATH."
        ) from error
    finally:
        beside.unlink(missing_ok=True)
    return path


def _listed(keys: Iterable[str], most: int = 8) -> str:
    keys = list(keys)
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _one_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
