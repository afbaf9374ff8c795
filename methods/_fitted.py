"""Post-hoc methods that learn: a state from labelled frames, kept in a folder of `harness fit`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.errors import DataError, MethodError
from harness.method import STATE
from harness.types import Frame
from methods._files import write_beside
from methods._network import CLASSES, NetworkOutput
from methods._posthoc import PostHoc
from methods._upsampling import resized
from methods._weights import fitted_on, read_weights

CHECKPOINT_EVERY = 50  # frames
CHECKPOINT = "checkpoint.safetensors"  # of a fit, removed when it is done
DONE = "frames_done"  # its entry beside those of the tally

Progress = Callable[[str, int, int], None]
Tally = dict[str, Tensor]
"""What a fit has added up so far, by name."""


@dataclass(frozen=True, eq=False)
class Sight:
    """What a fit sees of one frame."""

    output: NetworkOutput  # at the network's resolution, or with logits at the frame's
    classes: Tensor  # (H, W) int64 train ids on the device, -1 where void
    number: int  # of the frame, from 0
    frames: int  # how many there are
    generator: torch.Generator  # of random numbers, the frame's own

    def labels(self, size: Sequence[int]) -> Tensor:
        """The classes of the nearest pixels at (h, w) `size`, int64, -1 where void."""
        near = F.interpolate(self.classes[None, None].float(), tuple(size), mode="nearest-exact")
        return near[0, 0].long()


@dataclass
class FittedPostHoc(PostHoc):
    """A post-hoc method with a state; a subclass implements `fit` and `score`, and reads `state`.

    `fit` adds up what `tallied` shows it, and leaves the state by `save_state`.
    """

    # Options added by a subclass count where it says so.
    fit_options: ClassVar[tuple[str, ...]] = ("network", "precision", "frames")

    fitted: str = ""  # folder of a fit; empty: `harness run` finds it under fits/
    frames: int = 0  # how many are learned from, evenly spaced; 0: all

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frames < 0:
            raise MethodError(
                f"frames is {self.frames}; expected how many frames to learn from, or 0 for all."
            )

    @property
    def trained_on(self) -> tuple[str, ...]:
        """Names of the data that the network has seen, and of that which was fitted on."""
        return tuple(dict.fromkeys((*super().trained_on, *self.fitted_on)))

    @cached_property
    def state(self) -> Mapping[str, Tensor]:
        """The tensors of the fitted state, by name, on the method's device.

        Raises:
            MethodError: the method is not fitted, or the folder holds no state.
        """
        return {
            name: value.to(self._device) for name, value in read_weights(self._state_file).items()
        }

    def load(self, folder: Path) -> None:
        """Takes the state in `folder` from now on."""
        self.fitted = str(folder)
        self.__dict__.pop("state", None)

    def weights_files(self) -> Mapping[str, Path]:
        """The network's file of weights, and the fitted state if there is one."""
        files = dict(super().weights_files())
        return {**files, "fit": self._state_file} if self.fitted else files

    @property
    def _state_file(self) -> Path:
        if not self.fitted:
            raise MethodError(
                f"{type(self).__name__} is not fitted; give the folder that `harness fit` made "
                "as the option `fitted`."
            )
        path = Path(self.fitted) / STATE
        if not path.is_file():
            raise MethodError(f"{path}: no such file; a folder of `harness fit` was expected.")
        return path

    @property
    def fitted_on(self) -> tuple[str, ...]:
        """Names of the data that the state was learned from; (): not known."""
        return fitted_on(Path(self.fitted)) if self.fitted else ()

    def tallied(
        self,
        frames: Sequence[Frame],
        folder: Path,
        add: Callable[[Tally, Sight], None],
        *,
        seed: int,
        progress: Progress,
        full_size: bool = False,
    ) -> Tally:
        """What `add` has added up over the frames; a tally that was killed goes on where it was.

        Every so many frames it is kept in `folder`. A frame's random numbers depend on the seed
        and its number only, so the tally ends with the same bytes, killed or not.

        Args:
            frames: with classes; their images are seen whole, at one scale.
            folder: of the fit.
            add: adds one frame to the tally, which is empty at first, in place.
            seed: of all random numbers.
            progress: told of each frame.
            full_size: bring the logits to the size of the classes.

        Raises:
            DataError: there is no frame, or one has no classes.
            MethodError: the checkpoint cannot be read.
        """
        chosen = self._chosen(len(frames), seed)
        if not chosen:
            raise DataError("the data set has no frame to learn from.")
        path = folder / CHECKPOINT
        tally: Tally = read_weights(path) if path.is_file() else {DONE: torch.tensor(0)}
        tally = {name: self._placed(value) for name, value in tally.items()}
        done = int(tally.pop(DONE))
        for number, frame in enumerate(_taken(frames, chosen[done:]), done):
            generator = torch.Generator().manual_seed((seed << 32 | number) % (1 << 63))
            sight = self._sight(frame, number, len(chosen), generator, full_size)
            with torch.inference_mode():
                add(tally, sight)
            if (number + 1) % CHECKPOINT_EVERY == 0 and number + 1 < len(chosen):
                _save(path, {**tally, DONE: torch.tensor(number + 1)})
            progress(f"fitting {type(self).__name__}", number + 1, len(chosen))
        return tally

    def _chosen(self, count: int, seed: int) -> list[int]:
        """The numbers of the frames that are learned from, in order."""
        if not 0 < self.frames < count:
            return list(range(count))
        offset = np.random.default_rng(abs(seed)).random()
        return [int((number + offset) * count / self.frames) for number in range(self.frames)]

    def _placed(self, value: Tensor) -> Tensor:
        """`value` where a tally keeps it: counters on the CPU, the rest on the device."""
        return value if value.ndim == 0 else value.to(self._device)

    @torch.inference_mode()
    def _sight(
        self,
        frame: Frame,
        number: int,
        frames: int,
        generator: torch.Generator,
        full_size: bool,
    ) -> Sight:
        if frame.classes is None:
            raise DataError(f"{frame.id}: has no classes; the fit needs labelled frames.")
        classes = torch.from_numpy(frame.classes.astype(np.int64)).to(self._device)
        output = self._output(self._loaded.preprocess(frame.image).to(self._device))
        if full_size:
            height, width = frame.classes.shape
            output = resized(output, (height, width))
        void = classes.masked_fill(classes >= CLASSES, -1)
        return Sight(output, void, number, frames, generator)


def save_state(folder: Path, state: Mapping[str, Tensor]) -> None:
    """Writes the fitted state into `folder`: beside, then renamed."""
    _save(folder / STATE, state)


def _taken(frames: Sequence[Frame], numbers: Sequence[int]) -> Iterator[Frame]:
    """The frames with these numbers; a data set decodes some ahead."""
    take = getattr(frames, "take", None)
    yield from take(numbers) if take else (frames[number] for number in numbers)


def _save(path: Path, state: Mapping[str, Tensor]) -> None:
    plain = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    write_beside(path, safetensors.torch.save(plain))
