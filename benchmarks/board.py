"""Speed and memory of the app: a board of 5,000 runs, and a frame of 1024x2048 pixels.

    python benchmarks/board.py            # both, about a minute
    python benchmarks/board.py board --runs 20000

Records are made from a seed. Times are those of the server, from a request to its whole answer;
what a browser then needs to draw is not counted. README.md holds what was measured.
"""

import argparse
import json
import logging
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PILImage

from harness import score_files, store
from harness.metrics import METRIC_VERSION, METRICS, OFFICIAL
from harness.metrics.flavours import FLAVOURS

CONTESTS = ("board", "frames")
DATASETS = 20
NETWORKS = ("tiny", "espnetv2", "erfnet", "enet")


def main() -> None:
    """Runs the contests that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("contests", nargs="*", metavar="board|frames")
    parser.add_argument("--runs", type=int, default=5000)
    asked = parser.parse_args()
    logging.disable(logging.WARNING)  # Streamlit's, about running without a server
    with tempfile.TemporaryDirectory() as folder:
        contests = asked.contests or CONTESTS
        if "board" in contests:
            board(Path(folder, "many"), asked.runs)
        if "frames" in contests:
            frames(Path(folder, "few"), Path(folder, "data"))


def board(root: Path, number: int) -> None:
    """The board page over `number` runs on 20 data sets."""
    began = time.perf_counter()
    write_records(root, number)
    took = time.perf_counter() - began
    print(f"{number} records on {DATASETS} data sets, written in {took:.1f} s")
    before = resident_mb()
    began = time.perf_counter()
    app = opened(root, "board")
    print(f"  cold: first visit            {time.perf_counter() - began:6.2f} s")
    name = app.selectbox(key="dataset").options[7]
    timed("another data set", lambda: app.selectbox(key="dataset").set_value(name).run())
    timed("the same again", app.run)
    timed("search", lambda: app.text_input(key="find").set_value("method_01").run())
    timed("search emptied", lambda: app.text_input(key="find").set_value("").run())
    timed("rank rule", lambda: app.selectbox(key="rule").set_value("borda").run())
    timed("page 2", lambda: app.pagination(key="page").set_value(2).run())
    timed("all data sets", lambda: app.selectbox(key="dataset").set_value("all data sets").run())
    timed("all data sets again", app.run)
    print(f"  ({app.caption[-1].value})")
    touched = next(root.glob("*/*/run.json"))
    os.utime(touched)
    timed("after one run changed", app.run)
    print(f"  memory: {before:.0f} MB before the first visit, at most {resident_mb():.0f} MB since")


def frames(root: Path, data: Path) -> None:
    """The viewer of frames of 1024x2048 pixels with the heat maps of two runs."""
    write_frames(root, data)
    app = opened(root, "frames", "--data-root", str(data), "--with-images", dataset="custom")
    print("frames of 1024x2048 pixels, two runs: image, label, two heat maps, two overlays")
    timed("next frame, never seen", lambda: named(app, "Next").click().run())
    timed("back to a frame seen before", lambda: named(app, "Previous").click().run())
    timed("move the slider", lambda: app.slider(key="recall").set_value(60.0).run())
    timed("move the slider again", lambda: app.slider(key="recall").set_value(80.0).run())
    timed(
        "the other scale",
        lambda: app.button_group(key="scale").set_value("rank within the frame").run(),
    )
    print(f"  memory: {resident_mb():.0f} MB")


def opened(root: Path, page: str, *words: str, **asked: str) -> Any:
    """The page after its first run."""
    from streamlit.testing.v1 import AppTest

    from leaderboard.launch import APP

    sys.argv = [str(APP), "--runs", str(root), *words]
    app = AppTest.from_file(str(APP), default_timeout=120)
    if page != "board":
        app.switch_page(f"{page}.py")
    for name, value in asked.items():
        app.query_params[name] = value
    return sound(app.run())


def sound(app: Any) -> Any:
    """The app, unless it failed or shows nothing."""
    if app.exception or not (app.dataframe or app.get("image")):
        raise SystemExit(f"the page failed: {[error.value for error in app.exception]}")
    return app


def named(app: Any, label: str) -> Any:
    """The button called `label`."""
    return next(button for button in app.button if button.label == label)


def timed(what: str, action: Callable[[], Any]) -> None:
    """Prints how long the action took."""
    began = time.perf_counter()
    sound(action())
    print(f"  warm: {what:<28}{time.perf_counter() - began:6.2f} s")


def resident_mb() -> float:
    """The largest memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write_records(root: Path, number: int) -> None:
    """Run records as `harness run` leaves them: every metric and flavour, 17 intervals."""
    rng = np.random.default_rng(0)
    with_interval = [
        *OFFICIAL["pixel"],
        *OFFICIAL["component"],
        *(f"F1@{t}" for t in range(25, 75, 5)),
    ]
    for i in range(number):
        dataset, which = f"dataset_{i % DATASETS:02}", i // DATASETS
        method = f"method_{which // len(NETWORKS):03}"
        metrics = dict(zip([*METRICS, *FLAVOURS], rng.random(200).tolist(), strict=False))
        record = {
            "id": f"{method}-{i:010x}",
            "kind": "run",
            "method": method,
            "options": {
                "network": NETWORKS[which % len(NETWORKS)],
                "device": "auto",
                "precision": "float32",
                "upsample": "logits",
                "weights": "",
            },
            "dataset": dataset,
            "frames": 100,
            "fingerprint": "f" * 64,
            "metric_version": METRIC_VERSION,
            "metrics": metrics,
            "undefined": {},
            "intervals": {
                name: {
                    "value": metrics[name],
                    "low": 0.9 * metrics[name],
                    "high": 1.1 * metrics[name],
                    "level": 0.95,
                    "units": 100,
                    "resamples": 2000,
                    "undefined": 0,
                    "grid_error": 1e-5,
                }
                for name in with_interval
            },
            "flags": ["limited"] if i % 17 == 0 else [],
            "trained_on": ["cityscapes_train", "coco"][: 1 + (which % 3 == 0)],
            "paper": "https://arxiv.org/abs/1911.11132",
            "seconds": 12.5,
            "finished": "2026-01-02T03:04:05+00:00",
            "provenance": {
                "code": {"revision": "a" * 40, "dirty": False},
                "sources": {f"methods/part_{k}.py": "c" * 64 for k in range(5)},
                "versions": {f"package_{k}": "1.2.3" for k in range(8)},
                "machine": {"cores": 2, "device": "cpu", "processor": "generated"},
                "weights": {"network": f"{which % len(NETWORKS)}" * 64},
                "command": "harness run",
                "seconds_per_frame_median": float(rng.random()),
            },
        }
        folder = root / dataset / str(record["id"])
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(record, indent=1, sort_keys=True))


