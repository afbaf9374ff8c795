"""What stands and moves in a synthroad scene: vehicles, people, trees, poles, street furniture.

Every function draws one thing with its foot at (x, z) metres and returns nothing.
"""

from collections.abc import Sequence

import numpy as np

from harness.data._scene_canvas import (
    VOID,
    Canvas,
    Colour,
    Dice,
    Pen,
    Pixels,
    Point,
    clouds,
    leaves,
    oval_mask,
)

BUILDING, POLE, TRAFFIC_LIGHT, SIGN, VEGETATION, TERRAIN = 2, 5, 6, 7, 8, 9
PERSON, RIDER, CAR, TRUCK, BUS, TRAIN, MOTORCYCLE, BICYCLE = 11, 12, 13, 14, 15, 16, 17, 18

PAINTS = (
    (176, 178, 182), (206, 206, 204), (52, 54, 58), (34, 36, 40), (120, 124, 130), (58, 78, 112),
    (124, 34, 36), (46, 66, 60), (150, 128, 96), (92, 100, 108), (170, 60, 40), (38, 62, 110),
)  # fmt: skip
CLOTHES = (
    (44, 48, 62), (84, 84, 88), (132, 48, 44), (58, 84, 120), (178, 168, 150), (38, 40, 42),
    (96, 112, 74), (190, 150, 60), (110, 72, 92), (206, 206, 204), (64, 100, 104),
)  # fmt: skip
SKINS = ((214, 176, 150), (186, 140, 112), (132, 92, 70), (96, 66, 52))
GLASS = (46, 56, 66)
BLACK = (24, 24, 26)


def car(canvas: Canvas, x: float, z: float, *, ahead: bool, half_m: float = 0.9) -> None:
    """A car seen from behind (`ahead`) or from the front."""
    dice, paint = canvas.dice, canvas.dice.tone(canvas.dice.choice(PAINTS), 0.12)
    high = dice.between(1.38, 1.75)
    waist = dice.between(0.82, 0.95) + (high - 1.4) * 0.4
    pen = Pen(canvas, x, z, CAR)
    pen.ground_shadow(half_m * 1.2, 1.0, 0.75)
    w, top = half_m, half_m * dice.between(0.66, 0.8)  # half widths of the body and of the roof
    lean = dice.between(0.02, 0.14)  # of the end that we see: hatchback or notchback
    length = dice.between(3.7, 4.7)
    glass = _dim(GLASS, dice.between(0.8, 1.7))
    side = _flank(canvas, x, z, w)
    if side != 0:
        a, b = side * w, side * top
        flank = ((a, 0.22, 0), (a, waist, 0), (a, waist, 0.97), (a, waist - 0.2, 1), (a, 0.22, 1))
        _side(canvas, pen, flank, length, _dim(paint, 0.84))
        back, front = (0.0, 0.62) if ahead else (0.16, 0.78)
        cabin = ((a, waist, 0), (b, high, back + lean), (b, high, front - 0.1), (a, waist, front + 0.14))
        _side(canvas, pen, cabin, length, _dim(paint, 0.76))
        c, low, up = (a * 0.8 + b * 0.2), waist + 0.06, high - 0.1
        pane = ((c, low, 0.05), (b, up, back + lean + 0.02), (b, up, front - 0.11), (c, low, front + 0.06))
        _side(canvas, pen, pane, length, _dim(glass, 0.85))
        pillar = ((c, low, 0.33), (b, up, 0.33), (b, up, 0.36), (c, low, 0.36))
        _side(canvas, pen, pillar, length, _dim(paint, 0.7))
        for place in (0.18, 0.8):
            _wheel(canvas, pen, a, z + place * length, 0.31)
    for s in (-1, 1):
        pen.rectangle(s * w * 0.94, 0, s * w * 0.66, 0.34, BLACK)
    slope = 0.0 if ahead else 0.16
    recess = (lean + slope) * length
    u, v = canvas.camera.column(x, z + recess), canvas.camera.row(high, z + recess)
    reach = canvas.camera.focal_px / (z + recess)
    (u0, v0), (u1, _) = pen.at((-w * 0.92, waist)), pen.at((w * 0.92, waist))
    roof = [(u - top * reach, v), (u + top * reach, v)]
    pen.outline([(u0, v0), *roof, (u1, v0)], _dim(paint, 0.95))
    near = 0.06 * reach
    pen.outline(
        [(u0 + 2 * near, v0 - near), (roof[0][0] + near, v + near * 1.5),
         (roof[1][0] - near, v + near * 1.5), (u1 - 2 * near, v0 - near)],
        glass, -1, -0.3,
    )  # fmt: skip
    body: list[Point] = [
        (-w * 0.94, 0.22), (-w, 0.34), (-w, waist - 0.12), (-w * 0.93, waist + 0.02),
        (w * 0.93, waist + 0.02), (w, waist - 0.12), (w, 0.34), (w * 0.94, 0.22),
    ]  # fmt: skip
    pen.polygon(body, paint, fade=0.4)
    if pen.scale < 6:
        return
    pen.rectangle(-w * 0.9, 0.22, w * 0.9, 0.34, _dim(paint, 0.45))
    lamp = (176, 30, 28) if ahead else (244, 240, 222)
    for s in (-1, 1):
        low = waist - dice.between(0.2, 0.24)
        pen.rectangle(s * w * 0.97, low, s * w * (0.68 if ahead else 0.6), low + 0.13, lamp)
    pen.rectangle(-0.25, 0.43, 0.25, 0.54, (222, 222, 214))
    if not ahead:
        pen.rectangle(-0.4, 0.58, 0.4, 0.68, (40, 42, 46))


