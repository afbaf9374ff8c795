"""synthroad: driving scenes drawn by rule with exact labels; the benchmark that needs no files.

The 19 Cityscapes classes stand in streets that a camera drives through. 10 to 20 % of the pixels
are void: the bonnet, the border, gravel, cobbles, parking bays, street furniture. The test split
adds objects that no training scene holds, on and beside the road, large ones and some of a few
pixels; `synthroad_outliers` pastes other shapes with other patterns as proxy outliers.

Labels are complete: NORMAL on every pixel of a class, IGNORE on void, ANOMALY on the objects
(whose class is 255). The train and val splits hold no anomaly.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from harness.data import _scene_backdrop as backdrop
from harness.data import _scene_buildings as buildings
from harness.data._scene_anomalies import LARGE, PROXIES, SMALL, anomaly, outlier
from harness.data._scene_canvas import HEIGHT, VOID, WIDTH, Camera, Canvas, Light
from harness.data._scene_dice import Dice
from harness.data._scene_ground import Street, ground, shadows, street
from harness.data._scene_people import cyclist, person
from harness.data._scene_roadside import bush, furniture, pole, tree
from harness.data._scene_vehicles import car, van_like
from harness.errors import unknown_name
from harness.types import ANOMALY, IGNORE, NORMAL, Classes, Image, Label

SPLITS = {
    "synthroad_train": 400,
    "synthroad_val": 50,
    "synthroad": 50,
    "synthroad_outliers": 100,
}
"""Number of frames of each split; `synthroad` is the test split."""

FINGERPRINTS = {
    "synthroad_train": "777d19020dd47079d6f4fb264eaca5d0a848a2ca20bdb3002abb01a31289b898",
    "synthroad_val": "b23479a4bd3aa52d386cfe96b93157987e0d1cdf6ac85635ce4aa4352942d369",
    "synthroad": "ab5c677199e4fbd13ed3219e252264f6989655b1b44943914886a8dce2be4d15",
    "synthroad_outliers": "af9008b6b11837a7e0ede6e9b663a62dd03d62082778dd64b8f4a123c3b94261",
}
"""`harness.data.fingerprint` of each whole split, frozen: other pixels would be synthroad_v2."""

_KEYS = {"synthroad_train": 11, "synthroad_val": 12, "synthroad": 13, "synthroad_outliers": 14}
_STYLES = ("urban", "urban", "suburban", "suburban", "country")
_Thing = tuple[float, Callable[[], None]]  # its depth, and what draws it


def draw(split: str, index: int) -> tuple[Image, Label, Classes]:
    """Image, anomaly label and classes of frame `index` of `split`; equal calls, equal bytes.

    Returns:
        (512, 1024, 3) uint8 RGB; (512, 1024) uint8 of NORMAL, ANOMALY and IGNORE (void);
        (512, 1024) uint8 train ids, 255 on void and on anomalies.

    Raises:
        UnknownName: no such split.
        IndexError: no such frame.
    """
    if split not in SPLITS:
        raise unknown_name("split of synthroad", split, SPLITS)
    if not 0 <= index < SPLITS[split]:
        raise IndexError(f"{split} has frames 0 to {SPLITS[split] - 1}, not {index}")
    dice = Dice((_KEYS[split], index))
    style = dice.choice(_STYLES)
    camera, light = _camera(dice), _light(dice)
    canvas = Canvas(camera, light, dice.stream(1))
    way = street(dice.stream(2), style)
    camera = canvas.camera = _in_lane(camera, way, dice)
    _scenery(canvas, way, dice.stream(3))
    things = _things(canvas, way, dice.stream(4))
    if split == "synthroad":
        things += _anomalies(canvas, way, dice.stream(5))
    _paint(things)
    if split == "synthroad_outliers":
        _outliers(canvas, dice.stream(6))
    backdrop.own_car(canvas)
    image = _photographed(canvas, dice.stream(7))
    label = np.where(canvas.classes == VOID, np.uint8(IGNORE), np.uint8(NORMAL))
    label[canvas.odd] = ANOMALY
    return image, label, canvas.classes


def frame_id(split: str, index: int) -> str:
    """The id of a frame, for example "synthroad_0007"."""
    return f"{split}_{index:04d}"


def _camera(dice: Dice) -> Camera:
    return Camera(
        focal_px=dice.between(680, 900),
        centre_px=WIDTH / 2 + dice.between(-70, 70),
        horizon_px=dice.between(196, 244),
        height_m=dice.between(1.35, 1.75),
        x_m=0.0,
    )


def _in_lane(camera: Camera, way: Street, dice: Dice) -> Camera:
    """The camera, driving on a right-hand lane."""
    lane = dice.choice([lane for lane in way.lanes if lane > 0] or way.lanes)
    x_m = lane + dice.between(-0.35, 0.35)
    return Camera(camera.focal_px, camera.centre_px, camera.horizon_px, camera.height_m, x_m)


def _light(dice: Dice) -> Light:
    kind = dice.choice(("clear", "clear", "overcast", "overcast", "evening", "dim"))
    sun = 0 if kind in ("overcast", "dim") else dice.side()
    return Light(
        kind=kind,
        sun=sun,
        shadow=dice.between(0.42, 0.62) if sun else 1.0,
        haze={
            "clear": (200, 214, 224), "overcast": (198, 200, 202), "evening": (228, 200, 168),
            "dim": (142, 148, 156),
        }[kind],
        haze_m=dice.between(120, 420),
        gain={
            "clear": 1.0, "overcast": 0.9, "evening": 0.92, "dim": 0.66,
        }[kind] * dice.between(0.86, 1.1),
        tint={
            "clear": (1.0, 1.0, 0.98), "overcast": (0.97, 1.0, 1.03), "evening": (1.08, 1.0, 0.88),
            "dim": (0.94, 0.98, 1.08),
        }[kind],
    )  # fmt: skip


def _scenery(canvas: Canvas, way: Street, dice: Dice) -> None:
    """Sky, distance, ground, buildings, barriers, and the trees between them."""
    backdrop.sky(canvas)
    backdrop.distance(canvas, way.style)
    ground(canvas, way)
    houses = buildings.blocks(dice, way)
    shadows(canvas, way, houses)
    behind: list[_Thing] = [
        (house.near_m, partial(buildings.building, canvas, house)) for house in houses
    ]
    if way.style != "urban":
        for _ in range(dice.integer(6, 16)):
            side, z = dice.side(), dice.between(9, 110)
            x = side * (way.edge(side) + dice.between(2.5, 22))
            plant = tree if dice.chance(0.7) else bush
            behind.append((z, partial(plant, canvas, x, z)))
    _paint(behind)
    kinds = {
        "urban": ("wall", "fence", "wall"),
        "suburban": ("fence", "hedge", "wall", "fence"),
        "country": ("rail", "fence", "hedge", "rail"),
    }[way.style]
    for side in (-1, 1):
        if dice.chance(0.25 if way.style == "urban" else 0.65):
            near = dice.between(2.5, 18)
            far = near + dice.between(16, 70)
            beside = way.edge(side) + dice.between(0.05, 0.25)
            buildings.barrier(canvas, side, beside, near, far, dice.choice(kinds))


def _paint(things: Sequence[_Thing]) -> None:
    """Draws things, the farthest first."""
    for _, paint in sorted(things, key=lambda thing: -thing[0]):
        paint()


def _things(canvas: Canvas, way: Street, dice: Dice) -> list[_Thing]:
    """Everything that stands or moves in front of the scenery, with its depth."""
    things = _traffic(canvas, way, dice)
    for side in (-1, 1):
        edge = way.half_m
        for strip in way.strips(side):
            if strip.kind == "bays":
                things += _parked(canvas, dice, side, edge + strip.width_m / 2)
            elif strip.kind == "kerb" and dice.chance(0.25):
                things += _parked(canvas, dice, side, way.half_m - 1.05)
            elif strip.kind == "path":
                things += _pavement(canvas, dice, side, edge, strip.width_m)
            elif strip.kind in ("verge", "lot", "cobbles", "meadow"):
                for _ in range(dice.integer(0, 4)):
                    x = side * (edge + dice.between(0.5, min(strip.width_m, 5.0)))
                    z, plant = dice.between(6, 60), tree if dice.chance(0.5) else bush
                    things.append((z, partial(plant, canvas, x, z)))
            edge += strip.width_m
    if dice.chance(0.35):  # somebody crosses the road
        x, z = dice.between(-way.half_m, way.half_m), dice.between(9, 30)
        things.append((z, partial(person, canvas, x, z)))
    return things


def _traffic(canvas: Canvas, way: Street, dice: Dice) -> list[_Thing]:
    """The vehicles on the lanes; those on our side of the road drive ahead of us."""
    things: list[_Thing] = []
    for lane in way.lanes:
        ahead, z = lane > 0, dice.between(6, 40)
        if abs(lane - canvas.camera.x_m) < 1.5:
            z += 4
        while z < 110:
            x, roll = lane + dice.between(-0.3, 0.3), dice.unit()
            if roll < 0.52:
                things.append((z, partial(car, canvas, x, z, ahead=ahead)))
            elif roll < 0.72:
                kind = "truck" if roll < 0.62 else "bus" if roll < 0.68 else "train"
                z = max(z, 12.0)
                things.append((z, partial(van_like, canvas, x, z, kind, ahead=ahead)))
                z += 14
            elif roll < 0.88:
                things.append((z, partial(cyclist, canvas, x, z, motor=roll < 0.79)))
            z += dice.between(9, 46)
    return things


def _parked(canvas: Canvas, dice: Dice, side: int, off: float) -> list[_Thing]:
    """A row of parked cars."""
    things: list[_Thing] = []
    x, z = side * off, dice.between(5, 12)
    while z < 70:
        if dice.chance(0.62) and abs(x - canvas.camera.x_m) > 2.2:
            things.append((z, partial(car, canvas, x, z, ahead=side > 0)))
        z += dice.between(5.6, 7.5)
    return things


def _pavement(canvas: Canvas, dice: Dice, side: int, edge: float, width: float) -> list[_Thing]:
    """People, parked bicycles, poles and furniture."""
    things: list[_Thing] = []
    for _ in range(dice.integer(0, 5)):
        x, z = side * (edge + dice.between(0.4, width - 0.3)), dice.between(6, 45)
        things.append((z, partial(person, canvas, x, z)))
    for _ in range(dice.integer(0, 2)):
        x, z = side * (edge + dice.between(0.3, 0.8)), dice.between(6, 28)
        motor = dice.chance(0.35)
        things.append((z, partial(cyclist, canvas, x, z, motor=motor, ridden=False)))
    z = dice.between(7, 18)
    while z < 80:
        kind = dice.choice(("lamp", "lamp", "sign", "sign", "light"))
        x = side * (edge + dice.between(0.25, 0.5))
        things.append((z, partial(pole, canvas, x, z, kind)))
        z += dice.between(7, 22)
    for _ in range(dice.integer(0, 2)):
        kind = dice.choice(("bin", "bin", "bin", "column", "cabinet", "cabinet", "sheet"))
        x, z = side * (edge + width - dice.between(0.3, 0.7)), dice.between(8, 32)
        z += 8 if kind == "sheet" else 0
        things.append((z, partial(furniture, canvas, x, z, kind)))
    return things


def _anomalies(canvas: Canvas, way: Street, dice: Dice) -> list[_Thing]:
    """The anomalies of a test frame: none, some large, some small, or both."""
    things: list[_Thing] = []

    def add(heights: Mapping[str, tuple[float, float]], z: float, spread: float) -> None:
        name = dice.choice(sorted(heights))
        high = dice.between(*heights[name])
        x = canvas.camera.x_m + dice.between(-spread, spread) * z  # in the view
        x = min(max(x, -way.half_m - 2.5), way.half_m + 2.5)
        things.append((z, partial(anomaly, canvas, name, x, z, high)))

    kind = dice.unit()
    if 0.12 < kind < 0.72:
        for _ in range(dice.choice((1, 1, 2, 2, 3))):
            add(LARGE, dice.between(5.5, 15), 0.42)
    if kind > 0.5:
        for _ in range(dice.integer(1, 4)):
            add(SMALL, dice.between(7, 45), 0.25)
    return things


def _outliers(canvas: Canvas, dice: Dice) -> None:
    """Proxy outliers pasted anywhere, one to five of them."""
    canvas.dice = dice
    for _ in range(dice.integer(1, 5)):
        name = dice.choice(sorted(PROXIES))
        size = dice.between(8, 40) if dice.chance(0.4) else dice.between(30, 180)
        u, v = dice.between(40, WIDTH - 40), dice.between(90, HEIGHT - 50)
        outlier(canvas, name, u, v, size)


def _photographed(canvas: Canvas, dice: Dice) -> Image:
    """The canvas as a camera sees it: light, lens, noise; 8 bits."""
    light = canvas.light
    x = (np.arange(WIDTH, dtype=np.float32) + 0.5) / WIDTH * 2 - 1
    y = (np.arange(HEIGHT, dtype=np.float32) + 0.5) / HEIGHT * 2 - 1
    vignette = 1 - np.float32(0.10) * (x * x)[None, :] - np.float32(0.06) * (y * y)[:, None]
    gain = np.asarray(light.tint, np.float32) * np.float32(light.gain * 16)
    canvas.rgb *= vignette[:, :, None] * gain
    fixed = canvas.rgb.astype(np.int16)  # 4 bits behind the point
    for _ in range(dice.choice((1, 1, 2))):
        fixed = _softened(fixed)
    noise = dice.bytes(2, HEIGHT, WIDTH, 3).view(np.int8)
    strength = dice.choice((2, 3, 3, 4)) if light.kind != "dim" else 5
    shaken = (noise[0].astype(np.int16) + noise[1]) * np.int16(strength)
    fixed += shaken >> 4
    bright: Image = np.clip((fixed + np.int16(8)) >> 4, 0, 255).astype(np.uint8)
    return bright


def _softened(fixed: NDArray[np.int16]) -> NDArray[np.int16]:
    """The picture under the binomial filter (1, 2, 1) / 4 along both axes, in integers."""
    for axis in (0, 1):
        lines = np.swapaxes(fixed, 0, axis)
        total = lines[:-2] + lines[2:]
        total += lines[1:-1]
        total += lines[1:-1]
        total += 2
        total >>= 2
        lines[1:-1] = total
    return fixed