def write_frames(root: Path, data: Path) -> None:
    """Four photographs' worth of noise with labels, and two runs that kept their maps."""
    rng = np.random.default_rng(0)
    ids = [f"frame_{i}" for i in range(4)]
    for part in ("images", "labels"):
        (data / part).mkdir(parents=True)
    label = np.zeros((1024, 2048), np.uint8)
    label[400:560, 900:1200] = 1
    for frame in ids:
        small = rng.integers(0, 256, (128, 256, 3), dtype=np.uint8)
        PILImage.fromarray(small).resize((2048, 1024)).save(data / "images" / f"{frame}.png")
        PILImage.fromarray(label).save(data / "labels" / f"{frame}.png")
    write_records(root, 2 * DATASETS)
    records = sorted(root.glob("dataset_00/*/run.json"))
    for path in records:
        folder = root / "custom" / path.parent.name
        (folder / "scores").mkdir(parents=True)
        record = json.loads(path.read_text())
        record |= {"dataset": "custom", "frames": len(ids), "flags": []}
        (folder / "run.json").write_text(json.dumps(record))
        for frame in ids:
            noise = rng.normal(size=(256, 512)).astype(np.float32)
            score = np.asarray(PILImage.fromarray(noise).resize((2048, 1024)), np.float32) + label
            score_files.write(folder / "scores" / f"{frame}.score", score)
        levels = np.linspace(4, -3, 500)
        tables = {
            "frames": {"id": ids, "AP": [0.1, 0.2, 0.3, 0.4]},
            "curve": {
                "threshold": levels,
                "tpr": np.linspace(0, 1, 500),
                "fpr": np.linspace(0, 1, 500) ** 3,
                "precision": np.linspace(1, 0.02, 500),
            },
        }
        for name, columns in tables.items():
            table = store.table_of(columns)
            store.pq.write_table(table, folder / f"{name}.parquet")
    for path in records:
        path.unlink()


if __name__ == "__main__":
    main()
