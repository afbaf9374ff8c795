"""What lies behind and before a synthroad scene: the sky, the distance, our own car."""

import numpy as np

from harness.data._scene_canvas import HEIGHT, VOID, WIDTH, Box, Canvas
from harness.data._scene_dice import TILE_PX, Colour, clouds, leaves, rgb

BUILDING, VEGETATION, SKY = 2, 8, 10


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
    colour = rgb(dice.tone(top, 0.06)) * (1 - t) + rgb(low) * t
    noise = canvas.patch(clouds(), Box(0, 0, bottom, WIDTH))
    cover = {"clear": 0.05, "overcast": -0.35, "evening": 0.0, "dim": -0.2}[kind]
    amount = np.clip((noise - np.float32(cover + dice.between(0, 0.25))) * 2.6, 0, 0.8)
    white = rgb((250, 248, 246) if kind == "clear" else low)
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
    canvas.fill(box, far <= 1, shine[:, :, None] * rgb(base), VOID, False)
    left, right = dice.integer(3, 9), dice.integer(3, 9)
    for part in (slice(0, left), slice(WIDTH - right, WIDTH)):
        canvas.rgb[:, part] = 4
        canvas.classes[:, part] = VOID
        canvas.odd[:, part] = False
    edge = dice.integer(2, 6)
    canvas.rgb[:edge] = 4
    canvas.classes[:edge] = VOID
    canvas.odd[:edge] = False
