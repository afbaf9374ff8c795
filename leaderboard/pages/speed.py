"""Page 5: speed against quality; the line joins the methods that no other beats in both."""

import pandas as pd
import streamlit as st

from harness.metrics import METRICS
from harness.types import Run
from leaderboard.cells import in_unit, printable
from leaderboard.facts import milliseconds
from leaderboard.pages import address, plots, visit
from leaderboard.pareto import pareto
from leaderboard.rules import arrow, described


def page() -> None:
    """Draws the page."""
    address.begin("speed")
    st.title("Speed against quality", anchor=False)
    found = visit.runs()
    left, right = st.columns(2)
    with left:
        dataset = address.one_of("dataset", "Data set", visit.datasets(found))
    runs = [run for run in found.of(dataset) if run.ranks]
    there = {metric for run in runs for metric in run.metrics}
    metrics = [m for m in METRICS if m in there and described(m).higher_is_better is not None]
    if not metrics:
        st.info("No run on this data set ranks, so there is nothing to set against speed.")
        return
    with right:
        metric = address.one_of("metric", "Metric", metrics, default="AP")
    points = _points(runs, metric)
    if points.empty:
        st.info("No run here has both a time and a value of this metric.")
        return
    title = f"{metric} {arrow(metric)}" + (", %" if described(metric).unit == "%" else "")
    better_up = bool(described(metric).higher_is_better)
    st.altair_chart(plots.speed(points, title, better_up), alt="Time a frame against quality")
    st.caption(
        "Up and to the left is better. The dashed line joins the runs that no other beats in both; "
        "only these have their names written, point at any other. "
        "Times are the method's own, the median over frames; they compare only on equal machines, "
        "and methods that shared one forward pass were each given the whole of it."
    )
    data = points.sort_values("ms")[["name", "ms", "value", "device", "best"]]
    data.columns = pd.Index(["run", "ms/frame", title, "machine", "on the line"])
    st.dataframe(
        data,
        hide_index=True,
        column_config={
            "ms/frame": st.column_config.NumberColumn(format="%.1f"),
            title: st.column_config.NumberColumn(format="%.2f"),
        },
        alt="The points of the chart as a table",
    )


def _points(runs: list[Run], metric: str) -> pd.DataFrame:
    names = visit.names(runs)
    lines = [
        {"name": names[run.id], "ms": ms, "value": value, "device": _device(run)}
        for run in runs
        if (ms := milliseconds(run)) is not None and (value := in_unit(run, metric)) is not None
    ]
    points = pd.DataFrame(lines, columns=["name", "ms", "value", "device"])
    sign = 1 if described(metric).higher_is_better else -1
    line = pareto(points["ms"].tolist(), (sign * points["value"]).tolist())
    points["best"] = [at in set(line) for at in range(len(points))]
    return points


def _device(run: Run) -> str:
    machine = run.provenance.get("machine")
    known = machine if isinstance(machine, dict) else {}
    parts = [known.get("device_name") or known.get("device"), known.get("processor")]
    return printable(" · ".join(str(part) for part in parts if part)) or "machine not stated"


if __name__ == "__main__":
    page()
    address.share()
