"""Post-hoc methods: a score read off a closed-set network's output, without any training."""

import contextlib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.errors import MethodError
from harness.method import Method
from harness.types import Image, Prediction
from methods._device import description, device_named
from methods._network import (
    CLASSES,
    Network,
    NetworkOutput,
    load_network,
    network_class,
    network_weights_path,
)


@dataclass
class PostHoc(Method):
    """A method that reads a network's output; a subclass is a dataclass that implements `score`.

    Raises a `HarnessError` when built with an unknown network, device or precision; weights are
    fetched and read when they are first needed.
    """

    network: str = "tiny"  # a name of `harness list networks`, path.py or path.py:ClassName
    weights: str = ""  # path of a checkpoint; empty: the network's own
    device: str = "auto"  # auto (cuda where there is one), cpu, cuda, cuda:1, …
    precision: Literal["float32", "bfloat16", "float16"] = "float32"  # of the network's pass
    upsample: Literal["logits", "score"] = "logits"  # what is brought to the image's size

    def __post_init__(self) -> None:
        network_class(self.network)
        if self._device.type == "cpu" and self.precision == "float16":
            raise MethodError("precision float16 needs --device cuda; a CPU takes bfloat16.")

    def score(self, output: NetworkOutput) -> Tensor:
        """The (h, w) float32 anomaly score of an output of (19, h, w) logits."""
        raise NotImplementedError(f"{type(self).__name__} has no score")

    @property
    def trained_on(self) -> tuple[str, ...]:
        """Names of the data that the network has seen."""
        return network_class(self.network).trained_on

    def predict(self, image: Image) -> Prediction:
        """The score, the classes (argmax over 19) and the confidence (max softmax) of an image."""
        return self._predicted((self,), image, self._loaded.preprocess(image))[0]

    def predictions(self, images: Iterable[Image]) -> Iterator[Prediction]:
        """As `predict`, in order; the next image is prepared while the network computes."""
        return (prediction for (prediction,) in self.predictions_together((self,), images))

    def forward_key(self) -> Hashable:
        """What decides the network's pass and its upsampling; overridden where a pass differs."""
        return (self.network, self.weights, str(self._device), self.precision, self.upsample)

    @classmethod
    def predictions_together(
        cls, methods: Sequence[Method], images: Iterable[Image]
    ) -> Iterator[tuple[Prediction, ...]]:
        """Per image, one prediction of each method, from one pass and one upsampling."""
        together = [method for method in methods if isinstance(method, PostHoc)]
        if len(together) < len(methods) or len({method.forward_key() for method in together}) != 1:
            raise ValueError("post-hoc methods with one forward key were expected")
        first = together[0]
        return (first._predicted(together, *pair) for pair in first._prepared(images))

    def modules(self) -> tuple[str, ...]:
        """The module of the network."""
        return (network_class(self.network).__module__,)

    def weights_files(self) -> Mapping[str, Path]:
        """The network's file of weights, fetched if need be."""
        return {"network": network_weights_path(self.network, self.weights)}

    def environment(self) -> Mapping[str, str]:
        """The device, its name and versions, and the number of threads."""
        return description(self._device)

    @cached_property
    def _device(self) -> torch.device:
        return device_named(self.device)

    @cached_property
    def _loaded(self) -> Network:
        return load_network(self.network, self.weights).to(self._device)

    def _prepared(self, images: Iterable[Image]) -> Iterator[tuple[Image, Tensor]]:
        """Each image with its batch; a thread takes and prepares the one after it meanwhile."""
        network, source = self._loaded, iter(images)

        def prepare_next() -> tuple[Image, Tensor] | None:
            image = next(source, None)
            if image is None:
                return None
            batch = network.preprocess(image)
            return image, batch.pin_memory() if self._device.type == "cuda" else batch

        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="prepare") as thread:
            pair = thread.submit(prepare_next).result()
            while pair is not None:
                following = thread.submit(prepare_next)
                yield pair
                pair = following.result()

    # Modes of torch belong to the thread: they must not be entered around a generator's yield.
    @torch.inference_mode()
    def _predicted(
        self, methods: Sequence["PostHoc"], image: Image, batch: Tensor
    ) -> tuple[Prediction, ...]:
        size, low = image.shape[:2], self._output(batch)
        full = _resized(low, size)
        read = full if self.upsample == "logits" else low
        scores = [_upsampled(method.score(read)[None], size)[0] for method in methods]
        classes = full.best[1].to(torch.uint8).cpu().numpy()
        confidence = full.confidence.cpu().numpy()
        return tuple(
            Prediction(score.float().cpu().contiguous().numpy(), classes, confidence)
            for score in scores
        )

    def _output(self, batch: Tensor) -> NetworkOutput:
        with contextlib.ExitStack() as modes:
            if self.precision != "float32":
                dtype = getattr(torch, self.precision)
                modes.enter_context(torch.autocast(self._device.type, dtype))
            elif self._device.type == "cuda":  # float32 means float32, the same digits each time
                flags = torch.backends.cudnn.flags(
                    enabled=True, deterministic=True, allow_tf32=False
                )
                modes.enter_context(flags)
            found = self._loaded(batch.to(self._device, non_blocking=True))
        logits, features = found["logits"][0].float(), found.get("features")
        return NetworkOutput(
            logits[:CLASSES],
            logits[CLASSES:] if len(logits) > CLASSES else None,
            None if features is None else features[0].float(),
        )


def _resized(output: NetworkOutput, size: tuple[int, int]) -> NetworkOutput:
    if output.logits.shape[1:] == size:
        return output  # with what it has computed already
    extra = None if output.extra is None else _upsampled(output.extra, size)
    return NetworkOutput(_upsampled(output.logits, size), extra, output.features)


def _upsampled(maps: Tensor, size: tuple[int, int]) -> Tensor:
    if maps.shape[1:] == size:
        return maps
    return F.interpolate(maps[None], size=size, mode="bilinear", align_corners=False)[0]
