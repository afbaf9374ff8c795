"""What synthroad is drawn on and with: a pinhole camera, light, a canvas, and a pen.

Everything here and in the other scene files uses integers and the IEEE operations that are rounded
exactly (+ - * / sqrt, comparisons); no transcendental function, no floating sum, no drawing
library. So a frame has the same bytes whatever the processor and the version of NumPy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.data._scene_dice import TILE_PX, Colour, Dice, Metres, Pixels, grain, rgb
from harness.types import Classes

HEIGHT, WIDTH = 512, 1024
VOID = 255
Mask = NDArray[np.bool_]
Point = tuple[float, float]
Pattern = Callable[[Metres, Metres], Metres]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera above a flat ground; X is right and Y is up in metres, Z is the depth."""

    focal_px: float
    centre_px: float  # column of the vanishing point
    horizon_px: float  # its row
    height_m: float  # above the ground
    x_m: float  # right of the road's middle

    def column(self, x: float, z: float) -> float:
        """The column in which (x, z) is seen."""
        return self.centre_px + self.focal_px * (x - self.x_m) / z

    def row(self, y: float, z: float) -> float:
        """The row in which height y at depth z is seen."""
        return self.horizon_px + self.focal_px * (self.height_m - y) / z


@dataclass(frozen=True)
class Light:
    """Where the light comes from and what lies in the air."""

    kind: str  # clear, overcast, evening, dim
    sun: int  # -1: from the left, 1: from the right, 0: from everywhere
    shadow: float  # what is left of the light in the shadow
    haze: Colour
    haze_m: float  # depth at which half of the colour is haze
    gain: float
    tint: Colour  # factors


@dataclass(frozen=True)
class Box:
    """Rows and columns of a part of the canvas."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def window(self) -> tuple[slice, slice]:
        """The slices of the box."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def rows(self) -> Metres:
        """Middles of the rows, as a column."""
        return np.arange(self.top, self.bottom, dtype=np.float64)[:, None] + 0.5

    @property
    def columns(self) -> Metres:
        """Middles of the columns, as a row."""
        return np.arange(self.left, self.right, dtype=np.float64)[None, :] + 0.5


class Canvas:
    """The picture being drawn, its classes, and which pixels are anomalous."""

    def __init__(self, camera: Camera, light: Light, dice: Dice) -> None:
        self.camera, self.light, self.dice = camera, light, dice
        self.rgb: Pixels = np.zeros((HEIGHT, WIDTH, 3), np.float32)
        self.classes: Classes = np.full((HEIGHT, WIDTH), VOID, np.uint8)
        self.odd: Mask = np.zeros((HEIGHT, WIDTH), np.bool_)

    def box(self, left: float, top: float, right: float, bottom: float) -> "Box | None":
        """The whole pixels of a rectangle that lie on the canvas, or None."""
        x0, x1 = max(int(left), 0), min(int(right) + 1, WIDTH)
        y0, y1 = max(int(top), 0), min(int(bottom) + 1, HEIGHT)
        return Box(y0, x0, y1, x1) if x0 < x1 and y0 < y1 and right > 0 and bottom > 0 else None

    def fill(self, box: "Box", mask: Mask, colour: Pixels, cls: int | None, odd: bool) -> None:
        """Paint `colour` (broadcast to the box) where `mask`; cls None leaves the classes alone."""
        np.copyto(self.rgb[box.window], colour, where=mask[:, :, None])
        if cls is not None:
            np.copyto(self.classes[box.window], np.uint8(cls), where=mask)
            np.copyto(self.odd[box.window], odd, where=mask)

    def darken(self, box: "Box", amount: Pixels, *, only: Mask | None = None) -> None:
        """Multiply the box by 1 - amount, where `only` says so."""
        if only is not None:
            amount = np.where(only, amount, np.float32(0))
        self.rgb[box.window] *= 1 - amount[:, :, None]

    def patch(self, noise: Pixels, box: "Box") -> Pixels:
        """A piece of a noise tile, of the size of the box, from a random place."""
        height, width = box.bottom - box.top, box.right - box.left
        y, x = self.dice.integer(0, TILE_PX - height), self.dice.integer(0, TILE_PX - width)
        return noise[y : y + height, x : x + width]

    def hazed(self, colour: Colour | Pixels, z: float) -> Pixels:
        """`colour` seen through the air of depth z."""
        part = np.float32(z / (z + self.light.haze_m))
        return np.asarray(colour, np.float32) * (1 - part) + rgb(self.light.haze) * part


