"""The buildings, walls and fences along a synthroad street; all stand upright beside the road."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.data._scene_canvas import Box, Canvas, Mask, polygon_mask
from harness.data._scene_dice import (
    Colour,
    Dice,
    Metres,
    Pixels,
    clouds,
    dimmed,
    grain,
    leaves,
    rgb,
)
from harness.data._scene_ground import Street

BUILDING, WALL, FENCE, VEGETATION = 2, 3, 4, 8
PLASTER = (
    (196, 182, 156), (178, 168, 158), (205, 196, 182), (168, 120, 96), (150, 92, 76),
    (142, 142, 146), (188, 160, 112), (120, 126, 134), (214, 208, 198), (160, 148, 128),
)  # fmt: skip
ROOFS = ((126, 66, 52), (104, 60, 52), (84, 80, 82), (66, 66, 72))


@dataclass(frozen=True)
class Block:
    """A building that stands along the road."""

    side: int  # -1 or 1
    front_m: float  # distance of its front from the road's middle
    near_m: float
    far_m: float
    height_m: float
    house: bool  # with a pitched roof, standing alone
    hidden_m: float  # up to this height the nearer neighbour hides the side that faces us

    @property
    def depth_m(self) -> float:
        """How far it is seen from the front to the back."""
        return 9.0 if self.house else 12.0


def blocks(dice: Dice, way: Street) -> list[Block]:
    """The buildings on both sides of the street, far ones first."""
    found = []
    for side in (-1, 1):
        if way.style == "country" and dice.chance(0.6):
            continue
        z, hidden = dice.between(-6, 9), 0.0
        front = way.edge(side) + (0.3 if way.style == "urban" else dice.between(3, 8))
        while z < 150:
            house = way.style != "urban"
            length = dice.between(8, 13) if house else dice.between(9, 26)
            height = dice.between(3.2, 5.5) if house else dice.between(8, 21)
            skip = 0.65 if way.style == "country" else 0.12
            if not dice.chance(skip) and z + length > 3.2:
                at = front + (dice.between(-1, 2) if house else 0.0)
                found.append(Block(side, at, max(z, 3.0), z + length, height, house, hidden))
                hidden = height
            else:
                hidden = 0.0
            gap = dice.between(4, 16) if house else dice.choice((0.0, 0.0, 0.0, 5.0))
            hidden = 0.0 if gap > 0 else hidden
            z += length + gap
    return sorted(found, key=lambda block: (-block.far_m, block.side))


def building(canvas: Canvas, block: Block) -> None:
    """One building: the front along the road, the side that faces us, the roof."""
    camera, light, dice = canvas.camera, canvas.light, canvas.dice
    x = block.side * block.front_m
    if block.side * (x - camera.x_m) < 0.8:
        return
    base = dice.tone(dice.choice(PLASTER), 0.08)
    lit = 1.0 if light.sun == 0 else (1.14 if light.sun != block.side else 0.66)
    look = _Facade.thrown(dice, block)
    back = x + block.side * block.depth_m
    roof = dice.tone(dice.choice(ROOFS), 0.12)
    top = block.height_m

    if block.house:
        ridge, middle = top + dice.between(2.0, 3.2), (x + back) / 2
        eaves = x - block.side * 0.4
        slope = [
            (eaves, top - 0.2, block.near_m), (eaves, top - 0.2, block.far_m),
            (middle, ridge, block.far_m), (middle, ridge, block.near_m),
        ]  # fmt: skip
        _quad(canvas, slope, dimmed(roof, lit), block.near_m + 2)
        gable = [(x, top, block.near_m), (middle, ridge, block.near_m), (back, top, block.near_m)]
        _quad(canvas, gable, dimmed(base, 0.92), block.near_m)

    # the side that faces us
    left, right = sorted((camera.column(x, block.near_m), camera.column(back, block.near_m)))
    low = block.hidden_m
    box = canvas.box(left, camera.row(top, block.near_m), right, camera.row(low, block.near_m))
    if box is not None and block.near_m > 3.1 and low < top:
        metres = np.full((1, 1), block.near_m / camera.focal_px)
        across = ((box.columns - camera.centre_px) * metres + camera.x_m - x) * block.side
        up = camera.height_m - (box.rows - camera.horizon_px) * metres
        mask = (up <= top) & (up >= low) & (across >= 0) & (across <= block.depth_m)
        colour = look.colours(canvas, box, across, up, dimmed(base, 0.94), metres)
        canvas.fill(box, mask, colour, BUILDING, False)

    # the front along the road
    wall = _along(canvas, x, block.near_m, block.far_m, top)
    if wall is not None:
        box, z, up, mask = wall
        metres = z / camera.focal_px
        colour = look.colours(canvas, box, z - block.near_m, up, dimmed(base, lit), metres)
        canvas.fill(box, mask, colour, BUILDING, False)


def barrier(canvas: Canvas, side: int, x_m: float, near_m: float, far_m: float, kind: str) -> None:
    """A wall, a fence, a guard rail or a hedge along the road."""
    camera, light, dice = canvas.camera, canvas.light, canvas.dice
    x = side * x_m
    if side * (x - camera.x_m) < 0.8:
        return
    height = {"wall": 1.9, "fence": 1.3, "rail": 0.85, "hedge": 1.5}[kind] * dice.between(0.8, 1.3)
    wall = _along(canvas, x, near_m, far_m, height)
    if wall is None:
        return
    box, z, up, mask = wall
    lit = 1.0 if light.sun == 0 else (1.1 if light.sun != side else 0.72)
    noise = canvas.patch(grain(), box)
    if kind == "wall":
        base = dimmed(
            dice.tone(dice.choice(((150, 142, 130), (142, 96, 78), (128, 128, 126))), 0.1), lit
        )
        brick = (up / 0.25 - np.floor(up / 0.25) < 0.14) & (z < 30)
        shade = 1 + 0.12 * noise - 0.16 * brick + 0.14 * (up > height - 0.15)
        cls = WALL
    elif kind == "fence":
        base = dimmed(
            dice.tone(dice.choice(((124, 94, 66), (88, 96, 92), (186, 182, 174))), 0.1), lit
        )
        slat = dice.between(0.14, 0.3)
        gap = (z / slat - np.floor(z / slat) < 0.3) & (np.abs(up / height - 0.5) < 0.38)
        shade = 1 + 0.1 * noise - np.where(gap, np.clip(4 / z, 0.15, 0.5), 0)
        cls = FENCE
    elif kind == "rail":
        base = dimmed(dice.tone((168, 170, 172), 0.06), lit)
        post = z / 2.0 - np.floor(z / 2.0) < 0.07
        beam = up > height * 0.55
        mask &= beam | post
        shade = 1 + 0.06 * noise - 0.3 * (np.abs(up - height * 0.78) < 0.05) - 0.2 * ~beam
        cls = FENCE
    else:
        base = dimmed(dice.tone((70, 92, 52), 0.15), lit)
        shape = canvas.patch(leaves(), box)
        mask &= up <= height * (0.9 + 0.25 * shape)
        shade = 1 + 0.4 * shape + 0.15 * noise
        cls = VEGETATION
    part = (z / (z + light.haze_m)).astype(np.float32)[:, :, None]
    colour = np.asarray(shade, np.float32)[:, :, None] * rgb(base)
    canvas.fill(box, mask, colour * (1 - part) + rgb(light.haze) * part, cls, False)


@dataclass(frozen=True)
class _Facade:
    """The pattern of windows and plaster of a building."""

    bay_m: float
    floor_m: float
    width: float  # part of a bay that is window
    height: float  # part of a floor that is window
    shop: bool
    glass: Colour
    frame: float
    seed: int

    @staticmethod
    def thrown(dice: Dice, block: Block) -> "_Facade":
        return _Facade(
            bay_m=dice.between(1.7, 3.6),
            floor_m=dice.between(2.7, 3.5),
            width=dice.between(0.35, 0.72),
            height=dice.between(0.42, 0.66),
            shop=not block.house and dice.chance(0.6),
            glass=dice.tone(dice.choice(((58, 72, 88), (44, 50, 58), (84, 100, 116))), 0.1),
            frame=dice.choice((0.82, 1.14, 1.22)),
            seed=dice.integer(0, 1 << 20),
        )

    def colours(
        self,
        canvas: Canvas,
        box: Box,
        along_m: Metres,
        up_m: Metres,
        base: Colour,
        pixel_m: Metres,
    ) -> Pixels:
        """The (h, w, 3) colours of a wall whose points lie `along_m` and `up_m` on it.

        `pixel_m` is the size of a pixel there; it tells the depth, too.
        """
        along, up, metres = (a.astype(np.float32) for a in (along_m, up_m, pixel_m))
        z = metres * np.float32(canvas.camera.focal_px)
        bays, floors = along / np.float32(self.bay_m), up / np.float32(self.floor_m)
        ix, iy = np.floor(bays), np.floor(floors)
        fx, fy = np.abs(bays - ix - 0.5), floors - iy
        middle = 0.5 + 0.05 * self.height
        fy_off = np.abs(fy - middle)
        inside = (fx < self.width / 2) & (fy_off < self.height / 2)
        framed = (fx < self.width / 2 + 0.05) & (fy_off < self.height / 2 + 0.05)
        number = ix.astype(np.int32) * 7919 + iy.astype(np.int32) * 104729 + self.seed
        pane = ((number * (number ^ 0x5A5A)) >> 7 & 255).astype(np.float32)
        pane = pane / 255 + (np.float32(0.42) + 0.25 * fy)
        shade = 1 + 0.07 * canvas.patch(grain(), box) + 0.06 * canvas.patch(clouds(), box)
        shade -= 0.10 * (fy < 0.035)
        shade += np.float32(self.frame - 1) * framed
        colour = shade[:, :, None] * rgb(base)
        if self.shop:
            part = along / np.float32(4.2)
            bay = np.abs(part - np.floor(part) - 0.5) < 0.43
            inside = (inside & (up > 3.7)) | (bay & (up < 3.0) & (up > 0.35))
            awning = (base[2] * 0.6, base[0] * 0.5, base[1] * 0.55)
            np.copyto(colour, rgb(awning), where=((up >= 3.0) & (up < 3.7))[:, :, None])
        clear = np.minimum(np.float32(0.16) / metres, 1)
        weight = (inside * clear)[:, :, None]
        colour *= 1 - weight
        colour += (weight * pane[:, :, None]) * rgb(self.glass)
        part = (z / (z + np.float32(canvas.light.haze_m)))[..., None]
        colour *= 1 - part
        colour += rgb(canvas.light.haze) * part
        return colour


def _along(
    canvas: Canvas, x: float, near_m: float, far_m: float, high_m: float
) -> tuple[Box, Metres, Metres, Mask] | None:
    """The plane through x along the road: its box, depths (1, w), heights (h, w) and pixels."""
    camera = canvas.camera
    left, right = sorted((camera.column(x, near_m), camera.column(x, far_m)))
    box = canvas.box(left, camera.row(high_m, near_m), right, camera.row(0, near_m))
    if box is None:
        return None
    side = 1 if x > camera.x_m else -1
    step = box.columns - camera.centre_px
    step = np.where(step * side < 0.5, 0.5 * side, step)
    z = camera.focal_px * (x - camera.x_m) / step
    up = camera.height_m - (box.rows - camera.horizon_px) * (z / camera.focal_px)
    return box, z, up, (up <= high_m) & (up >= 0) & (z >= near_m) & (z <= far_m)


def _quad(
    canvas: Canvas, points: Sequence[tuple[float, float, float]], colour: Colour, z: float
) -> None:
    """Fill a polygon of the building class whose corners are (x, y, z) in metres."""
    camera = canvas.camera
    pixels = [(camera.column(x, max(d, 0.5)), camera.row(y, max(d, 0.5))) for x, y, d in points]
    xs, ys = [p[0] for p in pixels], [p[1] for p in pixels]
    box = canvas.box(min(xs), min(ys), max(xs), max(ys))
    if box is not None:
        shade = (1 + 0.1 * canvas.patch(grain(), box))[:, :, None] * rgb(colour)
        canvas.fill(box, polygon_mask(pixels, box), canvas.hazed(shade, z), BUILDING, False)