def van_like(canvas: Canvas, x: float, z: float, kind: str, *, ahead: bool) -> None:
    """A truck, a bus or a tram (class train)."""
    dice = canvas.dice
    cls = {"truck": TRUCK, "bus": BUS, "train": TRAIN}[kind]
    paint = dice.tone(
        dice.choice(
            {
                "truck": ((200, 200, 196), (150, 60, 44), (60, 92, 128), (190, 160, 70), (110, 116, 110)),
                "bus": ((190, 150, 60), (168, 52, 44), (206, 204, 198), (60, 110, 120)),
                "train": ((186, 60, 50), (214, 206, 184), (70, 96, 84)),
            }[kind]
        ),
        0.1,
    )
    half, high, length = {
        "truck": (1.2, dice.between(2.8, 3.6), dice.between(5, 8)),
        "bus": (1.25, dice.between(2.9, 3.2), dice.between(10, 12)),
        "train": (1.3, dice.between(3.3, 3.6), dice.between(16, 24)),
    }[kind]
    pen = Pen(canvas, x, z, cls)
    pen.ground_shadow(half * 1.2, 1.4, 0.75)
    side = _flank(canvas, x, z, half)
    if side != 0:
        a = side * half
        _panel(canvas, pen, a, (0.35, high), (0, 1), length, _dim(paint, 0.78))
        if kind == "truck":
            _panel(canvas, pen, a, (0.35, 0.62), (0, 1), length, (48, 48, 50))
        else:
            count = 5 if kind == "bus" else 8
            for number in range(count):
                parts = ((number + 0.1) / count, (number + 0.9) / count)
                _panel(canvas, pen, a, (1.25, 2.3), parts, length, GLASS)
        if kind == "train":
            _panel(canvas, pen, a, (2.45, 2.7), (0, 1), length, (226, 222, 210))
        else:
            for place in (0.14, 0.8):
                _wheel(canvas, pen, a, z + place * length, 0.46)
    for s in (-1, 1):
        pen.rectangle(s * half * 0.92, 0, s * half * 0.62, 0.5, BLACK)
    pen.rectangle(-half, 0.32, half, high, paint)
    if kind == "truck" and ahead:  # the rear doors of the box
        pen.rectangle(-half * 0.94, 0.75, half * 0.94, high - 0.08, _dim(paint, 1.08))
        pen.bar((0, 0.75), (0, high - 0.1), 0.05, _dim(paint, 0.6))
        pen.rectangle(-half, 0.32, half, 0.7, (58, 58, 60))
    else:
        low = 1.15 if kind == "truck" else 1.0
        pen.rectangle(-half * 0.9, low, half * 0.9, low + (high - low) * 0.62, GLASS)
        if kind != "truck":
            pen.rectangle(-half * 0.55, high - 0.34, half * 0.55, high - 0.1, (30, 30, 26))
            pen.rectangle(-half * 0.45, high - 0.3, half * 0.4, high - 0.14, (232, 168, 54))
    for s in (-1, 1):
        lamp = (176, 30, 28) if ahead else (244, 240, 222)
        pen.rectangle(s * half * 0.95, 0.52, s * half * 0.72, 0.68, lamp)


