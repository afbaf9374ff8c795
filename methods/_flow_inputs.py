"""What FlowEneDet's flow takes from a frozen network: energies, context, targets to learn."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.errors import MethodError
from harness.types import Classes, Frame, Image
from methods import _flow_training, _max_logits
from methods._files import write_beside
from methods._fitted import CHECKPOINT, Progress
from methods._flow import energies, pooled
from methods._flow_crops import crop_of
from methods._flow_training import Seen
from methods._flow_views import FlowViews
from methods._network import CLASSES, NetworkOutput
from methods._steps import classes_of
from methods._upsampling import split, upsampled
from methods._weights import read_weights
from methods.networks._mix_transformer import DropPath

ESTIMATION_STEPS = 1_000  # crops that the statistics are estimated from, at most


@dataclass
class FlowInputs(FlowViews):
    """A method whose state is a flow on the outputs of a network that stays as it is."""

    local = False
    fit_options: ClassVar[tuple[str, ...]] = (
        *FlowViews.fit_options, "context", "crop", "frozen_mode", "learning_rate", "statistics",
    )  # fmt: skip

    context: int = 32  # P, groups of features that it sees: 32 or 128 (FED-C); 0: none (FED-U)
    crop: tuple[int, ...] = ()  # height x width of training crops; (): half the frame's
    # Of the network's batch norm and, in a Mix Transformer, of its drop path, in training.
    frozen_mode: Literal["eval", "train"] = "eval"
    learning_rate: float = _flow_training.LEARNING_RATE  # the largest; a short fit wants more
    # Of the largest logits: estimated by the fit; a published table; or, not as published, none:
    # logits are taken as they are. What a checkpoint holds goes before.
    statistics: Literal["fit", "none", "deeplabv3plus-r101", "segformer-b2", "segformer-b5"] = "fit"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.context < 0:
            raise MethodError(f"context is {self.context}; expected 0 (FED-U), 32 or 128 (FED-C).")
        if len(self.crop) not in (0, 2) or min(self.crop, default=1) < 1:
            raise MethodError(f"crop is {self.crop}; expected height x width, like 512x1024.")
        if not 0 < self.learning_rate < 10:
            raise MethodError(f"learning_rate is {self.learning_rate}; expected one like 0.001.")

    def native(self, output: NetworkOutput) -> NetworkOutput:
        """The output with logits at the size of the features, as the flow wants them.

        Some networks bring their logits to the input's size themselves.
        """
        features = output.features
        if features is None or features.shape[1:] == output.logits.shape[1:]:
            return output
        logits, extra = split(self._by_last_layer(features)[0])
        return NetworkOutput(logits, extra, features, align_corners=output.align_corners)

    def context_width(self, output: NetworkOutput) -> int:
        """How many groups of features there are."""
        if not self.context:
            return 0
        if output.features is None:
            raise MethodError(
                f"network {self.network} gives no features; use FED-U by --set context=0."
            )
        return min(self.context, len(output.features))

    @torch.inference_mode()
    def output_of(self, image: Image, size: Sequence[int] = ()) -> NetworkOutput:
        """What the network says of an image; of a crop, which is padded to (h, w) `size`.

        For crops the network is in `frozen_mode`.
        """
        batch = self._loaded.preprocess(image)
        if size and self._loaded.input_size is None:
            height, width = (
                max(most - side, 0) for side, most in zip(batch.shape[-2:], size, strict=True)
            )
            batch = F.pad(batch, (0, width, 0, height))  # 0 after normalisation, as published
        with self._in_training(bool(size) and self.frozen_mode == "train"):
            return self._output(batch.to(self._device))

    def seen(
        self,
        image: Image,
        classes: Classes,
        means: Tensor,
        variances: Tensor,
        size: Sequence[int] = (),
    ) -> Seen:
        """What the flow learns from in a crop of at most `size`; of a frame, as it is."""
        output = self.output_of(image, size)
        with torch.inference_mode():
            labelled = self._labelled(classes, size)
            best = upsampled(
                output.logits, labelled.shape, align_corners=output.align_corners
            ).argmax(dim=0)
            native = self.native(output)
            z = energies(native.logits, means, variances)
            context = None
            if self.context and native.features is not None:
                context = pooled(native.features, self.context_width(native))
            target = (labelled != best).long()
        # Copies made outside of inference mode can be learned from.
        return Seen(z.clone(), None if context is None else context.clone(), target.clone())

    def seen_frame(self, frame: Frame, means: Tensor, variances: Tensor) -> Seen:
        """What the flow is validated on in a frame.

        Raises:
            DataError: it has no classes.
        """
        return self.seen(frame.image, classes_of(frame), means, variances)

    def _labelled(self, classes: Classes, size: Sequence[int]) -> Tensor:
        """The (H, W) classes int64 on the device, -1 where void and where a crop is padded."""
        found = torch.from_numpy(classes.astype(np.int64)).to(self._device)
        found.masked_fill_(found >= CLASSES, -1)
        if size and self._loaded.input_size is None:
            height, width = (max(m - s, 0) for s, m in zip(found.shape, size, strict=True))
            found = F.pad(found, (0, width, 0, height), value=-1)
        return found

    def estimated(
        self,
        frames: Sequence[Frame],
        folder: Path,
        size: Sequence[int],
        seed: int,
        progress: Progress,
    ) -> tuple[Tensor, Tensor]:
        """Means and variances of the largest logits: published, or estimated from crops.

        The estimate is kept in `folder` until the fit is done.
        """
        given = self.given_statistics()
        if given is not None:
            return given
        path = folder / CHECKPOINT
        if path.is_file():
            noted = read_weights(path)
            return noted["means"].to(self._device), noted["variances"].to(self._device)
        count = min(ESTIMATION_STEPS, len(frames))
        tally: dict[str, Tensor] = {}
        for number in range(count):
            image, classes = crop_of(frames, number, size, seed=seed, stream=0)
            output = self.output_of(image, size)
            labelled = self._labelled(classes, size)
            shape, corners = labelled.shape, output.align_corners
            full = upsampled(output.logits, shape, align_corners=corners)
            _max_logits.add_moving(tally, full, labelled)
            progress("estimating statistics", number + 1, count)
        found = _max_logits.moving(tally)
        noted = {"means": found.means, "variances": found.variances.clamp(min=1e-12)}
        # A class that was never predicted right would compete with its raw logits, and win. In
        # the published tables there is none.
        unseen = (found.means == 0) & (found.variances == 1)
        for name, value in noted.items():
            if unseen.any() and not unseen.all():
                noted[name] = torch.where(unseen, value[~unseen].mean(), value)
        write_beside(path, safetensors.torch.save({k: v.cpu() for k, v in noted.items()}))
        return noted["means"], noted["variances"]

    def given_statistics(self) -> tuple[Tensor, Tensor] | None:
        """Means and variances that need no estimate, (19,) float32 each; None: there are none."""
        if self.statistics == "fit":
            return None
        if self.statistics == "none":
            zeros = torch.zeros(CLASSES, device=self._device)
            return zeros, zeros + 1
        table = _max_logits.published(self.statistics)
        return table.means.to(self._device), table.variances.to(self._device)

    @contextlib.contextmanager
    def _in_training(self, active: bool) -> Iterator[None]:
        """The network as in the authors' training loop, if `active`.

        Batch norm normalises by the batch itself, and a Mix Transformer leaves branches out. What
        the network has learned stays as it is.
        """
        modules = list(self._loaded.modules()) if active else []
        paths = [module for module in modules if isinstance(module, DropPath)]
        norms = [
            module for module in modules if isinstance(module, nn.modules.batchnorm._BatchNorm)
        ]
        momenta = [norm.momentum for norm in norms]
        try:
            for path in paths:
                path.train()
            for norm in norms:
                norm.momentum = 0.0  # running statistics stay
                norm.train()
            yield
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise MethodError(
                f"network {self.network} normalises a single pixel, which has no variance; leave "
                "frozen_mode at eval."
            ) from error
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
                norm.eval()
            for path in paths:
                path.eval()
