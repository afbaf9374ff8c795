"""Pedestrians, and bicycles and motorcycles with or without a rider, of a synthroad scene."""

from harness.data._scene_canvas import Canvas, Pen
from harness.data._scene_dice import dimmed
from harness.data._scene_vehicles import BLACK, PAINTS

PERSON, RIDER, MOTORCYCLE, BICYCLE = 11, 12, 17, 18
CLOTHES = (
    (44, 48, 62), (84, 84, 88), (132, 48, 44), (58, 84, 120), (178, 168, 150), (38, 40, 42),
    (96, 112, 74), (190, 150, 60), (110, 72, 92), (206, 206, 204), (64, 100, 104),
)  # fmt: skip
SKINS = ((214, 176, 150), (186, 140, 112), (132, 92, 70), (96, 66, 52))


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
    pen.bar((-0.05 * k, 0.86 * k), (-stride, 0.05), 0.17 * k, dimmed(legs, 0.85))
    pen.bar((0.06 * k, 0.86 * k), (stride * 0.8, 0.05), 0.17 * k, legs)
    for foot in (-stride, stride * 0.8):
        pen.oval(foot + 0.05, 0.05, 0.13 * k, 0.06, BLACK)
    arm = dice.between(0.05, 0.3) * k
    pen.bar((-0.2 * k, 1.4 * k), (-0.2 * k - arm, 0.92 * k), 0.11 * k, dimmed(top, 0.85))
    coat = dice.between(0.62, 0.86) * k
    pen.polygon(
        [(-0.19 * k, coat), (-0.24 * k, 1.38 * k), (-0.13 * k, 1.5 * k), (0.13 * k, 1.5 * k),
         (0.24 * k, 1.38 * k), (0.19 * k, coat)],
        top,
    )  # fmt: skip
    pen.bar((0.2 * k, 1.4 * k), (0.2 * k + arm * 0.7, 0.9 * k), 0.11 * k, dimmed(top, 0.92))
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
        pen.polygon(
            [(-0.75, 0.7), (-0.3, 0.35), (0.4, 0.35), (0.62, 0.8), (0.3, 0.95), (-0.2, 0.75)], paint
        )
        pen.bar((0.62, 0.31), (0.42, 1.05), 0.09, (90, 90, 94))
        pen.polygon([(-0.8, 0.78), (-0.1, 0.76), (-0.1, 0.88), (-0.75, 0.92)], BLACK)
    else:
        for place in (-0.52, 0.52):
            pen.ring(place, 0.34, 0.34, 0.06, BLACK)
        for start, end in (
            ((-0.52, 0.34), (-0.14, 0.82)), ((-0.05, 0.32), (-0.16, 0.88)),
            ((-0.05, 0.32), (0.38, 0.85)), ((-0.14, 0.8), (0.38, 0.85)),
            ((-0.52, 0.34), (-0.05, 0.32)), ((0.52, 0.34), (0.36, 0.98)),
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
    pen.bar((0.06, 1.4), (0.36, 1.04), 0.1, dimmed(top, 0.85))
    pen.oval(0.1, 1.62, 0.11, 0.13, dice.choice(SKINS))
    helmet = dice.choice(((200, 60, 40), (40, 42, 46), (214, 214, 210)))
    pen.oval(0.08, 1.69, 0.13, 0.1, helmet if motor or dice.chance(0.5) else (60, 46, 38))
