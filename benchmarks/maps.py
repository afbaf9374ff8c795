"""Score maps and labels to measure on, drawn from a seed: equal for every contestant."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter

Drawn = tuple[np.ndarray, np.ndarray]
"""(H, W) scores and (H, W) uint8 labels: 0 normal, 1 anomalous, 255 ignored."""


@dataclass
class Maps:
    """Score maps and labels, drawn when they are asked for, so that nothing is stored.

    `seconds` and `wall_seconds` add up what drawing, and whatever else is set `aside`, took.
    """

    frames: int
    height: int
    width: int
    share: float  # of anomalous pixels
    dtype: str
    smooth_px: float = 0  # width of the Gaussian that makes blobs of the noise
    unit: bool = False  # scores squeezed into [0, 1]
    seconds: float = field(default=0.0, init=False)  # of the processor
    wall_seconds: float = field(default=0.0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __iter__(self) -> Iterator[Drawn]:
        for index in range(self.frames):
            with self.aside():
                drawn = self.score(index), self.label(index)
            yield drawn

    def score(self, index: int) -> np.ndarray:
        """Scores around 0, anomalies 2 standard deviations higher; or 1/20 of that around 0.5."""
        rng = np.random.default_rng([20240607, index])
        score = rng.standard_normal((self.height, self.width), dtype=np.float32)
        if self.smooth_px:
            score = gaussian_filter(score, self.smooth_px)
            score /= score.std()
        score[self.label(index) == 1] += 2
        if self.unit:
            score = score / np.float32(20) + np.float32(0.5)
        return score.astype(self.dtype)

    def label(self, index: int) -> np.ndarray:
        """Anomalies in one block, and a bonnet of 5 % ignored."""
        rng = np.random.default_rng([20240607, index, 1])
        label = np.zeros((self.height, self.width), np.uint8)
        side = self.share**0.5
        rows, columns = round(side * self.height), round(side * self.width)
        bonnet = round(0.95 * self.height)
        top = int(rng.integers(0, bonnet - rows + 1))
        left = int(rng.integers(0, self.width - columns + 1))
        label[top : top + rows, left : left + columns] = 1
        label[bonnet:] = 255
        return label

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What happens inside, in this thread, is not the contestant's work."""
        wall, processor = time.perf_counter(), time.thread_time()
        yield
        with self._lock:
            self.seconds += time.thread_time() - processor
            self.wall_seconds += time.perf_counter() - wall
