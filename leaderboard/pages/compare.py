"""Page 2: two to six runs on the same data: curves, frames, is A better than B, do they agree."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from harness.compare import check_comparable
from harness.errors import HarnessError
from harness.metrics.component import TAUS
from harness.types import Run
from leaderboard import curves, duels, sizes
from leaderboard.curves import Curve
from leaderboard.gallery import FrameTable
from leaderboard.pages import address, better, plots, visit
from leaderboard.table import in_unit

MOST = 6  # lines that can be told apart


def page() -> None:
    """Draws the page."""
    address.begin("compare")
    st.title("Compare", anchor=False)
    found = visit.runs()
    dataset = address.one_of("dataset", "Data set", visit.datasets(found))
    runs = {run.id: run for run in found.of(dataset)}
    names = visit.names(list(runs.values()))
    chosen = address.some_of(
        "runs",
        "Runs, two to six",
        list(runs),
        default=_first(list(runs.values())),
        show=lambda run_id: names.get(run_id, run_id),
        most=MOST,
    )
    if len(chosen) < 2:
        st.info("Choose two runs or more. On the board, select rows and press Compare.")
        return
    asked = [runs[run_id] for run_id in chosen]
    try:
        check_comparable(asked)
    except HarnessError as error:
        st.warning(visit.plain(str(error)))
        return
    shown = {names[run.id]: run for run in asked}
    tabs = st.tabs(["Is A better than B?", "Curves", "Components", "Frames", "Agreement"])
    parts = (better.draw, _curves, _components, _frames, _agreement)
    for tab, part in zip(tabs, parts, strict=True):
        with tab:
            try:
                part(shown)
            except HarnessError as error:
                st.warning(visit.plain(str(error)))


def _first(runs: Sequence[Run]) -> list[str]:
    """The two runs with the highest AP among those that rank."""
    ranked = [run for run in runs if run.ranks and "AP" in run.metrics]
    best = sorted(ranked, key=lambda run: (-run.metrics["AP"], run.id))
    return [run.id for run in best[:2]]


def _curves(shown: Mapping[str, Run]) -> None:
    found = {name: _curve(run) for name, run in shown.items()}
    left, right = st.columns(2)
    with left:
        st.subheader("Precision over recall", anchor=False)
        st.altair_chart(
            plots.lines(found, "tpr", "precision", titles=("recall (TPR), %", "precision, %")),
            alt="Precision over recall",
        )
    with right:
        st.subheader("ROC", anchor=False)
        st.altair_chart(
            plots.lines(found, "fpr", "tpr", titles=("FPR, %", "TPR, %")), alt="ROC curves"
        )
    st.subheader("Close-up: false positives where nearly everything is found", anchor=False)
    st.altair_chart(
        plots.lines(
            found,
            "tpr",
            "fpr",
            titles=("TPR, %", "FPR, % (log scale)"),
            log_y=True,
            x_range=(80, 100),
            y_range=(0.01, 100),
        ),
        alt="False-positive rate over true-positive rate from 80 to 100 per cent",
    )
    st.caption("FPR95 is where a line crosses TPR 95 %. Pixels of all frames are pooled.")


def _components(shown: Mapping[str, Run]) -> None:
    points = [
        {"run": name, "tau": tau, "value": value}
        for name, run in shown.items()
        for tau in TAUS
        if (value := in_unit(run, f"F1@{tau}")) is not None
    ]
    if not points:
        st.info(
            "These runs hold no component metrics: the data set's protocol does not ask for them, "
            "or the threshold of best F1 was not defined."
        )
        return
    st.altair_chart(plots.by_overlap(pd.DataFrame(points), list(shown)), alt="F1 over overlap")
    columns = ("sIoU", "PPV", "F1*", "TP@25", "FN@25", "FP@25", "TP@50", "FN@50", "FP@50")
    data = pd.DataFrame(
        {"run": list(shown)}
        | {name: [in_unit(run, name) for run in shown.values()] for name in columns}
    )
    st.dataframe(
        data,
        hide_index=True,
        placeholder="–",
        column_config={
            name: st.column_config.NumberColumn(format="%.2f") for name in ("sIoU", "PPV", "F1*")
        },
        alt="Component metrics",
    )
    st.caption(
        "Components at one threshold of each run: that of its best F1, an oracle's, unless one "
        "was given. TP, FN, FP: components found, missed and invented."
    )
    _sizes(shown)


def _sizes(shown: Mapping[str, Run]) -> None:
    st.subheader("By size of the labelled object", anchor=False)
    found = {name: sizes.by_size(visit.settings().runs, run) for name, run in shown.items()}
    lines = [
        {"run": name, "size": one.size, "found": 100 * one.found, "sIoU": 100 * one.siou}
        | {"objects": one.components}
        for name, its in found.items()
        for one in its
    ]
    if not lines:
        st.info("These runs hold no components; rescore them, or score them again.")
        return
    data = pd.DataFrame(lines)
    order = [size for size, _, _ in sizes.SIZES]
    st.altair_chart(plots.by_size(data, list(shown), order), alt="Objects found by size")
    number = st.column_config.NumberColumn(format="%.2f")
    st.dataframe(
        data, hide_index=True, column_config={"found": number, "sIoU": number}, alt="By size"
    )
    st.caption(f"Found: sIoU of at least {sizes.TAU} %, in per cent of the objects of that size.")


def _frames(shown: Mapping[str, Run]) -> None:
    names = list(shown)
    left, right = st.columns(2)
    with left:
        first = address.one_of("a", "Across", names, default=names[0])
    with right:
        second = address.one_of("b", "Upward", names, default=names[1])
    one, two = (FrameTable.load(visit.settings().runs, shown[name]) for name in (first, second))
    other = dict(zip(two.ids, two.ap.tolist(), strict=True))
    points = pd.DataFrame(
        {
            "frame": one.ids,
            "first": 100 * one.ap,
            "second": [100 * other.get(frame, float("nan")) for frame in one.ids],
        }
    ).dropna()
    if points.empty:
        st.info("No frame has an AP in both runs: AP needs an anomalous pixel in the frame.")
        return
    st.altair_chart(
        plots.scatter_frames(points.round(2), first, second), alt="AP of each frame in two runs"
    )
    points["difference"] = points["first"] - points["second"]
    apart = points.sort_values("difference", key=abs, ascending=False).head(10)
    apart.columns = pd.Index(["frame", "across", "upward", "difference"])
    st.caption("The ten frames on which the two differ most; AP of the frame alone, in per cent.")
    number = st.column_config.NumberColumn(format="%.2f")
    st.dataframe(
        apart,
        hide_index=True,
        column_config=dict.fromkeys(("across", "upward", "difference"), number),
        alt="Frames with the largest difference",
    )


def _agreement(shown: Mapping[str, Run]) -> None:
    tables = [FrameTable.load(visit.settings().runs, run) for run in shown.values()]
    if any(table.ids != tables[0].ids for table in tables):
        st.info("These runs list different frames.")
        return
    square, names = duels.frame_agreement(tables), list(shown)
    cells = pd.DataFrame(
        [
            {"first": a, "second": b, "value": float(square[i, j])}
            for i, a in enumerate(names)
            for j, b in enumerate(names)
        ]
    ).dropna()
    if cells.empty:
        st.info("Too few frames have an AP for a correlation.")
        return
    st.altair_chart(plots.agreement(cells, names), alt="Correlation of the runs' AP per frame")
    st.caption(
        "Do the runs find the same frames hard? Spearman's rank correlation of AP per frame: 1 is "
        "the same order of frames, 0 none. Runs that agree little may complement each other."
    )


def _curve(run: Run) -> Curve:
    return _thinned(run.dataset, run.id, run.finished, run)


@st.cache_resource(max_entries=256, show_spinner=False)
def _thinned(dataset: str, run_id: str, finished: str, _run: Run) -> Curve:
    return curves.load_curve(visit.settings().runs, _run).thinned()


if __name__ == "__main__":
    page()
    address.share()
