"""What does not belong on a road: the anomalies of synthroad, and the proxy outliers.

The two tables share no shape and no pattern, and no training scene holds any of them.
"""

from collections.abc import Callable

import numpy as np

from harness.data._scene_canvas import VOID, Canvas, Pattern, Pen, Point
from harness.data._scene_dice import Colour, Dice, Metres, dimmed


def anomaly(canvas: Canvas, name: str, x: float, z: float, high_m: float) -> None:
    """Draw the anomaly `name`, `high_m` tall, on the ground at (x, z)."""
    pen = Pen(canvas, x, z, VOID, mirror=canvas.dice.side(), odd=True)
    pen.ground_shadow(high_m * 0.55, 0.12 + high_m * 0.2, 0.5)
    pen.scale *= high_m  # every shape is one unit tall
    SHAPES[name](pen, canvas.dice)


def outlier(canvas: Canvas, name: str, u: float, v: float, high_px: float) -> None:
    """Paste the proxy outlier `name`, `high_px` tall, with its foot at pixel (u, v)."""
    dice = canvas.dice
    pen = Pen(canvas, 0, 12, VOID, mirror=dice.side(), odd=True)
    pen.u, pen.v, pen.scale = u, v, high_px
    pen.pattern, pen.second = dice.choice(PROXY_PATTERNS)(dice), _any(dice)
    PROXIES[name](pen, dice)


def _cow(pen: Pen, dice: Dice) -> None:
    coat = dice.choice(((206, 198, 186), (128, 84, 56), (70, 58, 52), (160, 122, 84)))
    pen.pattern, pen.second = _blotches(dice, 0.22), dice.choice(((44, 38, 36), (222, 214, 202)))
    for leg in (-0.46, -0.32, 0.3, 0.44):
        pen.bar((leg, 0.5), (leg + dice.between(-0.06, 0.06), 0.0), 0.1, coat)
    pen.oval(0, 0.62, 0.6, 0.25, coat)
    pen.oval(0.36, 0.68, 0.26, 0.2, coat)
    pen.bar((0.45, 0.72), (0.7, 0.86), 0.2, coat)
    pen.oval(0.76, 0.84, 0.17, 0.1, coat)
    pen.pattern = None
    pen.bar((0.66, 0.92), (0.6, 1.02), 0.05, (206, 196, 170))
    pen.bar((0.72, 0.92), (0.78, 1.02), 0.05, (206, 196, 170))
    pen.bar((-0.58, 0.7), (-0.66, 0.36), 0.04, coat)


def _bird(pen: Pen, dice: Dice) -> None:
    plume = dice.choice(((52, 48, 52), (120, 104, 92), (214, 208, 206)))
    pen.pattern, pen.second = _scales(0.07), dimmed(plume, 1.6)
    pen.bar((-0.05, 0.45), (-0.12, 0), 0.035, (196, 150, 110))
    pen.bar((0.06, 0.45), (0.12, 0), 0.035, (196, 150, 110))
    pen.oval(-0.02, 0.52, 0.26, 0.16, plume)
    pen.polygon([(-0.2, 0.6), (-0.46, 0.66), (-0.34, 0.46)], plume)
    pen.bar((0.18, 0.56), (0.28, 0.92), 0.06, (206, 168, 140))
    pen.oval(0.3, 0.94, 0.08, 0.055, (206, 168, 140))
    pen.polygon([(0.36, 0.97), (0.48, 0.92), (0.36, 0.91)], (214, 150, 60))


def _boulder(pen: Pen, dice: Dice) -> None:
    tone = dice.between(86, 150)
    pen.rough, pen.pattern, pen.second = (
        0.3,
        _blotches(dice, 0.3),
        (tone * 0.6, tone * 0.6, tone * 0.58),
    )
    spots = [
        (-0.7, 0.0),
        (-0.74, 0.3),
        (-0.5, 0.7),
        (-0.15, 0.98),
        (0.25, 0.9),
        (0.6, 0.62),
        (0.78, 0.24),
        (0.7, 0.0),
    ]
    rock = [(x * dice.between(0.82, 1.1), y * dice.between(0.85, 1.05)) for x, y in spots]
    pen.polygon(rock, (tone * 1.05, tone, tone * 0.93), fade=0.6)


