"""Images, labels and score maps of frames, from the data root or a run's folder, kept a while."""

import io
from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image as PILImage

from harness import score_files
from harness.data import Frames
from harness.errors import HarnessError
from harness.types import Image, Label, Run
from leaderboard import heat
from leaderboard.curves import Curve, load_curve
from leaderboard.pages import visit

Scores = NDArray[np.floating]


def image_and_label(dataset: str, frame: str) -> tuple[Image, Label | None] | str:
    """The frame at full size where the data set is under the data root; else why it is not."""
    found = visit.frames(dataset)
    if isinstance(found, str):
        return found
    if frame not in found.ids:
        return f"{frame} is not among the frames in {found.where}."
    try:
        return _frame(dataset, str(visit.settings().data_root), frame, found)
    except HarnessError as error:
        return str(error)


def scores(run: Run, frame: str) -> Scores | None:
    """The score map that `run` kept of the frame; None where it kept none."""
    if not (visit.folder(run) / "scores").is_dir():
        return None
    try:
        return _scores(str(visit.folder(run)), frame, run.finished)
    except HarnessError:
        return None


def heat_bytes(run: Run, frame: str, scale: str) -> bytes | None:
    """The encoded heat picture; None where the map was not kept."""
    if scores(run, frame) is None:
        return None
    return _heat(str(visit.folder(run)), frame, run.finished, scale, run)


def ground_bytes(
    dataset: str, frame: str, image: Image, label: Label | None
) -> tuple[bytes, bytes | None]:
    """The encoded pictures of the image and of its label, None where there is no label."""
    return _ground(dataset, str(visit.settings().data_root), frame, image, label)


def small_image(dataset: str, run: Run, frame: str, width: int) -> bytes | None:
    """A small picture of the image, from the run's thumbnails or the data set; None: neither."""
    kept = thumbnail(run, frame, "image")
    if kept is not None:
        return kept
    found = visit.frames(dataset)
    if isinstance(found, str) or frame not in found.ids:
        return None
    return _small(dataset, str(visit.settings().data_root), frame, width, found)


def thumbnail(run: Run, frame: str, part: str) -> bytes | None:
    """The picture `part` (image, label, score) that `run` keeps of the frame, if it keeps one."""
    path = visit.folder(run) / "thumbnails" / f"{frame}.{part}.webp"
    if path.parent.parent != visit.folder(run) or "/" in frame or "\\" in frame:
        return None
    try:
        content = path.read_bytes()
        with PILImage.open(io.BytesIO(content)) as picture:
            picture.verify()
    except (OSError, SyntaxError):
        return None
    return content


def threshold(run: Run, recall: float) -> float | None:
    """The run's threshold that finds the share `recall` of all anomalous pixels of its data set."""
    try:
        return _curve(str(visit.folder(run)), run.finished, run).threshold_at(recall)
    except HarnessError:
        return None


@st.cache_resource(max_entries=12, show_spinner=False)
def _frame(dataset: str, root: str, frame: str, _frames: Frames) -> tuple[Image, Label | None]:
    found = _frames[_frames.ids.index(frame)]
    return found.image, found.label


@st.cache_resource(max_entries=24, show_spinner=False)
def _scores(folder: str, frame: str, finished: str) -> Scores:
    return score_files.read(score_files.find(Path(folder) / "scores", frame))


@st.cache_data(max_entries=128, show_spinner=False)
def _heat(folder: str, frame: str, finished: str, scale: str, _run: Run) -> bytes:
    return heat.encoded(heat.heat_picture(_scores(folder, frame, finished), scale))


@st.cache_data(max_entries=64, show_spinner=False)
def _ground(
    dataset: str, root: str, frame: str, _image: Image, _label: Label | None
) -> tuple[bytes, bytes | None]:
    label = None if _label is None else heat.encoded(heat.label_picture(_image, _label))
    return heat.encoded(heat.image_picture(_image)), label


@st.cache_data(max_entries=512, show_spinner=False)
def _small(dataset: str, root: str, frame: str, width: int, _frames: Frames) -> bytes:
    image, _ = _frame(dataset, root, frame, _frames)
    return heat.encoded(heat.image_picture(image, width))


@st.cache_resource(max_entries=64, show_spinner=False)
def _curve(folder: str, finished: str, _run: Run) -> Curve:
    return load_curve(visit.settings().runs, _run)
