"""The ground of a synthroad scene: the road, its markings, what borders it, shadows on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from harness.data._scene_canvas import HEIGHT, VOID, WIDTH, Box, Canvas, Mask
from harness.data._scene_dice import TILE_PX, Dice, Pixels, clouds, grain, leaves, rgb

ROAD, SIDEWALK, TERRAIN = 0, 1, 9


@dataclass(frozen=True)
class Strip:
    """A strip of ground along the road."""

    kind: str  # kerb, bays, cobbles, verge, path, lot, meadow
    width_m: float


@dataclass(frozen=True)
class Street:
    """The lie of the road and of what borders it."""

    style: str  # urban, suburban, country
    half_m: float  # half of the road's width
    lanes: tuple[float, ...]  # middles of the lanes, in metres from the road's middle
    left: tuple[Strip, ...]  # from the road outwards; the last one goes on for ever
    right: tuple[Strip, ...]

    def strips(self, side: int) -> tuple[Strip, ...]:
        """The strips on the left (-1) or on the right (1)."""
        return self.right if side > 0 else self.left

    def edge(self, side: int) -> float:
        """The distance from the road's middle to where the last strip begins."""
        return self.half_m + sum(strip.width_m for strip in self.strips(side)[:-1])


def street(dice: Dice, style: str) -> Street:
    """A street of the given style."""
    lanes_count = dice.choice((2, 2, 2, 3, 4) if style == "urban" else (2, 2, 2, 3))
    lane_m = dice.between(3.0, 3.7)
    half = lanes_count * lane_m / 2
    lanes = tuple(-half + (number + 0.5) * lane_m for number in range(lanes_count))
    return Street(style, half, lanes, _border(dice, style), _border(dice, style))


def ground(canvas: Canvas, way: Street) -> None:
    """The road with its markings, and the strips on both sides."""
    dice = canvas.dice
    box, depth, across = _laid_out(canvas)
    colour = np.zeros((*across.shape, 3), np.float32)
    classes = np.full(across.shape, ROAD, np.uint8)

    mask: Mask = np.abs(across) < np.float32(way.half_m)
    place, along = _picked(mask, depth)
    outward = across.reshape(-1)[place]
    tone, warm = dice.between(78, 122), dice.between(-4, 6)
    near = np.minimum(np.float32(14) / along, 1)  # detail fades with the distance
    fine = _laid(grain(), along, outward, 40)
    shade = 1 + 0.09 * fine * near + 0.10 * _laid(clouds(), along * np.float32(0.5), outward, 40)
    lane_m = np.float32(way.lanes[1] - way.lanes[0])
    track = np.abs(np.abs(_modulo(outward + np.float32(way.half_m), lane_m) - lane_m / 2) - 0.75)
    shade *= 1 - 0.07 * np.clip(1 - track * 2.2, 0, 1)
    if dice.chance(0.5):  # a tar seam
        x = dice.between(-way.half_m, way.half_m)
        shade[np.abs(outward + 0.25 * fine - np.float32(x)) < 0.05] *= np.float32(0.6)
    paint = shade[:, None] * rgb((tone + warm, tone, tone - warm * 0.6))
    colour.reshape(-1, 3)[place] = paint
    _repairs(canvas, way, colour, across, depth[:, 0])
    _markings(canvas, way, colour, across, depth)

    for side in (-1, 1):
        start = way.half_m
        for strip in way.strips(side):
            end = start + strip.width_m if strip is not way.strips(side)[-1] else 1e9
            outward = across * np.float32(side)
            mask = (outward >= np.float32(start)) & (outward < np.float32(end))
            place, along = _picked(mask, depth)
            outward = np.abs(across.reshape(-1)[place]) - np.float32(start)
            cls, paint = _strip(dice, strip.kind, outward, along)
            colour.reshape(-1, 3)[place] = paint
            classes.reshape(-1)[place] = cls
            start = end
    part = (depth / (depth + np.float32(canvas.light.haze_m)))[:, :, None]
    colour *= 1 - part
    colour += rgb(canvas.light.haze) * part
    canvas.rgb[box.window] = colour
    canvas.classes[box.window] = classes


class CastsShadow(Protocol):
    """A building, as far as its shadow is concerned."""

    @property
    def side(self) -> int:
        """-1: it stands on the left; 1: on the right."""

    @property
    def front_m(self) -> float:
        """The distance of its front from the road's middle."""

    @property
    def near_m(self) -> float:
        """Where it begins along the road."""

    @property
    def far_m(self) -> float:
        """Where it ends."""

    @property
    def height_m(self) -> float:
        """How high it is."""