def _cone(pen: Pen, dice: Dice) -> None:
    pen.pattern, pen.second = _bands(0.3, 0.42), (232, 230, 226)
    pen.polygon(
        [(-0.3, 0.04), (-0.06, 1.0), (0.06, 1.0), (0.3, 0.04)], dice.tone((230, 96, 36), 0.12)
    )
    pen.pattern = None
    pen.rectangle(-0.42, 0, 0.42, 0.08, (206, 84, 34))


def _tyre(pen: Pen, dice: Dice) -> None:
    pen.pattern, pen.second = _checker(0.11), (76, 76, 80)
    pen.ring(0, 0.5, 0.5, 0.26, dice.tone((36, 36, 38), 0.2))


def _log(pen: Pen, dice: Dice) -> None:
    bark = dice.tone((112, 84, 60), 0.15)
    pen.rough, pen.pattern, pen.second = 0.25, _stripes(0.16, 0.2), dimmed(bark, 0.6)
    pen.bar((-1.6, 0.5), (1.3, 0.5 + dice.between(-0.1, 0.2)), 0.9, bark)
    pen.bar((0.2, 0.8), (0.7, 1.35), 0.2, bark)
    pen.pattern = None
    for part, tone in ((1.0, 206), (0.7, 176), (0.4, 206), (0.15, 160)):
        pen.oval(-1.6, 0.5, 0.3 * part, 0.46 * part, (tone, tone * 0.8, tone * 0.58))


def _ball(pen: Pen, dice: Dice) -> None:
    pen.pattern = dice.choice((_dots(0.3), _stripes(0.33, 0.6), _checker(0.28)))
    pen.second = _vivid(dice)
    pen.oval(0, 0.5, 0.5, 0.5, _vivid(dice))


def _sofa(pen: Pen, dice: Dice) -> None:
    cloth = _vivid(dice)
    pen.pattern, pen.second = (
        dice.choice((_dots(0.2), _stripes(0.17, 0.0), _checker(0.2))),
        dimmed(cloth, 0.6),
    )
    pen.polygon(
        [(-0.9, 0.3), (-0.84, 0.95), (-0.6, 1.02), (0.6, 1.02), (0.84, 0.95), (0.9, 0.3)], cloth
    )
    pen.rectangle(-0.95, 0.12, 0.95, 0.5, dimmed(cloth, 1.15))
    for s in (-1, 1):
        pen.oval(s * 0.98, 0.46, 0.2, 0.24, cloth)
        pen.rectangle(s * 1.14, 0.08, s * 0.82, 0.46, cloth)


def _boat(pen: Pen, dice: Dice) -> None:
    hull = _vivid(dice)
    pen.pattern, pen.second = _bands(0.16, 0.24), (236, 232, 222)
    pen.polygon([(-1.1, 0.42), (-0.8, 0.0), (0.7, 0.0), (1.35, 0.5)], hull)
    pen.pattern = None
    pen.bar((0.05, 0.4), (0.05, 1.0), 0.05, (150, 116, 80))
    pen.polygon([(0.1, 0.98), (0.1, 0.5), (0.75, 0.52)], (226, 220, 206))


def _kangaroo(pen: Pen, dice: Dice) -> None:
    fur = dice.tone(dice.choice(((150, 112, 82), (128, 120, 112))), 0.15)
    pen.pattern, pen.second = _stripes(0.12, 0.9), dimmed(fur, 0.62)
    pen.bar((-0.2, 0.25), (-0.75, 0.05), 0.12, fur)
    pen.bar((0.0, 0.06), (0.3, 0.04), 0.09, fur)
    pen.oval(-0.08, 0.28, 0.25, 0.24, fur)
    pen.polygon([(-0.26, 0.35), (0.02, 0.78), (0.18, 0.74), (0.16, 0.3)], fur)
    pen.bar((0.14, 0.62), (0.34, 0.46), 0.06, fur)
    pen.oval(0.17, 0.85, 0.14, 0.09, fur)
    pen.bar((0.1, 0.9), (0.05, 1.04), 0.07, fur)


