"""The contract of a segmentation network, and how one is found by its name and given weights."""

import ast
import fnmatch
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from PIL import Image as PILImage
from torch import Tensor, nn

from harness.errors import MethodError, unknown_name
from harness.method import import_file, import_named, the_one_subclass
from harness.types import Image
from methods._weights import Source, fetched, hub_file, load_strictly, read_weights

NETWORKS_FOLDER = Path(__file__).parent / "networks"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLASSES = 19  # Cityscapes train ids; a network's further outputs are its extra classes


@dataclass(frozen=True)
class NetworkOutput:
    """What a network says of one image, before or after upsampling to the image's size."""

    logits: Tensor  # (19, h, w) float32, closed-set logits in the order of the train ids
    extra: Tensor | None = None  # (E, h, w) float32, logits of outputs beyond the 19 classes
    features: Tensor | None = None  # (D, h', w') float32, penultimate features at their own stride
    # Of mask classifiers (Q queries, K classes) only: `logits` are then their semantic scores.
    class_logits: Tensor | None = None  # (Q, K + 1) float32; the last column is "no object"
    mask_logits: Tensor | None = None  # (Q, h, w) float32
    align_corners: bool = False  # how the network's authors bring its logits to another size

    def rows(self, rows: slice) -> "NetworkOutput":
        """The logits of some rows of pixels; features and masks stay behind."""
        extra = None if self.extra is None else self.extra[:, rows]
        return NetworkOutput(self.logits[:, rows], extra)

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
    """A closed-set segmentation network; facts are class attributes.

    `forward` maps a preprocessed (1, 3, h, w) float32 batch to a dict with "logits"
    (1, C, h', w'), C >= 19, and "features" (1, D, h", w"), the input of the last classification
    layer, each at the network's own stride. A mask classifier adds "class_logits" (1, Q, K + 1)
    and "mask_logits" (1, Q, h', w'); its "logits" are the scores of semantic inference, see
    `semantic_scores`, and no logits of a softmax.
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
    align_corners = False  # how its authors bring logits to the image's size, bilinearly
    sources: tuple[Source, ...] = ()  # the first is the default
    trained_on: tuple[str, ...] = ("cityscapes_train",)
    parameters_expected = 0  # how many parameters the published network has
    # Entries that public checkpoints carry beside the network, as patterns of names; they are
    # left out when weights are loaded, and every other entry must fit.
    spare: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()  # the entries of its checkpoint that were

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
        batch = pixels.permute(2, 0, 1)[None].float()
        mean = torch.tensor(self.mean).view(1, 3, 1, 1)
        std = torch.tensor(self.std).view(1, 3, 1, 1)
        return batch.div_(255).sub_(mean).div_(std)  # in place: four times as fast

    def classify(self, features: Tensor) -> Tensor:
        """The (1, C, h', w') logits of (1, D, h', w') features, by the last layer of `forward`.

        `brought(classify(forward(batch)["features"]), size)` is `forward(batch)["logits"]`, whose
        size is `size`. Methods that change features (ReAct, ASH, MC dropout) need it.

        Raises:
            MethodError: the network does not give its last layer.
        """
        raise MethodError(
            f"{type(self).__name__} does not give its last layer apart (`classify`); choose a "
            "network that does, or a method that leaves features as they are."
        )

    def brought(self, logits: Tensor, size: tuple[int, ...]) -> Tensor:
        """The (1, C, h, w) logits of `classify` at the `size` (h', w') of those of `forward`.

        What lies beyond it belongs to padding and is cropped. A network whose `forward` resizes
        them overrides this, and does the same.
        """
        return logits[..., : size[0], : size[1]]

    @classmethod
    def is_spare(cls, key: str) -> bool:
        """Whether a checkpoint's entry `key`, translated, is left out."""
        return any(fnmatch.fnmatchcase(key, pattern) for pattern in cls.spare)

    @classmethod
    def fitting(cls, state: Mapping[str, Tensor]) -> "type[Network]":
        """The class that the checkpoint `state` is for: this one, or another form of it."""
        return cls

    @staticmethod
    def translated(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The state dict `state` of a public checkpoint under this network's own key names."""
        return {key.removeprefix("module."): value for key, value in state.items()}


def semantic_scores(class_logits: Tensor, mask_logits: Tensor) -> Tensor:
    """The (B, K, h, w) scores of semantic inference, in [0, Q]: how much queries vote for a class.

    Sum over queries of the softmax of `class_logits` (B, Q, K + 1), its last class (no object)
    left out, times the sigmoid of `mask_logits` (B, Q, h, w): Cheng et al. 2022, section 3.
    """
    votes = class_logits.softmax(dim=-1)[..., :-1]
    return torch.einsum("bqk,bqhw->bkhw", votes, mask_logits.sigmoid())


def network_names() -> list[str]:
    """Names of the networks that come with the harness, sorted; no network is imported.

    A file of `networks/` that holds several lists them in its literal `VARIANTS`; any other
    file's name is that of its network. `smp:ARCHITECTURE:ENCODER` is not among them.
    """
    return sorted(_variants())


def network_class(name: str) -> type[Network]:
    """The `Network` subclass called `name`.

    Args:
        name: one of `network_names()`; or `smp:ARCHITECTURE:ENCODER`, for example
            `smp:Unet:resnet34`, of segmentation_models_pytorch; or the path of a Python file that
            defines one subclass, or `path.py:ClassName`.

    Raises:
        UnknownName: no such network.
        MethodError: the file cannot be imported or does not hold the network.
    """
    path, _, class_name = name.partition(".py:")
    if class_name:
        return _attribute(import_file(Path(f"{path}.py"), what="network"), class_name, f"{path}.py")
    if name.endswith(".py"):
        return the_one_subclass(import_file(Path(name), what="network"), Network, name)
    if name.startswith("smp:"):
        return import_named("methods.networks.smp", what="network").network(name)
    if name not in _variants():
        raise unknown_name("network", name, _variants())
    stem, class_name = _variants()[name]
    module = import_named(f"methods.networks.{stem}", what="network")
    where = f"methods/networks/{stem}.py"
    if class_name:
        return _attribute(module, class_name, where)
    return the_one_subclass(module, Network, where)


def load_network(name: str, weights: str = "") -> Network:
    """The network called `name` with its weights, in eval mode, on the CPU.

    Args:
        name: as `network_class` takes it.
        weights: as `network_weights_path` takes them.

    Raises:
        UnknownName: no such network.
        MethodError: the weights are not there, cannot be read, or do not fit key by key.
    """
    path = network_weights_path(name, weights)
    state = read_weights(path)
    cls = network_class(name).fitting(state)
    with torch.random.fork_rng(devices=[]):  # first weights, overwritten below, are drawn
        network = cls()
    found = network.translated(state)
    own = network.state_dict()
    network.left_out = tuple(key for key in found if cls.is_spare(key) and key not in own)
    found = {key: value for key, value in found.items() if key not in network.left_out}
    load_strictly(network, found, where=str(path))
    _flush_denormals(network)
    return network.eval().requires_grad_(False)


def network_weights_path(name: str, weights: str = "") -> Path:
    """The file of weights that `load_network(name, weights)` reads; it is fetched if need be.

    A download goes to `weights/<sha256>/` below `cache_folder()`, a file of the hub to the hub's
    own cache.

    Args:
        name: as `network_class` takes it.
        weights: path of a checkpoint (.safetensors, .pth, .pt, .bin or .pkl), or a file of the
            hub as `hf://OWNER/NAME[@REVISION]/FILE`; empty: the network's own.

    Raises:
        UnknownName: no such network.
        MethodError: no such file, no public address, no connection, or another sha256.
    """
    cls = network_class(name)
    if weights.startswith("hf://"):
        return hub_file(weights, name)
    if weights:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise MethodError(f"{path}: no such file; weights of network {name} were expected.")
        return path
    if not cls.sources:
        raise MethodError(f"network {name} has no weights of its own; give --weights PATH.")
    source = cls.sources[0]
    if not source.address:
        known = f" (sha256 {source.sha256})" if source.sha256 else ""
        raise MethodError(
            f"network {name}: its weights{known} have no public address; "
            f"give the file with --weights PATH. {source.note}".rstrip()
        )
    if "://" in source.address:
        return fetched(source, name)
    path = NETWORKS_FOLDER / source.address
    if not path.is_file():
        raise MethodError(f"{path}: no such file; the weights of network {name} were expected.")
    return path


@functools.cache
def _variants() -> dict[str, tuple[str, str]]:
    """Name of a network -> its file's stem and its class's name; "": the file's one class."""
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(NETWORKS_FOLDER.glob("[!_]*.py")):
        variants = {path.stem: ""}
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "VARIANTS":
                variants = ast.literal_eval(node.value)
        found.update((name, (path.stem, class_name)) for name, class_name in variants.items())
    return found


def _attribute(module: ModuleType, class_name: str, where: str) -> type[Network]:
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, Network)):
        raise MethodError(f"{where}: no subclass of Network is called {class_name} there.")
    return found


def _flush_denormals(network: nn.Module) -> None:
    """Sets values below 1.2e-38 to zero, for some CPUs compute many times slower with them.

    Weights, not torch.set_flush_denormal: that mode would change the whole process.
    """
    for value in network.state_dict().values():
        if value.is_floating_point():
            value[value.abs() < torch.finfo(value.dtype).tiny] = 0