def shadows(canvas: Canvas, way: Street, blocks: Sequence[CastsShadow]) -> None:
    """The shadows that `blocks` cast on the ground, and those of trees out of sight."""
    light, dice = canvas.light, canvas.dice
    if light.sun == 0:
        return
    box, depth, across = _laid_out(canvas)
    dark = np.zeros(across.shape, np.float32)
    reach = dice.between(0.35, 0.9)
    for block in blocks:
        if block.side == light.sun:
            limit = block.front_m - reach * block.height_m
            rows = _rows(depth[:, 0], block.near_m - 2, block.far_m)
            edge = (across[rows] * light.sun - np.float32(limit)) * 6
            dark[rows] = np.maximum(dark[rows], np.clip(edge, 0, 1))
    if dice.chance(0.5):  # trees out of sight
        inside = across * light.sun > np.float32(way.half_m - dice.between(0, 2.5 * way.half_m))
        place, along = _picked(inside, depth)
        noise = _laid(clouds(), along, across.reshape(-1)[place], 36)
        flat = dark.reshape(-1)
        flat[place] = np.maximum(flat[place], np.clip((noise - 0.12) * 7, 0, 1))
    canvas.darken(box, dark * np.float32(1 - light.shadow))


def _border(dice: Dice, style: str) -> tuple[Strip, ...]:
    strips = []
    if style == "urban":
        if dice.chance(0.45):
            strips.append(Strip("bays", dice.between(2.1, 2.5)))
        strips.append(Strip("kerb", 0.18))
        strips.append(Strip("path", dice.between(2.2, 4.5)))
        strips.append(Strip("lot" if dice.chance(0.6) else "cobbles", 99.0))
    elif style == "suburban":
        strips.append(Strip("kerb", 0.18))
        if dice.chance(0.4):
            strips.append(Strip("verge", dice.between(1.0, 2.2)))
        strips.append(Strip("path", dice.between(1.5, 2.5)))
        strips.append(Strip(dice.choice(("verge", "lot", "verge", "cobbles")), 99.0))
    else:
        if dice.chance(0.3):
            strips.append(Strip("lot", dice.between(0.8, 2.0)))
        if dice.chance(0.4):
            strips.append(Strip("verge", dice.between(1.0, 3.0)))
            strips.append(Strip("path", dice.between(1.5, 2.2)))
        strips.append(Strip("meadow", 99.0))
    return tuple(strips)


def _laid_out(canvas: Canvas) -> tuple[Box, Pixels, Pixels]:
    """The box below the horizon, and the ground's depth (h, 1) and its x (h, w) there, metres."""
    camera = canvas.camera
    box = Box(int(camera.horizon_px) + 2, 0, HEIGHT, WIDTH)
    metres = camera.height_m / (box.rows - camera.horizon_px)  # per pixel, across
    depth = (metres * camera.focal_px).astype(np.float32)
    columns = (box.columns - camera.centre_px).astype(np.float32)
    return box, depth, columns * metres.astype(np.float32) + np.float32(camera.x_m)


