"""One frame seen by several methods: image, label, heat maps, and what a threshold does."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from harness.types import ANOMALY, NORMAL, Image, Label, Run
from leaderboard import heat
from leaderboard.gallery import Card
from leaderboard.pages import address, pixels, plots, visit

KEEP = "harness run --method {method} --dataset {dataset} --keep-scores --again"


@st.fragment
def draw(
    dataset: str, shown: Mapping[str, Run], cards: Sequence[Card], families: Sequence[str]
) -> None:
    """Draws the viewer with its controls; moving the slider draws nothing else anew."""
    frames = [card.frame for card in cards]
    frame = _which(frames)
    card = cards[frames.index(frame)]
    found = pixels.image_and_label(dataset, frame)
    image, label = (None, None) if isinstance(found, str) else found
    facts = [f"{name}: AP {_ap(value)}" for name, value in zip(shown, card.ap, strict=True)]
    st.caption(visit.plain(" · ".join(facts)))
    _ground(next(iter(shown.values())), frame, image, label)
    if image is None:
        st.caption(visit.plain(f"Small pictures only: {found}"))
    kept = {name: run for name, run in shown.items() if pixels.scores(run, frame) is not None}
    _maps(shown, frame)
    if len(kept) < len(shown):
        run = next(run for name, run in shown.items() if name not in kept)
        st.info(
            "Score maps of some of these runs were not kept, so there is no slider for them and "
            "only a few frames have a picture. To keep the maps, score with --keep-scores:"
        )
        st.code(KEEP.format(method=run.method, dataset=run.dataset), language="bash")
    if kept and image is not None and label is not None:
        _threshold(kept, frame, image, label)


def _which(frames: Sequence[str]) -> str:
    left, middle, right = st.columns([1, 6, 1], vertical_alignment="bottom")
    with middle:
        frame = address.one_of("frame", "Frame, in the order of the gallery", frames)
    at = frames.index(frame)
    steps = (
        (left, "Previous", "Left", max(0, at - 1), ":material/arrow_back:"),
        (right, "Next", "Right", min(len(frames) - 1, at + 1), ":material/arrow_forward:"),
    )
    for column, word, key, target, icon in steps:
        column.button(
            word,
            icon=icon,
            shortcut=key,
            disabled=target == at,
            on_click=address.set_value,
            args=("frame", frames[target]),
            width="stretch",
        )
    return frame


def _ground(run: Run, frame: str, image: Image | None, label: Label | None) -> None:
    left, right = st.columns(2)
    pictures = [pixels.thumbnail(run, frame, part) for part in ("image", "label")]
    if image is not None:
        large = pixels.ground_bytes(run.dataset, frame, image, label)
        pictures = [large[0], large[1] or pictures[1]]
    with left:
        _picture(pictures[0], "Image")
    with right:
        _picture(pictures[1], "Label: anomalous pixels orange, ignored ones dark")


def _maps(shown: Mapping[str, Run], frame: str) -> None:
    scale = address.one_of(
        "scale",
        "Heat maps on",
        heat.SCALES,
        buttons=True,
        help="Scores of different methods have different units. Their own range is linear from the "
        "1st to the 99.9th percentile of the map; the rank is the share of pixels that score "
        "lower, which compares from one method to another.",
    )
    columns = st.columns(min(2, len(shown)))
    for at, (name, run) in enumerate(shown.items()):
        picture = pixels.heat_bytes(run, frame, scale)
        note = ""
        if picture is None:
            picture, note = pixels.thumbnail(run, frame, "score"), " (small, own range)"
        with columns[at % len(columns)]:
            _picture(picture, f"{name}{note}")


def _threshold(kept: Mapping[str, Run], frame: str, image: Image, label: Label) -> None:
    st.subheader("What a threshold does", anchor=False)
    recall = address.number(
        "recall",
        "Threshold of each method that finds this share of the data set's anomalous pixels, %",
        1.0,
        100.0,
        default=95.0,
        step=0.5,
        help="95 is the threshold of FPR95. Each method has its own, read from its saved curve.",
    )
    st.caption("Green: found. Blue: missed. Orange: false alarm. White: outline of the label.")
    columns = st.columns(min(2, len(kept)))
    for at, (name, run) in enumerate(kept.items()):
        scores, threshold = pixels.scores(run, frame), pixels.threshold(run, recall / 100)
        with columns[at % len(columns)]:
            if scores is None or threshold is None or scores.shape != label.shape:
                st.info(visit.plain(f"{name}: the map or the curve does not fit this frame."))
                continue
            _picture(heat.encoded(heat.overlay(image, label, scores, threshold)), name)
            found, alarms = rates(label, scores, threshold)
            st.caption(f"threshold {threshold:.5g}: finds {found} and flags {alarms} of this frame")
    name = address.one_of("histogram", "Histogram of", list(kept))
    scores, threshold = pixels.scores(kept[name], frame), pixels.threshold(kept[name], recall / 100)
    if scores is not None and scores.shape == label.shape:
        st.altair_chart(
            plots.histogram(bins(label, scores), threshold),
            alt="Scores of normal and of anomalous pixels of this frame",
        )
        st.caption("The dashed line is the threshold. Both shares sum to 100 % each.")


def rates(label: Label, scores: pixels.Scores, threshold: float) -> tuple[str, str]:
    """What the threshold does in this frame, as text: anomalous pixels found, normal flagged."""
    flagged = np.asarray(scores, np.float32) >= np.float32(threshold)
    parts = []
    for kind, word in ((ANOMALY, "anomalous"), (NORMAL, "normal")):
        of = label == kind
        pixels_of = int(np.count_nonzero(of))
        share = f"{100 * np.count_nonzero(flagged & of) / pixels_of:.1f} %" if pixels_of else "none"
        parts.append(f"{share} of the {word} pixels" if pixels_of else f"no {word} pixel (none)")
    return parts[0], parts[1]


def bins(label: Label, scores: pixels.Scores, number: int = 60) -> pd.DataFrame:
    """The histogram's bars (columns left, right, share, pixels), tails beyond 0.05 % cut off."""
    scores = np.asarray(scores, np.float32)
    judged = scores[(label == NORMAL) | (label == ANOMALY)]
    low, high = np.percentile(judged, (0.05, 99.95)) if judged.size else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1, number + 1)
    parts = []
    for kind, word in ((NORMAL, "normal"), (ANOMALY, "anomalous")):
        counts, _ = np.histogram(np.clip(scores[label == kind], edges[0], edges[-1]), edges)
        share = 100 * counts / max(1, counts.sum())
        part = pd.DataFrame({"left": edges[:-1], "right": edges[1:], "share": share})
        parts.append(part.assign(pixels=word))
    return pd.concat(parts, ignore_index=True)


def _picture(picture: bytes | None, caption: str) -> None:
    if picture is None:
        st.caption(visit.plain(f"{caption}: no picture of this frame was kept."))
    else:
        st.image(picture, caption=visit.plain(caption), width="stretch", alt=caption)


def _ap(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"
