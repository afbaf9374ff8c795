"""FlowEneDet: a small normalizing flow on energies of a frozen network says which pixels are wrong.

One score serves two questions: whether the predicted class is wrong, and whether the pixel belongs
to no class at all.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from harness.errors import DataError, MethodError
from harness.types import Frame
from methods import _flow_checkpoint, _flow_training
from methods._fitted import Progress, save_state
from methods._flow import STANDARD_BLOCKS, Flow, Rows, energies, pooled, posterior
from methods._flow_checkpoint import Learned
from methods._flow_crops import crop_of
from methods._flow_curve import write_curve
from methods._flow_inputs import FlowInputs
from methods._network import CLASSES, NetworkOutput
from methods._smoothing import PostProcessing, at_boundaries, smoothed
from methods._steps import Remembered
from methods._upsampling import Stretch, resized, upsampled
from methods._weights import ENDINGS

BAND_VALUES = {"cpu": 1 << 24, "cuda": 1 << 28}  # of one map inside the flow, at a time
FEW_FRAMES, CROPS_A_FRAME = 1_000, 4  # below, a training is this long instead of the published
VALIDATION_FRAMES = 10


@dataclass
class FlowEneDet(FlowInputs):
    """p(wrong or unknown | energies, context) of a flow with two components, in [0, 1].

    Windows, scales and post-processing are those of the authors' evaluation, see `FlowViews`.
    `fitted` is the folder of a fit, or a checkpoint of theirs (.pth).
    """

    paper = "https://arxiv.org/abs/2305.09610"  # Gudovskiy, Okuno, Nakata, UAI 2023
    fit_options: ClassVar[tuple[str, ...]] = (*FlowInputs.fit_options, "blocks")

    upsample: Literal["score"] = "score"  # `flow_upsample` is what decides here
    post_processing: PostProcessing = "boundary_smooth"  # of the posterior; smooth: as baselines
    blocks: int = 4  # of the flow, 4 or 8
    flow_upsample: bool = False  # bring logits and context to size before the flow, in scoring

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.blocks not in STANDARD_BLOCKS:
            raise MethodError(f"blocks is {self.blocks}; FlowEneDet has 4 or 8.")

    def score(self, output: NetworkOutput) -> Tensor:
        """The (h, w) posterior at the resolution of the network's features, nothing smoothed."""
        return self._posterior(output)

    def load(self, folder: Path) -> None:
        """Takes the state in `folder`, or the checkpoint of that path, from now on."""
        super().load(folder)
        self.__dict__.pop("_learned", None)

    def export(self, file: Path) -> None:
        """Writes what was learned as a checkpoint of the authors' layout, with ending .pth.

        Of a network of MMSegmentation's form it holds the network, too; of others the flow and the
        statistics alone.
        """
        network = self._loaded.state_dict()
        if "decode_head.conv_seg.weight" not in network:
            network = {}
        form = f"FED-C, P = {self.context}" if self.context else "FED-U"
        about = f"FlowEneDet ({form}, {self.blocks} blocks) on {self.network}"
        _flow_checkpoint.export(file, self._learned, network, about)

    def fit(
        self,
        frames: Sequence[Frame],
        folder: Path,
        *,
        validation: Sequence[Frame],
        steps: int | None,
        seed: int,
        progress: Progress,
    ) -> dict[str, Any]:
        """Estimates the statistics of the largest logits, then trains the flow on crops.

        Leaves the state, and the validation curve as `curve.csv` and `curve.png`.
        """
        chosen = self._chosen(len(frames), seed)
        if not chosen:
            raise DataError("the data set has no frame to learn from.")
        known = Remembered(_Picked(frames, chosen))
        if steps is None:
            few = len(known) < FEW_FRAMES
            steps = CROPS_A_FRAME * len(known) if few else _flow_training.STEPS
        size = tuple(self.crop) or tuple(max(side // 2, 1) for side in known[0].image.shape[:2])
        with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
            torch.manual_seed(seed)
            width = self.context_width(self.output_of(known[0].image, size))
            flow = Flow(self.blocks, width).to(self._device)
            means, variances = self.estimated(known, folder, size, seed, progress)
            spread = np.linspace(0, len(validation) - 1, VALIDATION_FRAMES)
            places = sorted({int(place) for place in spread}) if len(validation) else []
            curve = _flow_training.trained(
                flow,
                lambda step: crop_of(known, step, size, seed=seed, stream=1),
                lambda crop: self.seen(*crop, means, variances, size),
                lambda: [self.seen_frame(validation[i], means, variances) for i in places],
                folder,
                steps=steps,
                top=self.learning_rate,
                seed=seed,
                progress=progress,
            )
        write_curve(folder, curve)
        save_state(folder, _flow_checkpoint.entries(Learned(flow, means, variances)))
        return {
            "steps": steps,
            "crop": list(size),
            "context_width": width,
            "training_loss": curve[-1].training_loss,
            "threads": torch.get_num_threads(),
        }

    @property
    def _state_file(self) -> Path:
        path = Path(self.fitted).expanduser()
        if path.suffix not in ENDINGS:
            return super()._state_file
        if not path.is_file():
            raise MethodError(f"{path}: no such file; a checkpoint of FlowEneDet was expected.")
        return path

    @cached_property
    def _learned(self) -> Learned:
        """The flow and the statistics, on the device."""
        where = str(self._state_file)
        found = _flow_checkpoint.learned(self.state, where=where)
        flow, means, variances = found.flow, found.means, found.variances
        # A context has fewer channels where the features have; that is seen when they are there.
        fits = 0 < flow.context <= self.context or flow.context == self.context
        if flow.blocks != self.blocks or not fits:
            raise MethodError(
                f"{where}: holds {flow.blocks} blocks with a context of {flow.context}; "
                f"give --set blocks={flow.blocks} --set context={flow.context}."
            )
        if means is None or variances is None:
            given = self.given_statistics()
            if given is None:
                raise MethodError(
                    f"{where}: has no class_means and class_vars; name a published table by "
                    "--set statistics=segformer-b2, for example."
                )
            means, variances = given
        return Learned(flow.to(self._device), means.to(self._device), variances.to(self._device))

    # Scoring

    def _posterior(self, low: NetworkOutput, size: tuple[int, int] | None = None) -> Tensor:
        """The (h, w) score at the network's resolution; or with inputs at (H, W) `size`."""
        learned = self._learned
        native = self.native(low)
        shape = size or (native.logits.shape[1], native.logits.shape[2])
        logits = resized(native, shape).logits
        values = BAND_VALUES.get(self._device.type, 1 << 28)
        band = max(values // (max(CLASSES, 2 + learned.flow.context) * shape[1]), 1)
        parts = logits.split(band, dim=1)
        z = torch.cat([energies(part, learned.means, learned.variances) for part in parts], dim=1)
        rows = None
        if learned.flow.context:
            width = self.context_width(native)
            if width != learned.flow.context:
                raise MethodError(
                    f"{self._state_file}: holds a context of {learned.flow.context}; with option "
                    f"context={self.context}, network {self.network} gives {width}: give the "
                    "option and the network that it was trained with."
                )
            assert native.features is not None, "of a certain width"
            context = pooled(native.features, width)
            rows = _rows(context, shape, align_corners=low.align_corners)
        with self._full_float32():
            return posterior(learned.flow(z[None], rows, band=band))[0]

    def _full_float32(self) -> contextlib.AbstractContextManager[None]:
        """Convolutions of the flow in float32, whatever the precision of the network's pass."""
        if self._device.type != "cuda":
            return contextlib.nullcontext()
        return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)

    def processed(self, low: NetworkOutput, classes: Tensor, size: tuple[int, int]) -> Tensor:
        score = self._posterior(low, size if self.flow_upsample else None)
        if self.post_processing == "smooth":
            score = smoothed(score)
        score = upsampled(score[None], size, align_corners=low.align_corners)[0]
        return at_boundaries(score, classes, self.post_processing)


class _Picked(Sequence[Frame]):
    """Some of the frames, by their numbers."""

    def __init__(self, frames: Sequence[Frame], numbers: Sequence[int]) -> None:
        self._frames, self._numbers = frames, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        return self._frames[self._numbers[index]]


def _rows(context: Tensor, size: tuple[int, int], *, align_corners: bool) -> Rows:
    """Gives rows of the (P, h, w) context brought to (H, W) `size`, made when they are needed."""
    stretch = Stretch.between(context, size, align_corners=align_corners)
    return lambda near: stretch(context, near)[None]
