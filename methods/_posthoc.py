"""Post-hoc methods: a score read off a closed-set network's output, without any training."""

import contextlib
from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import torch
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
from methods._smoothing import PostProcessing, at_boundaries, smoothed
from methods._upsampling import Rows, bands, rows_of, split, upsampled
from methods._views import checked_window, mirrored, scaled, windows
from methods._weights import fitted_on


@dataclass
class PostHoc(Method):
    """A method that reads a network's output; a subclass is a dataclass that implements `score`.

    Raises a `HarnessError` when built with an unknown network, device or precision; weights are
    fetched and read when they are first needed.
    """

    # Whether the score of a pixel depends on the logits (and masks) of that pixel alone. If not,
    # `score` gets the output as the network gives it, with features, and what comes back is
    # upsampled; such a class says `upsample: Literal["score"] = "score"`.
    local = True

    network: str = "tiny"  # a name of `harness list networks`, path.py or path.py:ClassName
    weights: str = ""  # path of a checkpoint; empty: the network's own
    device: str = "auto"  # auto (cuda where there is one), cpu, cuda, cuda:1, …
    precision: Literal["float32", "bfloat16", "float16"] = "float32"  # of the network's pass
    compile: bool = False  # torch.compile the network: slow to begin, faster per image
    upsample: Literal["logits", "score"] = "logits"  # what is brought to the image's size
    post_processing: PostProcessing = "none"  # of the score; see methods/_smoothing.py
    window: tuple[int, ...] = ()  # height x width of windows that slide; (): the whole image
    stride: tuple[int, ...] = ()  # rows x columns between windows; (): they do not overlap
    scales: tuple[float, ...] = (1.0,)  # of the image; scores are averaged over them
    flip: bool = False  # average over the image and its mirror image
    also_trained_on: tuple[str, ...] = ()  # data that `weights` have seen beside the network's own

    def __post_init__(self) -> None:
        network_class(self.network)
        checked_window(self.window, self.stride)
        if not self.scales or not all(0 < scale <= 8 for scale in self.scales):
            raise MethodError(f"scales are {self.scales}; expected numbers above 0, like 0.5,1,2.")
        if self._device.type == "cpu" and self.precision == "float16":
            raise MethodError("precision float16 needs --device cuda; a CPU takes bfloat16.")

    def score(self, output: NetworkOutput) -> Tensor:
        """The (h, w) float32 anomaly score of an output of (19, h, w) logits."""
        raise NotImplementedError(f"{type(self).__name__} has no score")

    def changed(self, output: NetworkOutput) -> NetworkOutput:
        """The output that is scored, from what the network gave; classes are those of the latter.

        Overridden by methods that change features and classify them anew.
        """
        return output

    @property
    def trained_on(self) -> tuple[str, ...]:
        """Names of the data that the network has seen, as far as is known.

        Those of its published weights, of the fit that `weights` come from, and `also_trained_on`.
        """
        own = network_class(self.network).trained_on
        fits = [fitted_on(Path(each).parent) for each in self._given_weights() if each]
        return tuple(dict.fromkeys(chain(own, *fits, self.also_trained_on)))

    def predict(self, image: Image) -> Prediction:
        """The score, the classes (argmax over 19) and the confidence (max softmax) of an image."""
        return self._landed(self._launched((self,), image, self._loaded.preprocess(image)))[0]

    def predictions(self, images: Iterable[Image]) -> Iterator[Prediction]:
        """As `predict`, in order; the next image is prepared while the network computes."""
        return (prediction for (prediction,) in self.predictions_together((self,), images))

    def forward_key(self) -> Hashable:
        """What decides the network's pass; overridden where a pass differs."""
        passes = (self.network, self.weights, str(self._device), self.precision, self.compile)
        return (*passes, self.window, self.stride, self.scales, self.flip)

    @classmethod
    def predictions_together(
        cls, methods: Sequence[Method], images: Iterable[Image]
    ) -> Iterator[tuple[Prediction, ...]]:
        """Per image, one prediction of each method, from one pass."""
        together = [method for method in methods if isinstance(method, PostHoc)]
        if len(together) < len(methods) or len({method.forward_key() for method in together}) != 1:
            raise ValueError("post-hoc methods with one forward key were expected")
        return together[0]._flight(together, images)

    def modules(self) -> tuple[str, ...]:
        """The module of the network."""
        return (network_class(self.network).__module__,)

    def weights_files(self) -> Mapping[str, Path]:
        """The network's file of weights, fetched if need be."""
        return {"network": network_weights_path(self.network, self.weights)}

    def environment(self) -> Mapping[str, str]:
        """The device, its name and versions, and the number of threads."""
        return description(self._device)

    def _given_weights(self) -> tuple[str, ...]:
        """What was given as weights of the network; overridden where there are several."""
        return (self.weights,)

    @cached_property
    def _device(self) -> torch.device:
        return device_named(self.device)

    @cached_property
    def _loaded(self) -> Network:
        return self._network_with(self.weights)

    def _network_with(self, weights: str) -> Network:
        """The network with `weights`, on the device."""
        # Whoever needs gradients cannot use parameters that were made in inference mode.
        with torch.inference_mode(False):
            network = load_network(self.network, weights).to(self._device)
            if self._device.type == "cuda":
                network = network.to(memory_format=torch.channels_last)
            if self.compile:
                network.compile()
            return network

    def _flight(
        self, methods: Sequence["PostHoc"], images: Iterable[Image]
    ) -> Iterator[tuple[Prediction, ...]]:
        """The predictions of each image, in order.

        A GPU is given the next image before the results of this one are waited for, so it never
        idles while they are copied, counted and written.
        """
        for method in methods:  # those that classify features anew need the network, too
            method.__dict__["_loaded"] = self._loaded
        ahead = 1 if self._device.type == "cuda" else 0
        launched: deque[_Launched] = deque()
        for image, batch in self._prepared(images):
            launched.append(self._launched(methods, image, batch))
            if len(launched) > ahead:
                yield self._landed(launched.popleft())
        while launched:
            yield self._landed(launched.popleft())

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
    def _launched(self, methods: Sequence["PostHoc"], image: Image, batch: Tensor) -> "_Launched":
        """The results of an image, on their way to the CPU."""
        size = image.shape[:2]
        batch = batch.to(self._device, non_blocking=True)
        if self.scales == (1.0,) and not self.flip and not self.window:
            seen = self._scored(methods, self._output(batch), size)
        else:
            seen = self._averaged(methods, batch, size)
        scores = [
            at_boundaries(score, seen.classes, method.post_processing)
            for method, score in zip(methods, seen.scores, strict=True)
        ]
        results = (*scores, seen.classes, seen.confidence)
        if self._device.type != "cuda":
            return _Launched(results, None)
        pinned = tuple(
            torch.empty(each.shape, dtype=each.dtype, pin_memory=True) for each in results
        )
        for target, source in zip(pinned, results, strict=True):
            target.copy_(source, non_blocking=True)
        landing = torch.cuda.Event()
        landing.record(torch.cuda.current_stream(self._device))
        return _Launched(pinned, landing)

    def _landed(self, launched: "_Launched") -> tuple[Prediction, ...]:
        """The predictions of an image, when its results have come."""
        if launched.landing is not None:
            launched.landing.synchronize()
        *scores, classes, confidence = (each.contiguous().numpy() for each in launched.results)
        return tuple(Prediction(score, classes, confidence) for score in scores)

    def _averaged(
        self, methods: Sequence["PostHoc"], batch: Tensor, size: tuple[int, int]
    ) -> "_Seen":
        """What is seen of an image in all views: scores and class probabilities are averaged.

        Windows are averaged at the size that the network is fed with, scales and mirror images
        at the image's, as in FlowEneDet's evaluation (Gudovskiy et al. 2023, its code).
        """
        scores = [torch.zeros(size, device=self._device) for _ in methods]
        chances = torch.zeros((CLASSES, *size), device=self._device)
        views = [(scale, flip) for scale in self.scales for flip in (False, True)[: 1 + self.flip]]
        for scale, flip in views:
            view = scaled(batch, scale)
            found, probabilities = self._through_windows(
                methods, mirrored(view) if flip else view, size
            )
            # Plane by plane: to mirror makes a copy.
            for total, each in zip((*scores, *chances), (*found, *probabilities), strict=True):
                total += mirrored(each) if flip else each
        for total in (*scores, chances):
            total /= len(views)
        confidence, classes = chances.max(dim=0)
        return _Seen(tuple(scores), classes.to(torch.uint8), confidence)

    def _through_windows(
        self, methods: Sequence["PostHoc"], batch: Tensor, size: tuple[int, int]
    ) -> tuple[list[Tensor], Tensor]:
        """Scores (H, W) and class probabilities (19, H, W) of one view, at the image's `size`."""
        height, width = batch.shape[-2:]
        places = list(windows((height, width), self.window, self.stride))
        if len(places) == 1:
            seen = self._scored(methods, self._output(batch), size, chances=True)
            assert seen.chances is not None, "asked for"
            return list(seen.scores), seen.chances
        scores = [torch.zeros((height, width), device=self._device) for _ in methods]
        chances = torch.zeros((CLASSES, height, width), device=self._device)
        times = torch.zeros((height, width), device=self._device)
        for rows, columns in places:
            part = batch[..., rows, columns]
            extent = (rows.stop - rows.start, columns.stop - columns.start)
            seen = self._scored(methods, self._output(part), extent, chances=True)
            assert seen.chances is not None, "asked for"
            for total, each in zip((*scores, chances), (*seen.scores, seen.chances), strict=True):
                total[..., rows, columns] += each
            times[rows, columns] += 1
        averaged = [upsampled((score / times)[None], size)[0] for score in scores]
        return averaged, upsampled(chances.div_(times), size)

    def _scored(
        self,
        methods: Sequence["PostHoc"],
        low: NetworkOutput,
        size: tuple[int, int],
        *,
        chances: bool = False,
    ) -> "_Seen":
        """What is seen in one output of the network, at `size`."""
        full = rows_of(low, size)
        scores: list[Tensor] = []
        banded: list[tuple[int, PostHoc, Rows]] = []  # scored below, in bands
        for place, method in enumerate(methods):
            read = method.changed(low)
            if method.local and method.upsample == "logits":
                score = torch.empty(size, device=self._device)
                banded.append((place, method, full if read is low else rows_of(read, size)))
            else:
                score = method.score(read).float()
                if method.post_processing == "smooth":
                    score = smoothed(score)
                score = upsampled(score[None], size, align_corners=low.align_corners)[0]
            scores.append(score)
        classes = torch.empty(size, dtype=torch.uint8, device=self._device)
        confidence = torch.empty(size, device=self._device)
        probabilities = torch.empty((CLASSES, *size), device=self._device) if chances else None
        for rows in bands(size, self._device.type):
            part = full(rows)
            for place, method, of in banded:
                scores[place][rows] = method.score(part if of is full else of(rows))
            classes[rows], confidence[rows] = part.best[1], part.confidence
            if probabilities is not None:
                probabilities[:, rows] = part.logits.softmax(dim=0)
        for place, method, _ in banded:
            if method.post_processing == "smooth":
                scores[place] = smoothed(scores[place])
        return _Seen(tuple(scores), classes, confidence, probabilities)

    def _output(self, batch: Tensor) -> NetworkOutput:
        """What the network says of a (1, 3, h, w) batch on the device."""
        return self._said(self._loaded, batch)

    def _said(self, network: Network, batch: Tensor) -> NetworkOutput:
        """What `network` says of a (1, 3, h, w) batch on the device."""
        if self._device.type == "cuda":
            batch = batch.contiguous(memory_format=torch.channels_last)
        with self._digits():
            found = {name: value[0].float() for name, value in network(batch).items()}
        logits, extra = split(found.pop("logits"))
        return NetworkOutput(logits, extra, **found, align_corners=network.align_corners)

    def _classified(self, output: NetworkOutput, features: Tensor) -> NetworkOutput:
        """`output` with other (D, h, w) float32 features, and the logits that they have.

        The logits have the size of those in `output`, and come to it in the network's own way.
        """
        found = self._loaded.brought(self._by_last_layer(features), output.logits.shape[1:])
        logits, extra = split(found[0])
        return NetworkOutput(logits, extra, features, align_corners=output.align_corners)

    def _by_last_layer(self, features: Tensor) -> Tensor:
        """The (1, C, h', w') float32 logits of (D, h, w) features, not brought to another size."""
        with self._digits():
            return self._loaded.classify(features[None]).float()

    @contextlib.contextmanager
    def _digits(self) -> Iterator[None]:
        """The precision of the network's pass."""
        with contextlib.ExitStack() as modes:
            if self.precision != "float32":
                dtype = getattr(torch, self.precision)
                modes.enter_context(torch.autocast(self._device.type, dtype))
            elif self._device.type == "cuda":  # float32 means float32, the same digits each time
                flags = torch.backends.cudnn.flags(
                    enabled=True, deterministic=True, allow_tf32=False
                )
                modes.enter_context(flags)
            yield


def contents(output: NetworkOutput) -> dict[str, Any]:
    """The fields of an output by name, for a subclass that holds more."""
    return {field.name: getattr(output, field.name) for field in fields(NetworkOutput)}


@dataclass(frozen=True, eq=False)
class _Launched:
    """Results that may still be computed: scores, classes, confidence."""

    results: tuple[Tensor, ...]
    landing: torch.cuda.Event | None  # after which they are there; None: they are


@dataclass(frozen=True, eq=False)
class _Seen:
    """What is seen of an image at one size."""

    scores: tuple[Tensor, ...]  # (H, W) float32, one of each method
    classes: Tensor  # (H, W) uint8
    confidence: Tensor  # (H, W) float32
    chances: Tensor | None = None  # (19, H, W) float32, the softmax, where it was asked for