def person(canvas: Canvas, x: float, z: float) -> None:
    """A pedestrian."""
    dice = canvas.dice
    tall = dice.between(1.1, 1.3) if dice.chance(0.12) else dice.between(1.55, 1.9)
    pen = Pen(canvas, x, z, PERSON, mirror=dice.side())
    pen.ground_shadow(0.34, 0.3, 0.5)
    k = tall / 1.75
    top, legs = dice.tone(dice.choice(CLOTHES), 0.15), dice.tone(dice.choice(CLOTHES[:6]), 0.15)
    skin = dice.choice(SKINS)
    stride = dice.between(0.02, 0.34) * k
    pen.bar((-0.05 * k, 0.86 * k), (-stride, 0.05), 0.17 * k, _dim(legs, 0.85))
    pen.bar((0.06 * k, 0.86 * k), (stride * 0.8, 0.05), 0.17 * k, legs)
    for foot in (-stride, stride * 0.8):
        pen.oval(foot + 0.05, 0.05, 0.13 * k, 0.06, BLACK)
    arm = dice.between(0.05, 0.3) * k
    pen.bar((-0.2 * k, 1.4 * k), (-0.2 * k - arm, 0.92 * k), 0.11 * k, _dim(top, 0.85))
    coat = dice.between(0.62, 0.86) * k
    pen.polygon(
        [(-0.19 * k, coat), (-0.24 * k, 1.38 * k), (-0.13 * k, 1.5 * k), (0.13 * k, 1.5 * k),
         (0.24 * k, 1.38 * k), (0.19 * k, coat)],
        top,
    )  # fmt: skip
    pen.bar((0.2 * k, 1.4 * k), (0.2 * k + arm * 0.7, 0.9 * k), 0.11 * k, _dim(top, 0.92))
    if dice.chance(0.25):
        pen.rectangle(0.16 * k, 0.75 * k, 0.42 * k, 1.05 * k, dice.choice(CLOTHES))
    pen.oval(0, 1.62 * k, 0.1 * k, 0.13 * k, skin)
    hair = dice.choice(((40, 32, 28), (92, 66, 42), (150, 128, 92), (60, 60, 64)))
    pen.oval(0, 1.69 * k, 0.105 * k, 0.085 * k, hair)


