"""OODMC: a pixel is anomalous by the moments of its class probabilities over stochastic passes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from harness.errors import DataError, MethodError
from harness.types import Frame, Image, Prediction
from methods._fitted import Progress, Tally, save_state
from methods._moment_classifier import LearnsFrom, MomentClassifier, sides
from methods._moments import Moments
from methods._network import CLASSES, NetworkOutput
from methods._smoothing import at_boundaries, smoothed
from methods._solitary import Look, SolitaryPostHoc
from methods._stochastic import Sampling, seeded, stochastic, varies
from methods._upsampling import BAND_PX, resized, split, upsampled


@dataclass
class Oodmc(SolitaryPostHoc):
    """Minus the decision of a linear classifier on entropy, mean and central moments.

    The continuous score is ours; the released code evaluates hard decisions. The defaults are what
    the method means; what the released code does differently are options: sampling=training,
    released_count=true, shuffle_per_batch=true, learns_from=released, least_per_frame=50000. A
    network without dropout says the same each time: it is asked once, and its moments but the mean
    are 0. Moments of order 4 take 700 bytes for each pixel that is scored; upsample=score takes
    them at the network's resolution.
    """

    paper = ""  # no paper: facts are those of the released code, a fork of meta-ood
    fit_options: ClassVar[tuple[str, ...]] = (
        *SolitaryPostHoc.fit_options, "upsample", "samples", "sampling", "copies",
        "released_count", "order", "weight", "learns_from", "points", "points_per_frame",
        "least_per_frame", "shuffle_per_batch",
    )  # fmt: skip

    samples: int = 128  # T, stochastic passes of an image
    sampling: Sampling = "dropout"  # what is stochastic; training: batch normalisation too
    copies: int = 16  # of an image in one batch
    released_count: bool = False  # one batch more than samples need: 144 for 128, as released
    order: int = 4  # of the highest moment
    weight: float = 0.5  # of the moments; the rest of 1 goes to the entropy
    learns_from: LearnsFrom = "void"  # which pixels the fit takes for anomalous; see its file
    points: int = 500_000  # pixels of each side that are enough for the fit
    points_per_frame: int = 50_000  # at most, of each side
    least_per_frame: int = 1  # frames with fewer anomalous pixels are left out; released: 50000
    shuffle_per_batch: bool = False  # the fit mixes pixels, each batch another order, as released
    seed: int = 0  # of the passes; the same for each image

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window or self.flip or self.scales != (1.0,):
            raise MethodError("oodmc sees an image whole; leave window, stride, scales, flip out.")
        for name in ("samples", "copies", "order", "points", "points_per_frame", "least_per_frame"):
            if getattr(self, name) < 1:
                raise MethodError(f"oodmc: {name} is {getattr(self, name)}; expected 1 or more.")

    def fit(
        self, frames: Sequence[Frame], folder: Path, *, progress: Progress, seed: int = 0
    ) -> dict[str, Any]:
        """Fits the classifier to pixels of the first frames that have some of both sides."""

        def add(tally: Tally, look: Look) -> None:
            rows, inside = self._rows(look, seed)
            for name, value in (("features", rows), ("inside", inside)):
                tally[name] = torch.cat([tally[name].cpu(), value]) if name in tally else value

        numbers = self._usable(frames)
        take = getattr(frames, "take", None)  # a data set decodes frames when their turn comes
        chosen = take(numbers) if take else [frames[number] for number in numbers]
        tally = self.tallied(chosen, folder, add, seed=seed, progress=progress)
        features, inside = tally["features"].cpu(), tally["inside"].cpu().numpy()
        if inside.size == 0:
            raise DataError("at the network's resolution no frame has pixels of both sides.")
        classifier = MomentClassifier.fitted(features.numpy(), inside)
        save_state(folder, classifier.state())
        found = classifier.decision(features.T).numpy() > 0
        return {
            "frames_used": len(self._chosen(len(chosen), seed)),
            "pixels": inside.size,
            "passes_differ": varies(self._loaded),
            "converged": classifier.converged,
            "accuracy": float((found == inside).mean()),
        }

    @torch.inference_mode()
    def predicted(self, image: Image, batch: Tensor) -> Prediction:
        classifier, batch = self._classifier, batch.to(self._device)
        own = self._output(batch)  # nothing is dropped: its classes and confidence are reported
        height, width = image.shape[:2]
        full = resized(own, (height, width))
        size = self._scored_size(own, (height, width))
        moments = Moments(self.order)
        self._sampled(batch, size, self.seed, lambda number, sample: moments.add(sample))
        score = torch.empty(size[0] * size[1], device=self._device)
        step = BAND_PX.get(self._device.type, 1 << 20)
        for begin in range(0, score.numel(), step):
            pixels = slice(begin, begin + step)
            score[pixels] = -classifier.decision(moments.features(self.weight, pixels)).float()
        score = score.view(size)
        if self.post_processing == "smooth":
            score = smoothed(score)
        score = upsampled(score[None], (height, width), align_corners=own.align_corners)[0]
        classes = full.best[1]
        score = at_boundaries(score, classes, self.post_processing)
        results = (score, classes.to(torch.uint8), full.confidence)
        return Prediction(*(each.contiguous().cpu().numpy() for each in results))

    @property
    def _classifier(self) -> MomentClassifier:
        found = MomentClassifier.from_state(self.state)
        expected = 1 + CLASSES * self.order
        if found.weights.shape != (expected,):
            raise MethodError(
                f"{self.fitted}: a classifier of {len(found.weights)} features; {expected} were "
                f"expected for order {self.order}."
            )
        return found

    def _scored_size(self, output: NetworkOutput, image: tuple[int, int]) -> tuple[int, int]:
        """Where moments are taken: at the image's size, or at that of the network's logits."""
        height, width = output.logits.shape[1:]
        return image if self.upsample == "logits" else (height, width)

    def _sampled(
        self,
        batch: Tensor,
        size: tuple[int, int],
        seed: int,
        take: Callable[[int, Tensor], None],
    ) -> None:
        """Hands to `take` the number of each sample and its probabilities, (19, *size)."""
        network, count = self._loaded, self.samples
        if self.released_count:
            count = (count // self.copies + 1) * self.copies
        if not varies(network):
            count = 1
        with (
            seeded(seed, self._device),
            stochastic(network, self.sampling),
            self._digits(),
            torch.inference_mode(),
        ):
            for begin in range(0, count, self.copies):
                # Whole batches where their statistics are used, else no copy too many.
                whole = self.sampling == "training"
                copies = self.copies if whole else min(self.copies, count - begin)
                said = network(batch.expand(copies, -1, -1, -1))
                for number, output in enumerate(_each(said, network.align_corners), begin):
                    if number < count:
                        take(number, resized(output, size).logits.softmax(dim=0))

    def _usable(self, frames: Sequence[Frame]) -> list[int]:
        """The numbers of the first frames that have enough pixels of both sides together.

        Raises:
            DataError: there is none.
        """
        found, points, most = [], 0, 0
        for number in range(len(frames)):
            outside, inside = (int(side.sum()) for side in sides(frames[number], self.learns_from))
            most = max(most, outside)
            if outside >= self.least_per_frame and inside:
                found.append(number)
                points += min(outside, inside, self.points_per_frame)
            if points >= self.points:
                break
        if not found:
            raise DataError(
                f"no frame has {self.least_per_frame} anomalous pixels for the fit (learns_from="
                f"{self.learns_from}) beside others; the most anomalous one has {most}."
            )
        return found

    def _rows(self, look: Look, seed: int) -> tuple[Tensor, Tensor]:
        """Features (2n, d) float64 of n anomalous pixels and n others, and which are the others."""
        batch = self._loaded.preprocess(look.frame.image).to(self._device)
        height, width = look.frame.image.shape[:2]
        size = self._scored_size(self._output(batch), (height, width))
        pixels = [_at(side, size).nonzero()[:, 0] for side in sides(look.frame, self.learns_from)]
        count = min(self.points_per_frame, *map(len, pixels))
        moments, chosen = Moments(self.order), torch.empty(0)

        def take(number: int, sample: Tensor) -> None:
            nonlocal chosen
            if number == 0 or (self.shuffle_per_batch and number % self.copies == 0):
                drawn = [
                    side[torch.randperm(len(side), generator=look.generator)[:count]]
                    for side in pixels
                ]
                chosen = torch.cat(drawn).to(self._device)
            moments.add(sample.flatten(1)[:, chosen])

        self._sampled(batch, size, seed, take)
        inside = torch.tensor([False, True]).repeat_interleave(count)
        return moments.features(self.weight).T.cpu(), inside


def _each(said: dict[str, Tensor], align_corners: bool) -> Iterator[NetworkOutput]:
    """The output of each image of a batch, without features."""
    kept = {name: value.float() for name, value in said.items() if name != "features"}
    for values in zip(*kept.values(), strict=True):
        found = dict(zip(kept, values, strict=True))
        logits, extra = split(found.pop("logits"))
        yield NetworkOutput(logits, extra, **found, align_corners=align_corners)


def _at(side: NDArray[np.bool_], size: tuple[int, int]) -> Tensor:
    """The (H, W) mask at (h, w) `size`, each pixel that of the nearest, flat."""
    whole = torch.from_numpy(side)[None, None].float()
    return F.interpolate(whole, size=size, mode="nearest-exact").flatten().bool()
