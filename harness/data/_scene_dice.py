"""Random numbers and noise that are the same for ever: raw bits, exactly rounded arithmetic."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

TILE_PX = 1024  # side of the cached noise tiles
T = TypeVar("T")
Colour = tuple[float, float, float]  # RGB, 0 to 255
Pixels = NDArray[np.float32]
Metres = NDArray[np.float64]


class Dice:
    """Random numbers made of raw Philox bits; equal (key, stream) give equal numbers for ever."""

    def __init__(self, key: tuple[int, int], stream: int = 0) -> None:
        self._key = key
        self._bits = np.random.Philox(
            key=np.array(key, np.uint64), counter=np.array((0, 0, 0, stream), np.uint64)
        )

    def stream(self, number: int) -> "Dice":
        """Dice of the same key whose numbers do not depend on how often these were thrown."""
        return Dice(self._key, number)

    def unit(self) -> float:
        """A number in [0, 1)."""
        return (int(self._bits.random_raw()) >> 11) / (1 << 53)

    def between(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.unit()

    def integer(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + int(self.unit() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.unit() < probability

    def choice(self, values: Sequence[T]) -> T:
        """One of `values`."""
        return values[self.integer(0, len(values) - 1)]

    def side(self) -> int:
        """-1 or 1."""
        return -1 if self.chance(0.5) else 1

    def tone(self, colour: Colour, spread: float) -> Colour:
        """`colour`, brighter or darker by up to `spread` and a little off its hue."""
        gain = self.between(1 - spread, 1 + spread)
        red, green, blue = (c * gain + self.between(-6, 6) for c in colour)
        return red, green, blue

    def bytes(self, *shape: int) -> NDArray[np.uint8]:
        """An array of random bytes."""
        count = 1
        for side in shape:
            count *= side
        raw = np.asarray(self._bits.random_raw((count + 7) // 8), np.uint64)
        return raw.astype("<u8").view(np.uint8)[:count].reshape(shape)


@lru_cache(maxsize=8)
def tile(*cells_px: int) -> Pixels:
    """A (1024, 1024) float32 tile of smooth noise in [-1, 1], one octave per cell size.

    The first cell size weighs 1, each further one 0.6 of the one before.
    """
    total = np.zeros((TILE_PX, TILE_PX), np.float32)
    weight, weights = 1.0, 0.0
    for number, cell in enumerate(cells_px):
        side = TILE_PX // cell
        grid = Dice((977, cell), number).bytes(side, side).astype(np.float32) / 127.5 - 1
        total += np.float32(weight) * _stretched(_stretched(grid, cell).T, cell).T
        weights += weight
        weight *= 0.6
    total /= np.float32(weights)
    total.flags.writeable = False
    return total


def grain() -> Pixels:
    """Fine noise: asphalt, plaster, cloth."""
    return tile(4, 2, 1)


def leaves() -> Pixels:
    """Middle noise: foliage, grass, gravel."""
    return tile(16, 8, 4, 2)


def clouds() -> Pixels:
    """Coarse noise: clouds, stains, hills."""
    return tile(128, 64, 32, 16)


def _stretched(grid: Pixels, factor: int) -> Pixels:
    """`grid` made `factor` times as long along axis 0, smoothly, with its ends joined."""
    if factor == 1:
        return grid
    t: Pixels = (np.arange(factor) / factor).astype(np.float32)
    t = (t * t * (3 - 2 * t))[None, :, None]
    following = np.concatenate([grid[1:], grid[:1]])
    rows: Pixels = grid[:, None] * (np.float32(1) - t)
    rows += following[:, None] * t
    return rows.reshape(-1, grid.shape[1])


def dimmed(colour: Colour, gain: float) -> Colour:
    """`colour` times `gain`."""
    return colour[0] * gain, colour[1] * gain, colour[2] * gain


def rgb(colour: Colour) -> Pixels:
    """`colour` as a float32 array of three."""
    return np.asarray(colour, np.float32)