def cyclist(canvas: Canvas, x: float, z: float, *, motor: bool, ridden: bool = True) -> None:
    """A bicycle or motorcycle, with its rider or parked."""
    dice = canvas.dice
    cls = MOTORCYCLE if motor else BICYCLE
    pen = Pen(canvas, x, z, cls, mirror=dice.side())
    pen.ground_shadow(0.8, 0.4, 0.5)
    paint = dice.tone(dice.choice(PAINTS), 0.2)
    if motor:
        for place in (-0.62, 0.62):
            pen.oval(place, 0.31, 0.31, 0.31, BLACK)
            pen.oval(place, 0.31, 0.15, 0.15, (120, 120, 122))
        pen.polygon([(-0.75, 0.7), (-0.3, 0.35), (0.4, 0.35), (0.62, 0.8), (0.3, 0.95), (-0.2, 0.75)], paint)
        pen.bar((0.62, 0.31), (0.42, 1.05), 0.09, (90, 90, 94))
        pen.polygon([(-0.8, 0.78), (-0.1, 0.76), (-0.1, 0.88), (-0.75, 0.92)], BLACK)
    else:
        for place in (-0.52, 0.52):
            pen.ring(place, 0.34, 0.34, 0.06, BLACK)
        for start, end in (
            ((-0.52, 0.34), (-0.14, 0.82)), ((-0.05, 0.32), (-0.16, 0.88)), ((-0.05, 0.32), (0.38, 0.85)),
            ((-0.14, 0.8), (0.38, 0.85)), ((-0.52, 0.34), (-0.05, 0.32)), ((0.52, 0.34), (0.36, 0.98)),
        ):  # fmt: skip
            pen.bar(start, end, 0.055, paint)
        pen.bar((-0.28, 0.92), (-0.06, 0.92), 0.07, BLACK)
        pen.bar((0.26, 1.02), (0.44, 0.98), 0.05, BLACK)
    if not ridden:
        return
    pen.cls = RIDER
    top, legs = dice.tone(dice.choice(CLOTHES), 0.15), dice.tone(dice.choice(CLOTHES[:6]), 0.15)
    pen.bar((-0.16, 0.95), (0.1, 0.62), 0.17, legs)
    pen.bar((0.1, 0.62), (-0.02, 0.3), 0.13, legs)
    pen.polygon([(-0.3, 0.92), (-0.2, 1.35), (-0.02, 1.52), (0.14, 1.42), (0.02, 0.95)], top)
    pen.bar((0.06, 1.4), (0.36, 1.04), 0.1, _dim(top, 0.85))
    pen.oval(0.1, 1.62, 0.11, 0.13, dice.choice(SKINS))
    helmet = dice.choice(((200, 60, 40), (40, 42, 46), (214, 214, 210)))
    pen.oval(0.08, 1.69, 0.13, 0.1, helmet if motor or dice.chance(0.5) else (60, 46, 38))


def tree(canvas: Canvas, x: float, z: float) -> None:
    """A tree, trunk included (class vegetation)."""
    dice = canvas.dice
    pen = Pen(canvas, x, z, VEGETATION)
    high, wide = dice.between(4.5, 9.5), dice.between(1.5, 3.2)
    pen.ground_shadow(wide * 0.9, 1.2, 0.35)
    base = dice.tone(dice.choice(((76, 104, 52), (96, 112, 56), (62, 88, 56), (122, 108, 54))), 0.15)
    pen.rough = 0.25
    pen.bar((0, 0), (dice.between(-0.2, 0.2), high * 0.6), dice.between(0.22, 0.42), (84, 68, 54))
    for number in range(dice.integer(3, 5)):
        dx, dy = dice.between(-0.5, 0.5) * wide, dice.between(0.45, 0.85) * high
        if number == 0:
            dx, dy = 0.0, 0.66 * high
        _crown(pen, dx, dy, wide * dice.between(0.6, 0.95), high * dice.between(0.2, 0.32), base)


def bush(canvas: Canvas, x: float, z: float) -> None:
    """A bush (class vegetation)."""
    dice = canvas.dice
    pen = Pen(canvas, x, z, VEGETATION)
    base = dice.tone((82, 100, 56), 0.2)
    for _ in range(dice.integer(2, 4)):
        dx, r = dice.between(-0.8, 0.8), dice.between(0.4, 0.9)
        _crown(pen, dx, r * 0.7, r, r * 0.85, base)


def pole(canvas: Canvas, x: float, z: float, kind: str) -> None:
    """A pole with what it carries: lamp, sign or traffic light."""
    dice = canvas.dice
    pen = Pen(canvas, x, z, POLE)
    pen.ground_shadow(0.25, 0.2, 0.35)
    metal = dice.tone(dice.choice(((126, 128, 130), (92, 98, 96), (150, 150, 148))), 0.1)
    inward = -1 if x > 0 else 1
    if kind == "lamp":
        high = dice.between(5.5, 8.5)
        pen.bar((0, 0), (0, high), 0.14, metal)
        pen.bar((0, high), (inward * 1.5, high + 0.2), 0.1, metal)
        pen.polygon(
            [(inward * 1.1, high + 0.06), (inward * 1.9, high + 0.16), (inward * 1.9, high + 0.34), (inward * 1.1, high + 0.26)],
            (206, 206, 196),
        )  # fmt: skip
    elif kind == "sign":
        high = dice.between(2.3, 3.0)
        pen.bar((0, 0), (0, high), 0.08, metal)
        pen.cls = SIGN
        _sign(pen, high, dice)
    else:
        high = dice.between(2.5, 3.4)
        pen.bar((0, 0), (0, high), 0.12, metal)
        pen.cls = TRAFFIC_LIGHT
        pen.rectangle(-0.17, high - 0.1, 0.17, high + 0.85, (30, 34, 32))
        lit = dice.integer(0, 2)
        for number, lamp in enumerate(((70, 220, 130), (246, 190, 60), (232, 52, 40))):
            colour = lamp if number == lit else _dim(lamp, 0.28)
            pen.oval(0, high + 0.06 + 0.27 * number, 0.11, 0.11, colour)