def _picked(mask: Mask, depth: Pixels) -> tuple[NDArray[np.int64], Pixels]:
    """Flat positions of the pixels in `mask`, and their depths."""
    place = np.flatnonzero(mask)
    return place, depth[:, 0][place // WIDTH]


def _strip(dice: Dice, kind: str, outward: Pixels, along: Pixels) -> tuple[int, Pixels]:
    """The class and the (n, 3) colours of a strip of ground."""
    near = np.minimum(np.float32(14) / along, 1)
    fine = _laid(grain(), along, outward, 40)
    if kind in ("kerb", "path"):
        tone = dice.between(150, 176) if kind == "kerb" else dice.between(126, 168)
        shade = 1 + 0.07 * fine * near
        if kind == "path":
            slab = np.float32(dice.choice((0.4, 0.5, 0.75, 1.0)))
            joint = (_modulo(outward, slab) < 0.035) | (_modulo(along, slab) < 0.05)
            shade[joint] *= 1 - 0.22 * near[joint]
        return SIDEWALK, shade[:, None] * rgb(dice.tone((tone, tone * 0.97, tone * 0.93), 0.04))
    if kind == "bays":
        line = (_modulo(along, np.float32(5.5)) < 0.12) | (outward < 0.1)
        shade = 1 + 0.1 * fine * near
        shade[line] *= np.float32(1.9)
        return VOID, shade[:, None] * rgb(dice.tone((96, 96, 100), 0.1))
    rough = _laid(leaves(), along, outward, 24)
    if kind in ("verge", "meadow"):
        green = dice.choice(((104, 122, 62), (120, 126, 70), (88, 112, 58), (138, 124, 84)))
        shade = 1 + 0.30 * rough * (0.35 + 0.65 * near) + 0.1 * fine
        return TERRAIN, shade[:, None] * rgb(dice.tone(green, 0.1))
    if kind == "cobbles":
        joint = (_modulo(outward, np.float32(0.22)) < 0.04) | (
            _modulo(along, np.float32(0.3)) < 0.06
        )
        shade = 1 + 0.16 * rough
        shade[joint] *= 1 - 0.35 * near[joint]
        return VOID, shade[:, None] * rgb(dice.tone((132, 120, 108), 0.1))
    shade = 1 + 0.22 * rough * (0.4 + 0.6 * near) + 0.12 * fine  # lot: gravel and dirt
    return VOID, shade[:, None] * rgb(dice.tone((150, 136, 112), 0.1))


def _repairs(canvas: Canvas, way: Street, colour: Pixels, across: Pixels, depth: Pixels) -> None:
    """Patches and manholes: they are road."""
    dice = canvas.dice
    for _ in range(dice.integer(0, 3)):  # patches
        x, z = dice.between(-way.half_m, way.half_m), dice.between(6, 30)
        width, length = dice.between(0.5, 2.0), dice.between(1, 7)
        rows = _rows(depth, z - length, z + length)
        colour[rows][np.abs(across[rows] - np.float32(x)) < width] *= np.float32(
            dice.choice((0.78, 0.85, 1.12))
        )
    for _ in range(dice.integer(0, 2)):  # manholes
        x, z = dice.choice(way.lanes) + dice.between(-0.6, 0.6), dice.between(6, 22)
        rows = _rows(depth, z - 0.36, z + 0.36)
        dx, dz = (across[rows] - np.float32(x)) / 0.36, (depth[rows, None] - np.float32(z)) / 0.36
        far = dx * dx + dz * dz
        colour[rows][far < 1] *= np.float32(0.8)
        colour[rows][(far < 1) & (far > 0.7)] *= np.float32(0.72)


def _markings(canvas: Canvas, way: Street, colour: Pixels, across: Pixels, depth: Pixels) -> None:
    """Lane lines, edge lines, sometimes a zebra crossing: they are road."""
    dice = canvas.dice
    paint = rgb((214, 212, 204)) * np.float32(dice.between(0.8, 1.08))
    wear = dice.between(0.55, 0.95)
    shift = dice.between(0, 9)
    dash = (_modulo(depth + np.float32(shift), np.float32(9)) < 4.2).astype(np.float32)
    lane_m = way.lanes[1] - way.lanes[0]
    pixel = depth / np.float32(canvas.camera.focal_px)  # metres across

    def line(x: float, half: float, on: Pixels | float) -> None:
        left, right = canvas.camera.column(x - half, 3.5), canvas.camera.column(x + half, 3.5)
        centre = canvas.camera.centre_px
        low = max(int(min(left, centre)) - 2, 0)
        high = min(int(max(right, centre)) + 3, WIDTH)
        if low >= high:
            return
        cover = np.clip((half - np.abs(across[:, low:high] - np.float32(x))) / pixel + 0.5, 0, 1)
        cover = cover * np.minimum(np.float32(2 * half) / pixel, 1) * np.float32(wear) * on
        part = colour[:, low:high]
        part += (paint - part) * cover[:, :, None].astype(np.float32)

    for number in range(1, len(way.lanes)):
        solid = len(way.lanes) == 4 and number == 2
        line(-way.half_m + number * lane_m, 0.07, 1.0 if solid else dash)
    if way.style == "country" or dice.chance(0.4):
        for side in (-1, 1):
            line(side * (way.half_m - 0.25), 0.07, 1.0)
    if way.style == "urban" and dice.chance(0.3):
        z = dice.between(11, 26)
        rows = np.flatnonzero(np.abs(depth[:, 0] - np.float32(z)) < 1.6)
        if rows.size:
            part = colour[rows[0] : rows[-1] + 1]
            x = across[rows[0] : rows[-1] + 1]
            mask = (_modulo(x, np.float32(1.0)) < 0.5) & (np.abs(x) < np.float32(way.half_m - 0.3))
            part += (paint - part) * (np.float32(wear) * mask[:, :, None])


def _rows(depth: Pixels, near: float, far: float) -> slice:
    """The rows of the ground whose depth lies between `near` and `far` metres."""
    rows = np.flatnonzero((depth > near) & (depth < far))
    return slice(int(rows[0]), int(rows[-1]) + 1) if rows.size else slice(0, 0)


def _laid(noise: Pixels, along: Pixels, across: Pixels, per_m: float) -> Pixels:
    """The noise tile laid on the ground, `per_m` tile pixels a metre, repeated."""
    y = (along * np.float32(per_m * 0.4)).astype(np.int32) & (TILE_PX - 1)
    x = (across * np.float32(per_m)).astype(np.int32) & (TILE_PX - 1)
    return noise.reshape(-1)[y * TILE_PX + x]


def _modulo(values: Pixels, period: np.float32) -> Pixels:
    return np.asarray(values - np.floor(values / period) * period)
