"""Cars, trucks, buses and trams of a synthroad scene, with the side that we see of them."""

from collections.abc import Sequence

from harness.data._scene_canvas import Canvas, Pen, Point, oval_mask
from harness.data._scene_dice import Colour, Pixels, dimmed

CAR, TRUCK, BUS, TRAIN = 13, 14, 15, 16
PAINTS = (
    (176, 178, 182), (206, 206, 204), (52, 54, 58), (34, 36, 40), (120, 124, 130), (58, 78, 112),
    (124, 34, 36), (46, 66, 60), (150, 128, 96), (92, 100, 108), (170, 60, 40), (38, 62, 110),
)  # fmt: skip
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
    glass = dimmed(GLASS, dice.between(0.8, 1.7))
    side = _flank(canvas, x, z, w)
    if side != 0:
        a, b = side * w, side * top
        flank = ((a, 0.22, 0), (a, waist, 0), (a, waist, 0.97), (a, waist - 0.2, 1), (a, 0.22, 1))
        _side(canvas, pen, flank, length, dimmed(paint, 0.84))
        back, front = (0.0, 0.62) if ahead else (0.16, 0.78)
        cabin = (
            (a, waist, 0),
            (b, high, back + lean),
            (b, high, front - 0.1),
            (a, waist, front + 0.14),
        )
        _side(canvas, pen, cabin, length, dimmed(paint, 0.76))
        c, low, up = (a * 0.8 + b * 0.2), waist + 0.06, high - 0.1
        pane = (
            (c, low, 0.05),
            (b, up, back + lean + 0.02),
            (b, up, front - 0.11),
            (c, low, front + 0.06),
        )
        _side(canvas, pen, pane, length, dimmed(glass, 0.85))
        pillar = ((c, low, 0.33), (b, up, 0.33), (b, up, 0.36), (c, low, 0.36))
        _side(canvas, pen, pillar, length, dimmed(paint, 0.7))
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
    pen.outline([(u0, v0), *roof, (u1, v0)], dimmed(paint, 0.95))
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
    pen.rectangle(-w * 0.9, 0.22, w * 0.9, 0.34, dimmed(paint, 0.45))
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
                "truck": (
                    (200, 200, 196),
                    (150, 60, 44),
                    (60, 92, 128),
                    (190, 160, 70),
                    (110, 116, 110),
                ),
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
        _panel(canvas, pen, a, (0.35, high), (0, 1), length, dimmed(paint, 0.78))
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
        pen.rectangle(-half * 0.94, 0.75, half * 0.94, high - 0.08, dimmed(paint, 1.08))
        pen.bar((0, 0.75), (0, high - 0.1), 0.05, dimmed(paint, 0.6))
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
    pen.outline(pixels, dimmed(colour, lit), -1, 0.2)


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
    _side(
        canvas,
        pen,
        ((x, low, near), (x, high, near), (x, high, far), (x, low, far)),
        length,
        colour,
    )


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
