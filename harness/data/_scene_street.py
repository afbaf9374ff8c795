"""The fixed parts of a synthroad scene: sky, ground, buildings, fences, walls, distance, car.

Every function paints onto a canvas, from far to near; none returns a value.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.data._scene_canvas import (
    HEIGHT,
    TILE_PX,
    VOID,
    WIDTH,
    Box,
    Canvas,
    Colour,
    Dice,
    Mask,
    Pixels,
    clouds,
    grain,
    leaves,
    polygon_mask,
)

ROAD, SIDEWALK, BUILDING, WALL, FENCE, VEGETATION, TERRAIN, SKY = 0, 1, 2, 3, 4, 8, 9, 10
PLASTER = (
    (196, 182, 156), (178, 168, 158), (205, 196, 182), (168, 120, 96), (150, 92, 76),
    (142, 142, 146), (188, 160, 112), (120, 126, 134), (214, 208, 198), (160, 148, 128),
)  # fmt: skip
ROOFS = ((126, 66, 52), (104, 60, 52), (84, 80, 82), (66, 66, 72))


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


def sky(canvas: Canvas) -> None:
    """The sky, down to a little below the horizon."""
    kind, dice = canvas.light.kind, canvas.dice
    top, low = {
        "clear": ((86, 138, 200), (206, 222, 232)),
        "overcast": ((150, 156, 164), (206, 208, 210)),
        "evening": ((96, 116, 164), (246, 208, 164)),
        "dim": ((74, 84, 104), (150, 154, 162)),
    }[kind]
    bottom = min(int(canvas.camera.horizon_px) + 6, HEIGHT)
    box = Box(0, 0, bottom, WIDTH)
    t = (box.rows / bottom).astype(np.float32)
    t = (t * (0.4 + 0.6 * t))[:, :, None]
    colour = _array(dice.tone(top, 0.06)) * (1 - t) + _array(low) * t
    noise = canvas.patch(clouds(), Box(0, 0, bottom, WIDTH))
    cover = {"clear": 0.05, "overcast": -0.35, "evening": 0.0, "dim": -0.2}[kind]
    amount = np.clip((noise - np.float32(cover + dice.between(0, 0.25))) * 2.6, 0, 0.8)
    white = _array((250, 248, 246) if kind == "clear" else low)
    if kind in ("overcast", "dim"):
        white = white * np.float32(0.86)
    colour = colour + (white - colour) * amount[:, :, None]
    canvas.rgb[box.window] = colour
    canvas.classes[box.window] = SKY


def distance(canvas: Canvas, style: str) -> None:
    """Hazy hills, trees or roofs along the horizon."""
    camera, dice = canvas.camera, canvas.dice
    kinds = {
        "urban": ("roofs", "trees", "roofs"),
        "suburban": ("hills", "trees", "roofs"),
        "country": ("hills", "hills", "trees"),
    }[style]
    for number, kind in enumerate(kinds):
        depth = (420, 260, 160)[number]
        height = dice.between(10, 34) * (1.3 - 0.35 * number)
        box = Box(
            max(int(camera.horizon_px - height * 2.2), 0), 0, int(camera.horizon_px) + 8, WIDTH
        )
        if kind == "roofs":
            tops = np.zeros(WIDTH, np.float32)
            column = 0
            while column < WIDTH:
                width = dice.integer(14, 60)
                tops[column : column + width] = dice.between(0.2, 1.0)
                column += width
        else:
            row = dice.integer(0, TILE_PX - 1)
            tops = 0.6 + 0.5 * (clouds() if kind == "hills" else leaves())[row]
            if kind == "trees":
                tops = tops + 0.25 * clouds()[(row + 99) % TILE_PX]
        above = (camera.horizon_px - box.rows).astype(np.float32)
        mask = above <= tops[None, :] * np.float32(height)
        base: Colour = (96, 112, 84) if kind != "roofs" else (140, 132, 126)
        colour = canvas.hazed(dice.tone(base, 0.12), depth)
        shade = 1 + 0.16 * canvas.patch(leaves(), box)
        cls = BUILDING if kind == "roofs" else VEGETATION
        canvas.fill(box, mask, colour * shade[:, :, None], cls, False)


def ground(canvas: Canvas, way: Street) -> None:
    """The road with its markings, and the strips on both sides."""
    camera, dice = canvas.camera, canvas.dice
    box, depth, across = _laid_out(canvas)
    colour = np.zeros((*across.shape, 3), np.float32)
    classes = np.full(across.shape, ROAD, np.uint8)

    mask = np.abs(across) < np.float32(way.half_m)
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
    paint = shade[:, None] * _array((tone + warm, tone, tone - warm * 0.6))
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
    colour += _array(canvas.light.haze) * part
    canvas.rgb[box.window] = colour
    canvas.classes[box.window] = classes


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
        return SIDEWALK, shade[:, None] * _array(dice.tone((tone, tone * 0.97, tone * 0.93), 0.04))
    if kind == "bays":
        line = (_modulo(along, np.float32(5.5)) < 0.12) | (outward < 0.1)
        shade = 1 + 0.1 * fine * near
        shade[line] *= np.float32(1.9)
        return VOID, shade[:, None] * _array(dice.tone((96, 96, 100), 0.1))
    rough = _laid(leaves(), along, outward, 24)
    if kind in ("verge", "meadow"):
        green = dice.choice(((104, 122, 62), (120, 126, 70), (88, 112, 58), (138, 124, 84)))
        shade = 1 + 0.30 * rough * (0.35 + 0.65 * near) + 0.1 * fine
        return TERRAIN, shade[:, None] * _array(dice.tone(green, 0.1))
    if kind == "cobbles":
        joint = (_modulo(outward, np.float32(0.22)) < 0.04) | (_modulo(along, np.float32(0.3)) < 0.06)
        shade = 1 + 0.16 * rough
        shade[joint] *= 1 - 0.35 * near[joint]
        return VOID, shade[:, None] * _array(dice.tone((132, 120, 108), 0.1))
    shade = 1 + 0.22 * rough * (0.4 + 0.6 * near) + 0.12 * fine  # lot: gravel and dirt
    return VOID, shade[:, None] * _array(dice.tone((150, 136, 112), 0.1))


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
        colour[rows][far < 1] *= np.float32(0.62)
        colour[rows][(far < 1) & (far > 0.72)] *= np.float32(1.35)


def _rows(depth: Pixels, near: float, far: float) -> slice:
    """The rows of the ground whose depth lies between `near` and `far` metres."""
    rows = np.flatnonzero((depth > near) & (depth < far))
    return slice(int(rows[0]), int(rows[-1]) + 1) if rows.size else slice(0, 0)


def _markings(
    canvas: Canvas, way: Street, colour: Pixels, across: Pixels, depth: Pixels
) -> None:
    """Lane lines, edge lines, sometimes a zebra crossing: they are road."""
    dice = canvas.dice
    paint = _array((214, 212, 204)) * np.float32(dice.between(0.8, 1.08))
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


def shadows(canvas: Canvas, way: Street, blocks: Sequence["Block"]) -> None:
    """The shadows that buildings cast on the ground, and those of trees out of sight."""
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
            inside = (across[rows] * light.sun - np.float32(limit)) * 6
            dark[rows] = np.maximum(dark[rows], np.clip(inside, 0, 1))
    if dice.chance(0.5):  # trees out of sight
        inside = across * light.sun > np.float32(way.half_m - dice.between(0, 2.5 * way.half_m))
        place, along = _picked(inside, depth)
        noise = _laid(clouds(), along, across.reshape(-1)[place], 36)
        flat = dark.reshape(-1)
        flat[place] = np.maximum(flat[place], np.clip((noise - 0.12) * 7, 0, 1))
    canvas.darken(box, dark * np.float32(1 - light.shadow))


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
        slope = [
            (x - block.side * 0.4, top - 0.2, block.near_m), (x - block.side * 0.4, top - 0.2, block.far_m),
            (middle, ridge, block.far_m), (middle, ridge, block.near_m),
        ]  # fmt: skip
        _quad(canvas, slope, _times(roof, lit), block.near_m + 2)
        gable = [(x, top, block.near_m), (middle, ridge, block.near_m), (back, top, block.near_m)]
        _quad(canvas, gable, _times(base, 0.92), block.near_m)

    # the side that faces us
    left, right = sorted((camera.column(x, block.near_m), camera.column(back, block.near_m)))
    low = block.hidden_m
    box = canvas.box(left, camera.row(top, block.near_m), right, camera.row(low, block.near_m))
    if box is not None and block.near_m > 3.1 and low < top:
        metres = block.near_m / camera.focal_px
        across = ((box.columns - camera.centre_px) * metres + camera.x_m - x) * block.side
        up = camera.height_m - (box.rows - camera.horizon_px) * metres
        mask = (up <= top) & (up >= low) & (across >= 0) & (across <= block.depth_m)
        colour = look.colours(canvas, box, across, up, _times(base, 0.94), metres, block.near_m)
        canvas.fill(box, mask, colour, BUILDING, False)

    # the front along the road
    near, far = camera.column(x, block.near_m), camera.column(x, block.far_m)
    left, right = sorted((near, far))
    box = canvas.box(left, camera.row(top, block.near_m), right, camera.row(0, block.near_m))
    if box is None:
        return
    step = box.columns - camera.centre_px
    step = np.where(step * block.side < 0.5, 0.5 * block.side, step)
    z = camera.focal_px * (x - camera.x_m) / step
    metres = z / camera.focal_px
    up = camera.height_m - (box.rows - camera.horizon_px) * metres
    mask = (up <= top) & (up >= 0) & (z >= block.near_m) & (z <= block.far_m)
    colour = look.colours(canvas, box, z - block.near_m, up, _times(base, lit), metres, z)
    canvas.fill(box, mask, colour, BUILDING, False)


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
        along: Pixels,
        up: Pixels,
        base: Colour,
        metres: Pixels | float,
        z: Pixels | float,
    ) -> Pixels:
        """The (h, w, 3) colours of a wall whose points lie `along` and `up` metres on it."""
        along, up = np.asarray(along, np.float32), np.asarray(up, np.float32)
        metres, z = np.asarray(metres, np.float32), np.asarray(z, np.float32)
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
        colour = shade[:, :, None] * _array(base)
        if self.shop:
            part = along / np.float32(4.2)
            bay = np.abs(part - np.floor(part) - 0.5) < 0.43
            inside = (inside & (up > 3.7)) | (bay & (up < 3.0) & (up > 0.35))
            awning = (base[2] * 0.6, base[0] * 0.5, base[1] * 0.55)
            np.copyto(colour, _array(awning), where=((up >= 3.0) & (up < 3.7))[:, :, None])
        clear = np.minimum(np.float32(0.16) / metres, 1)
        weight = (inside * clear)[:, :, None]
        colour *= 1 - weight
        colour += (weight * pane[:, :, None]) * _array(self.glass)
        part = (z / (z + np.float32(canvas.light.haze_m)))[..., None]
        colour *= 1 - part
        colour += _array(canvas.light.haze) * part
        return colour


def barrier(canvas: Canvas, side: int, x_m: float, near_m: float, far_m: float, kind: str) -> None:
    """A wall, a fence, a guard rail or a hedge along the road."""
    camera, light, dice = canvas.camera, canvas.light, canvas.dice
    x = side * x_m
    if side * (x - camera.x_m) < 0.8:
        return
    height = {"wall": 1.9, "fence": 1.3, "rail": 0.85, "hedge": 1.5}[kind] * dice.between(0.8, 1.3)
    left, right = sorted((camera.column(x, near_m), camera.column(x, far_m)))
    box = canvas.box(left, camera.row(height, near_m), right, camera.row(0, near_m))
    if box is None:
        return
    step = box.columns - camera.centre_px
    step = np.where(step * side < 0.5, 0.5 * side, step)
    z = camera.focal_px * (x - camera.x_m) / step
    up = camera.height_m - (box.rows - camera.horizon_px) * (z / camera.focal_px)
    mask = (up <= height) & (up >= 0) & (z >= near_m) & (z <= far_m)
    lit = 1.0 if light.sun == 0 else (1.1 if light.sun != side else 0.72)
    noise = canvas.patch(grain(), box)
    if kind == "wall":
        base = _times(
            dice.tone(dice.choice(((150, 142, 130), (142, 96, 78), (128, 128, 126))), 0.1), lit
        )
        brick = (up / 0.25 - np.floor(up / 0.25) < 0.14) & (z < 30)
        shade = 1 + 0.12 * noise - 0.16 * brick + 0.14 * (up > height - 0.15)
        cls = WALL
    elif kind == "fence":
        base = _times(
            dice.tone(dice.choice(((124, 94, 66), (88, 96, 92), (186, 182, 174))), 0.1), lit
        )
        slat = dice.between(0.14, 0.3)
        gap = (z / slat - np.floor(z / slat) < 0.3) & (np.abs(up / height - 0.5) < 0.38)
        shade = 1 + 0.1 * noise - np.where(gap, np.clip(4 / z, 0.15, 0.5), 0)
        cls = FENCE
    elif kind == "rail":
        base = _times(dice.tone((168, 170, 172), 0.06), lit)
        post = z / 2.0 - np.floor(z / 2.0) < 0.07
        beam = up > height * 0.55
        mask &= beam | post
        shade = 1 + 0.06 * noise - 0.3 * (np.abs(up - height * 0.78) < 0.05) - 0.2 * ~beam
        cls = FENCE
    else:
        base = _times(dice.tone((70, 92, 52), 0.15), lit)
        shape = canvas.patch(leaves(), box)
        mask &= up <= height * (0.9 + 0.25 * shape)
        shade = 1 + 0.4 * shape + 0.15 * noise
        cls = VEGETATION
    part = (z / (z + light.haze_m)).astype(np.float32)[:, :, None]
    colour = np.asarray(shade, np.float32)[:, :, None] * _array(base)
    canvas.fill(box, mask, colour * (1 - part) + _array(light.haze) * part, cls, False)


def own_car(canvas: Canvas) -> None:
    """The bonnet of our car and the border that rectification leaves: void."""
    dice = canvas.dice
    rise, half = dice.between(34, 62), dice.between(560, 760)
    middle = WIDTH / 2 + dice.between(-60, 60)
    box = Box(int(HEIGHT - rise), 0, HEIGHT, WIDTH)
    du, dv = (box.columns - middle) / half, (HEIGHT + rise * 0.4 - box.rows) / (rise * 1.4)
    far = du * du + dv * dv
    base = dice.tone(dice.choice(((46, 48, 54), (60, 62, 66), (92, 96, 104), (70, 30, 30))), 0.1)
    shine = np.clip(1.5 - np.abs(far - 0.72) * 3.0, 0.8, 1.6).astype(np.float32)
    canvas.fill(box, far <= 1, shine[:, :, None] * _array(base), VOID, False)
    left, right = dice.integer(3, 9), dice.integer(3, 9)
    for part in (slice(0, left), slice(WIDTH - right, WIDTH)):
        canvas.rgb[:, part] = 4
        canvas.classes[:, part] = VOID
        canvas.odd[:, part] = False
    edge = dice.integer(2, 6)
    canvas.rgb[:edge] = 4
    canvas.classes[:edge] = VOID
    canvas.odd[:edge] = False


def _quad(
    canvas: Canvas, points: Sequence[tuple[float, float, float]], colour: Colour, z: float
) -> None:
    """Fill a polygon of the building class whose corners are (x, y, z) in metres."""
    camera = canvas.camera
    pixels = [(camera.column(x, max(d, 0.5)), camera.row(y, max(d, 0.5))) for x, y, d in points]
    xs, ys = [p[0] for p in pixels], [p[1] for p in pixels]
    box = canvas.box(min(xs), min(ys), max(xs), max(ys))
    if box is not None:
        shade = (1 + 0.1 * canvas.patch(grain(), box))[:, :, None] * _array(colour)
        canvas.fill(box, polygon_mask(pixels, box), canvas.hazed(shade, z), BUILDING, False)


def _laid(noise: Pixels, along: Pixels, across: Pixels, per_m: float) -> Pixels:
    """The noise tile laid on the ground, `per_m` tile pixels a metre, repeated."""
    y = (along * np.float32(per_m * 0.4)).astype(np.int32) & (TILE_PX - 1)
    x = (across * np.float32(per_m)).astype(np.int32) & (TILE_PX - 1)
    return noise.reshape(-1)[y * TILE_PX + x]


def _modulo(values: Pixels, period: np.float32) -> Pixels:
    return np.asarray(values - np.floor(values / period) * period)


def _times(colour: Colour, gain: float) -> Colour:
    return colour[0] * gain, colour[1] * gain, colour[2] * gain


def _array(colour: Colour) -> Pixels:
    return np.asarray(colour, np.float32)


__all__ = [
    "Block", "Mask", "Street", "barrier", "blocks", "building", "distance", "ground", "own_car",
    "shadows", "sky", "street",
]  # fmt: skip