def furniture(canvas: Canvas, x: float, z: float, kind: str) -> None:
    """Street furniture that has no class of its own (void): a bin, an advertising column, a box."""
    dice = canvas.dice
    pen = Pen(canvas, x, z, VOID)
    if kind == "bin":
        paint = dice.tone(dice.choice(((60, 84, 62), (70, 72, 76), (150, 96, 40))), 0.1)
        pen.ground_shadow(0.4, 0.3)
        pen.rectangle(-0.28, 0.05, 0.28, 0.95, paint)
        pen.rectangle(-0.33, 0.92, 0.33, 1.05, _dim(paint, 0.7))
    elif kind == "column":
        pen.ground_shadow(0.8, 0.6)
        pen.rectangle(-0.65, 0, 0.65, 2.8, (170, 166, 158))
        for number in range(3):
            poster = dice.tone(dice.choice(CLOTHES + PAINTS), 0.2)
            low = 0.4 + 0.75 * number
            pen.rectangle(-0.6, low, dice.between(-0.1, 0.1), low + 0.66, poster)
            pen.rectangle(0.14, low, 0.6, low + 0.66, dice.tone((200, 180, 140), 0.25))
        pen.rectangle(-0.75, 2.75, 0.75, 2.98, (70, 78, 74))
    elif kind == "cabinet":
        pen.ground_shadow(0.7, 0.4)
        paint = dice.tone((134, 138, 128), 0.12)
        pen.rectangle(-0.55, 0, 0.55, 1.25, paint)
        pen.bar((0, 0.1), (0, 1.15), 0.03, _dim(paint, 0.6))
        pen.rectangle(-0.58, 1.2, 0.58, 1.3, _dim(paint, 0.8))
    else:  # scaffold sheet
        pen.rough = 0.14
        pen.rectangle(-2.2, 0, 2.2, dice.between(2.6, 3.6), dice.tone((142, 150, 138), 0.15))
        for place in (-2.2, -0.75, 0.75, 2.2):
            pen.bar((place, 0), (place, 2.6), 0.08, (96, 98, 100))


def _sign(pen: Pen, high: float, dice: Dice) -> None:
    kind = dice.choice(("ban", "give way", "blue", "stop", "board", "ban"))
    if kind == "ban":
        pen.oval(0, high, 0.34, 0.34, (190, 34, 36))
        pen.oval(0, high, 0.25, 0.25, (232, 230, 224))
        pen.rectangle(-0.12, high - 0.09, -0.02, high + 0.09, BLACK)
        pen.rectangle(0.03, high - 0.09, 0.13, high + 0.09, BLACK)
    elif kind == "give way":
        pen.polygon([(0, high - 0.42), (-0.44, high + 0.34), (0.44, high + 0.34)], (190, 34, 36))
        pen.polygon([(0, high - 0.22), (-0.27, high + 0.24), (0.27, high + 0.24)], (232, 230, 224))
    elif kind == "blue":
        pen.oval(0, high, 0.34, 0.34, (38, 84, 160))
        pen.bar((0, high - 0.2), (0, high + 0.2), 0.1, (232, 232, 230))
    elif kind == "stop":
        a, b = 0.15, 0.36
        corners = [(-a, -b), (a, -b), (b, -a), (b, a), (a, b), (-a, b), (-b, a), (-b, -a)]
        pen.polygon([(px, high + py) for px, py in corners], (184, 30, 34))
        pen.rectangle(-0.26, high - 0.08, 0.26, high + 0.08, (232, 230, 224))
    else:
        pen.rectangle(-0.75, high - 0.1, 0.75, high + 0.45, dice.choice(((40, 90, 160), (236, 200, 60))))
        pen.rectangle(-0.6, high + 0.12, 0.35, high + 0.2, (236, 234, 228))


