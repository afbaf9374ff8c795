"""The fingerprint of frames: which pixels and labels a number was computed from."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from harness.types import Frame

RULE = "1"  # counts up when the same pixels get another fingerprint


def fingerprint(frames: Iterable[Frame]) -> str:
    r"""The sha256, in hex, over the decoded images and labels of `frames`, in their order.

    Hashed for each frame, one after the other: `"<id>\n"`; then for image, label and classes the
    word, the shape and the bytes, `"image 720x1280x3\n<bytes>"`, or `"label none\n"`. Pixels are
    uint8 in C order; labels are NORMAL, ANOMALY, IGNORE; classes are train ids.
    """
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(f"{frame.id}\n".encode())
        named = (("image", frame.image), ("label", frame.label), ("classes", frame.classes))
        for word, pixels in named:
            if pixels is None:
                digest.update(f"{word} none\n".encode())
            else:
                shape = "x".join(map(str, pixels.shape))
                digest.update(f"{word} {shape}\n".encode())
                digest.update(np.ascontiguousarray(pixels, dtype=np.uint8).data)
    return digest.hexdigest()


def recall(key: str) -> str | None:
    """The fingerprint remembered under `key`; None where there is none or it cannot be read."""
    try:
        value = json.loads(_file(key).read_text("utf-8"))["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, str) and len(value) == 64 else None


def remember(key: str, value: str) -> None:
    """Nothing; keeps `value` in the cache folder, or does without where that is not writable."""
    path = _file(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"fingerprint": value}, file)
            Path(beside).replace(path)
        except OSError:
            Path(beside).unlink(missing_ok=True)
    except OSError:
        pass


def _file(key: str) -> Path:
    folder = os.environ.get("HARNESS_CACHE") or "~/.cache/road-anomaly-harness"
    name = hashlib.sha256(f"{RULE}\n{key}".encode()).hexdigest()
    try:
        home = Path(folder).expanduser()
    except RuntimeError:  # no home folder
        home = Path(tempfile.gettempdir()) / "road-anomaly-harness"
    return home / "fingerprints" / f"{name}.json"