class Pen:
    """Draws upright flat things at one depth, in metres from where they stand on the ground."""

    def __init__(
        self, canvas: Canvas, x: float, z: float, cls: int, *, mirror: int = 1, odd: bool = False
    ) -> None:
        self.canvas, self.x, self.z, self.cls = canvas, x, z, cls
        self.mirror, self.odd, self.rough = mirror, odd, 0.08
        self.pattern: Pattern | None = None  # where `second` shows instead of the colour
        self.second: Colour = (0.0, 0.0, 0.0)
        self.scale = canvas.camera.focal_px / z
        self.u, self.v = canvas.camera.column(x, z), canvas.camera.row(0, z)

    def at(self, point: Point) -> Point:
        """The pixel position of a point in metres."""
        return self.u + self.mirror * point[0] * self.scale, self.v - point[1] * self.scale

    def polygon(
        self, points: Sequence[Point], colour: Colour, cls: int | None = -1, fade: float = 0.25
    ) -> None:
        """Fill a polygon; it darkens towards the ground by `fade`."""
        self.outline([self.at(p) for p in points], colour, cls, fade)

    def outline(
        self, pixels: Sequence[Point], colour: Colour, cls: int | None = -1, fade: float = 0.25
    ) -> None:
        """Fill a polygon whose corners are given in pixels."""
        xs, ys = [p[0] for p in pixels], [p[1] for p in pixels]
        box = self.canvas.box(min(xs), min(ys), max(xs), max(ys))
        if box is not None:
            self._paint(box, polygon_mask(pixels, box), colour, cls, fade)

    def oval(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, cls: int | None = -1
    ) -> None:
        """Fill an ellipse."""
        (u, v), a, b = self.at((x, y)), rx * self.scale, ry * self.scale
        box = self.canvas.box(u - a, v - b, u + a, v + b)
        if box is not None:
            self._paint(box, oval_mask(u, v, a, b, box), colour, cls, 0.2)

    def ring(self, x: float, y: float, r: float, width: float, colour: Colour) -> None:
        """Draw a circle's line."""
        (u, v), outer = self.at((x, y)), r * self.scale
        inner = max(outer - max(width * self.scale, 1.0), 0.01)
        box = self.canvas.box(u - outer, v - outer, u + outer, v + outer)
        if box is not None:
            mask = oval_mask(u, v, outer, outer, box) & ~oval_mask(u, v, inner, inner, box)
            self._paint(box, mask, colour, -1, 0.0)

    def bar(
        self, start: Point, end: Point, width: float, colour: Colour, cls: int | None = -1
    ) -> None:
        """Draw a straight bar, at least one pixel wide."""
        (x0, y0), (x1, y1) = self.at(start), self.at(end)
        dx, dy = x1 - x0, y1 - y0
        length = np.sqrt(dx * dx + dy * dy) + 1e-9
        half = max(width * self.scale, 1.1) / 2
        nx, ny = float(-dy / length * half), float(dx / length * half)
        corners = [(x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny)]
        self.outline(corners, colour, cls, 0.1)

    def rectangle(
        self, x0: float, y0: float, x1: float, y1: float, colour: Colour, cls: int | None = -1
    ) -> None:
        """Fill a rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, cls)

    def ground_shadow(self, rx: float, depth: float, strength: float = 0.55) -> None:
        """Darken the ground under the thing, softly, and away from the sun."""
        lean = -self.canvas.light.sun * rx * 0.5 * (1 - self.canvas.light.shadow)
        u, a = self.u + lean * self.scale, (rx + abs(lean)) * self.scale * 1.15
        v = self.v
        b = max(
            self.canvas.camera.focal_px * self.canvas.camera.height_m * depth / (self.z * self.z),
            1.5,
        )
        box = self.canvas.box(u - a, v - b, u + a, v + b)
        if box is None:
            return
        du, dv = (box.columns - u) / a, (box.rows - v) / b
        amount = np.clip(1 - du * du - dv * dv, 0, 1).astype(np.float32)
        soft = np.minimum(amount * 2, 1) * np.float32(strength)
        self.canvas.darken(box, soft, only=self.canvas.classes[box.window] != 10)

    def _paint(self, box: Box, mask: Mask, colour: Colour, cls: int | None, fade: float) -> None:
        tinted = rgb(colour)
        if self.pattern is not None:
            x = (box.columns - self.u) * (self.mirror / self.scale)
            part = self.pattern(x, (self.v - box.rows) / self.scale).astype(np.float32)
            tinted = tinted + (rgb(self.second) - tinted) * part[:, :, None]
        if fade > 0:
            top, bottom = box.top, max(box.bottom, box.top + 1)
            down = ((box.rows - top) / (bottom - top)).astype(np.float32)
            tinted = tinted * (1 + np.float32(fade * 0.35) - np.float32(fade) * down)[:, :, None]
        if self.rough > 0 and mask.size > 64:
            noise = self.canvas.patch(grain(), box)
            tinted = tinted * (1 + np.float32(self.rough) * noise)[:, :, None]
        self.canvas.fill(
            box, mask, self.canvas.hazed(tinted, self.z), self.cls if cls == -1 else cls, self.odd
        )


def polygon_mask(pixels: Sequence[Point], box: Box) -> Mask:
    """Which pixels' middles lie inside the polygon (even-odd rule)."""
    rows, columns = box.rows, box.columns
    inside = np.zeros((box.bottom - box.top, box.right - box.left), np.bool_)
    for (x0, y0), (x1, y1) in zip(pixels, [*pixels[1:], pixels[0]], strict=True):
        if y0 == y1:
            continue
        crosses = (rows >= y0) != (rows >= y1)
        where = x0 + (rows - y0) * ((x1 - x0) / (y1 - y0))
        inside ^= crosses & (columns >= where)
    return inside


def oval_mask(u: float, v: float, a: float, b: float, box: Box) -> Mask:
    """Which pixels' middles lie inside the ellipse."""
    du, dv = (box.columns - u) / max(a, 0.6), (box.rows - v) / max(b, 0.6)
    return np.asarray(du * du + dv * dv <= 1)