def _crown(pen: Pen, x: float, y: float, rx: float, ry: float, base: Colour) -> None:
    """A ball of leaves with a ragged edge, lit from above."""
    canvas = pen.canvas
    (u, v), a, b = pen.at((x, y)), rx * pen.scale, ry * pen.scale
    box = canvas.box(u - a * 1.2, v - b * 1.2, u + a * 1.2, v + b * 1.2)
    if box is None:
        return
    noise = canvas.patch(leaves(), box)
    du, dv = (box.columns - u) / max(a, 0.6), (box.rows - v) / max(b, 0.6)
    mask = du * du + dv * dv <= 1 + 0.55 * noise
    light = 0.95 - 0.32 * dv + 0.18 * canvas.light.sun * du
    shade = (light + 0.55 * noise).astype(np.float32)
    colour = shade[:, :, None] * np.asarray(base, np.float32)
    canvas.fill(box, mask, canvas.hazed(colour, pen.z), VEGETATION, pen.odd)


def _flank(canvas: Canvas, x: float, z: float, half_m: float) -> int:
    """Which side of a vehicle we see: -1 its left, 1 its right, 0 only its end."""
    offset = x - canvas.camera.x_m
    if abs(offset) <= half_m or z < 2.5:
        return 0
    return -1 if offset > 0 else 1


def _side(
    canvas: Canvas,
    pen: Pen,
    points: Sequence[tuple[float, float, float]],
    length: float,
    colour: Colour,
) -> None:
    """A polygon on the side of a vehicle; points are (x, y, part of the length)."""
    camera, light = canvas.camera, canvas.light
    pixels = []
    for x, y, part in points:
        z = pen.z + part * length
        pixels.append((camera.column(pen.x + x, z), camera.row(y, z)))
    facing = 1 if points[0][0] > 0 else -1
    lit = 1.0 if light.sun == 0 else (1.12 if light.sun == facing else 0.7)
    pen.outline(pixels, _dim(colour, lit), -1, 0.2)


def _panel(
    canvas: Canvas,
    pen: Pen,
    x: float,
    heights: tuple[float, float],
    parts: tuple[float, float],
    length: float,
    colour: Colour,
) -> None:
    """A rectangle on the side of a vehicle."""
    (low, high), (near, far) = heights, parts
    _side(canvas, pen, ((x, low, near), (x, high, near), (x, high, far), (x, low, far)), length, colour)


def _wheel(canvas: Canvas, pen: Pen, x: float, z: float, r: float) -> None:
    """A wheel on the side of a vehicle, foreshortened."""
    camera = canvas.camera
    x += pen.x
    u, v = camera.column(x, z), camera.row(r, z)
    b = r * camera.focal_px / z
    a = max(abs(camera.column(x, z - r) - camera.column(x, z + r)) / 2, 0.8)
    box = canvas.box(u - a, v - b, u + a, v + b)
    if box is not None:
        tyre: Pixels = canvas.hazed((30, 30, 32), z)
        canvas.fill(box, oval_mask(u, v, a, b, box), tyre, pen.cls, pen.odd)
        hub: Pixels = canvas.hazed((128, 130, 132), z)
        canvas.fill(box, oval_mask(u, v, a * 0.55, b * 0.55, box), hub, pen.cls, pen.odd)


def _dim(colour: Colour, gain: float) -> Colour:
    return colour[0] * gain, colour[1] * gain, colour[2] * gain


__all__ = [
    "bush", "car", "clouds", "cyclist", "furniture", "person", "pole", "tree", "van_like",
]  # fmt: skip