def _heap(pen: Pen, dice: Dice) -> None:
    for _ in range(dice.integer(3, 5)):
        x, y = dice.between(-0.6, 0.6), dice.between(0.12, 0.5)
        pen.pattern, pen.second = _dots(dice.between(0.12, 0.3)), _vivid(dice)
        pen.oval(x, y, dice.between(0.25, 0.5), min(y, 0.4) + 0.08, _vivid(dice))
    pen.polygon([(-0.3, 0.4), (0.0, 1.0), (0.34, 0.5)], _vivid(dice))


def _debris(pen: Pen, dice: Dice) -> None:
    paint = dice.choice((_vivid(dice), (176, 168, 150), (58, 52, 48)))
    corners: list[Point] = [(-0.6, 0.0), (-0.35, 0.8), (0.15, 1.0), (0.75, 0.35), (0.5, 0.0)]
    pen.polygon(
        [(x * dice.between(0.8, 1.4), y * dice.between(0.8, 1.1)) for x, y in corners], paint
    )


SHAPES: dict[str, Callable[[Pen, Dice], None]] = {
    "ball": _ball, "bird": _bird, "boat": _boat, "boulder": _boulder, "cone": _cone, "cow": _cow,
    "debris": _debris, "heap": _heap, "kangaroo": _kangaroo, "log": _log, "sofa": _sofa,
    "tyre": _tyre,
}  # fmt: skip
LARGE = {
    "bird": (1.0, 2.0), "boat": (1.0, 1.7), "boulder": (0.5, 1.1), "cow": (1.2, 1.6),
    "heap": (0.5, 1.1), "kangaroo": (1.1, 1.8), "log": (0.35, 0.7), "sofa": (0.7, 1.05),
}  # fmt: skip
SMALL = {
    "ball": (0.18, 0.4), "bird": (0.3, 0.6), "boulder": (0.15, 0.4), "cone": (0.3, 0.7),
    "debris": (0.12, 0.35), "heap": (0.2, 0.4), "log": (0.14, 0.3), "tyre": (0.3, 0.6),
}  # fmt: skip
"""Which shapes lie on the road, and between which heights in metres."""


def _star(pen: Pen, dice: Dice) -> None:
    inner, corners = dice.between(0.16, 0.3), []
    for number in range(10):
        cosine, sine = _turn(number / 10)
        far = 0.5 if number % 2 == 0 else inner
        corners.append((far * sine, 0.5 + far * cosine))
    pen.polygon(corners, _any(dice))


def _cross(pen: Pen, dice: Dice) -> None:
    width = dice.between(0.12, 0.3)
    colour = _any(dice)
    pen.bar((-0.5, 0.5), (0.5, 0.5), width, colour)
    pen.bar((0, 0), (0, 1), width, colour)


def _arrow(pen: Pen, dice: Dice) -> None:
    pen.polygon(
        [(-0.6, 0.38), (0.1, 0.38), (0.1, 0.1), (0.7, 0.5), (0.1, 0.9), (0.1, 0.62), (-0.6, 0.62)],
        _any(dice),
    )


def _umbrella(pen: Pen, dice: Dice) -> None:
    colour = _any(dice)
    dome = [(0.6 * -_turn(n / 16)[0], 0.5 + 0.5 * _turn(n / 16)[1]) for n in range(9)]
    pen.bar((0, 0.1), (0, 0.6), 0.05, (90, 70, 50))
    pen.polygon(dome, colour)


def _key(pen: Pen, dice: Dice) -> None:
    colour = _any(dice)
    pen.bar((0, 0), (0, 0.6), 0.1, colour)
    pen.bar((0, 0.06), (0.24, 0.06), 0.1, colour)
    pen.bar((0, 0.24), (0.18, 0.24), 0.1, colour)
    pen.polygon([(-0.2, 0.75), (0, 0.52), (0.2, 0.75), (0, 1.0)], colour)


