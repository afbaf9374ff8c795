"""What stands beside a synthroad street: trees, bushes, poles with signs and lights, furniture."""

import numpy as np

from harness.data._scene_canvas import VOID, Canvas, Pen
from harness.data._scene_dice import Colour, Dice, dimmed, leaves
from harness.data._scene_people import CLOTHES
from harness.data._scene_vehicles import BLACK, PAINTS

POLE, TRAFFIC_LIGHT, SIGN, VEGETATION = 5, 6, 7, 8


def tree(canvas: Canvas, x: float, z: float) -> None:
    """A tree, trunk included (class vegetation)."""
    dice = canvas.dice
    pen = Pen(canvas, x, z, VEGETATION)
    high, wide = dice.between(4.5, 9.5), dice.between(1.5, 3.2)
    pen.ground_shadow(wide * 0.9, 1.2, 0.35)
    base = dice.tone(
        dice.choice(((76, 104, 52), (96, 112, 56), (62, 88, 56), (122, 108, 54))), 0.15
    )
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
        near, far = inward * 1.1, inward * 1.9
        head = [(near, high + 0.06), (far, high + 0.16), (far, high + 0.34), (near, high + 0.26)]
        pen.polygon(head, (206, 206, 196))
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
            colour = lamp if number == lit else dimmed(lamp, 0.28)
            pen.oval(0, high + 0.06 + 0.27 * number, 0.11, 0.11, colour)


def furniture(canvas: Canvas, x: float, z: float, kind: str) -> None:
    """Street furniture that has no class of its own (void): a bin, an advertising column, a box."""
    dice = canvas.dice
    pen = Pen(canvas, x, z, VOID)
    if kind == "bin":
        paint = dice.tone(dice.choice(((60, 84, 62), (70, 72, 76), (150, 96, 40))), 0.1)
        pen.ground_shadow(0.4, 0.3)
        pen.rectangle(-0.28, 0.05, 0.28, 0.95, paint)
        pen.rectangle(-0.33, 0.92, 0.33, 1.05, dimmed(paint, 0.7))
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
        pen.bar((0, 0.1), (0, 1.15), 0.03, dimmed(paint, 0.6))
        pen.rectangle(-0.58, 1.2, 0.58, 1.3, dimmed(paint, 0.8))
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
        pen.rectangle(
            -0.75, high - 0.1, 0.75, high + 0.45, dice.choice(((40, 90, 160), (236, 200, 60)))
        )
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