def _splinters(pen: Pen, dice: Dice) -> None:
    for _ in range(dice.integer(2, 5)):
        x, y = dice.between(-0.4, 0.4), dice.between(0.2, 0.8)
        corners = [(x + dice.between(-0.35, 0.35), y + dice.between(-0.3, 0.3)) for _ in range(3)]
        pen.polygon(corners, _any(dice))


def _blob(pen: Pen, dice: Dice) -> None:
    count = dice.integer(7, 12)
    corners = []
    for number in range(count):
        cosine, sine = _turn(number / count)
        far = dice.between(0.22, 0.6)
        corners.append((far * sine, 0.5 + far * cosine))
    pen.polygon(corners, _any(dice))


PROXIES: dict[str, Callable[[Pen, Dice], None]] = {
    "arrow": _arrow, "blob": _blob, "cross": _cross, "key": _key, "splinters": _splinters,
    "star": _star, "umbrella": _umbrella,
}  # fmt: skip


def _wave(values: Metres, period: float) -> Metres:
    """A triangle wave in [0, 1]."""
    part = values / period - np.floor(values / period)
    return np.asarray(np.abs(part * 2 - 1))


def _stripes(period: float, lean: float) -> Pattern:
    return lambda x, y: (_wave(x + lean * y, period) < 0.5).astype(np.float64)


def _bands(low: float, high: float) -> Pattern:
    def pattern(x: Metres, y: Metres) -> Metres:
        return np.broadcast_to(
            ((y > low) & (y < high)) | (y > high * 1.7), (y.shape[0], x.shape[1])
        )

    return pattern


def _checker(period: float) -> Pattern:
    return lambda x, y: ((_wave(x, period) < 0.5) ^ (_wave(y, period) < 0.5)).astype(np.float64)


def _dots(period: float) -> Pattern:
    def pattern(x: Metres, y: Metres) -> Metres:
        a, b = _wave(x, period), _wave(y, period)
        return (a * a + b * b < 0.32).astype(np.float64)

    return pattern


def _scales(period: float) -> Pattern:
    return lambda x, y: 0.5 * _wave(x + 0.5 * y, period) * _wave(y, period * 0.8)


def _blotches(dice: Dice, period: float) -> Pattern:
    a, b = dice.between(0.2, 1.2), dice.between(0.2, 1.2)

    def pattern(x: Metres, y: Metres) -> Metres:
        first = _wave(x + a * y, period * 1.7) + _wave(y - b * x, period)
        return (first + _wave(x * 0.7 + y * 1.3, period * 2.6) < 1.2).astype(np.float64)

    return pattern


def _ramp(dice: Dice) -> Pattern:
    lean = dice.between(-0.8, 0.8)
    return lambda x, y: np.clip(x * lean + y, 0, 1)


def _grid(dice: Dice) -> Pattern:
    period = dice.between(0.12, 0.4)
    return lambda x, y: ((_wave(x, period) > 0.8) | (_wave(y, period) > 0.8)).astype(np.float64)


def _rings(dice: Dice) -> Pattern:
    period = dice.between(0.1, 0.3)
    return lambda x, y: _wave(np.sqrt(x * x + (y - 0.5) * (y - 0.5)), period)


def _plain(dice: Dice) -> Pattern:
    return lambda x, y: np.zeros((y.shape[0], x.shape[1]))


PROXY_PATTERNS = (_ramp, _grid, _rings, _plain)


def _turn(part: float) -> tuple[float, float]:
    """Cosine and sine of `part` of a full turn, nearly: a rational arc per quarter."""
    quarter = int(part * 4) % 4
    t = part * 4 - int(part * 4)
    t = t * (0.8284271 + 0.1715729 * t)  # tan(pi/8) at the middle
    cosine, sine = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
    return ((cosine, sine), (-sine, cosine), (-cosine, -sine), (sine, -cosine))[quarter]


def _any(dice: Dice) -> Colour:
    return dice.between(10, 240), dice.between(10, 240), dice.between(10, 240)


def _vivid(dice: Dice) -> Colour:
    return dice.tone(
        dice.choice(
            (
                (196, 52, 60),
                (230, 160, 40),
                (60, 140, 90),
                (120, 60, 140),
                (40, 130, 160),
                (226, 110, 150),
            )
        ),
        0.15,
    )
