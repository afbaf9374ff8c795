"""The charts of the pages, as Altair makes them: colour-blind-safe, in light and in dark."""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from leaderboard.curves import Curve

Layers = alt.LayerChart | alt.FacetChart

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Okabe and Ito's palette without black and yellow, which vanish on dark or light pages."""
DASHES = ([1, 0], [8, 3], [2, 2], [8, 3, 2, 3], [12, 4], [4, 4])
"""Lines are told apart without colour, too."""

BEST = "rgba(0, 158, 115, 0.28)"
SECOND = "rgba(0, 158, 115, 0.12)"


def intervals(rows: pd.DataFrame, title: str) -> Layers:
    """Values with their intervals, in the order of the rows and as far apart as a table's.

    Args:
        rows: columns name (unique), value, low, high (NaN: no interval), rank.
        title: of the axis.
    """
    names = alt.Y(
        "name:N",
        sort=None,
        title=None,
        axis=alt.Axis(labelLimit=150, ticks=False, labelOverlap=False),
    )
    across = alt.Scale(zero=False, nice=True, padding=6)
    tooltip = ["name", "value", "low", "high"]
    line = alt.Chart(rows).mark_rule(strokeWidth=2, color=COLOURS[0], opacity=0.7)
    point = alt.Chart(rows).mark_point(filled=True, size=55, color=COLOURS[0], opacity=1)
    return alt.layer(
        line.encode(
            y=names, x=alt.X("low:Q", scale=across, title=title), x2="high:Q", tooltip=tooltip
        ),
        point.encode(y=names, x=alt.X("value:Q", scale=across, title=title), tooltip=tooltip),
    ).properties(height=alt.Step(35))


def lines(
    curves: Mapping[str, Curve],
    x: str,
    y: str,
    *,
    titles: tuple[str, str],
    log_y: bool = False,
    x_range: tuple[float, float] = (0, 100),
    y_range: tuple[float, float] = (0, 100),
) -> alt.Chart:
    """One line per run; `x` and `y` are fields of `Curve`, drawn in per cent."""
    parts = []
    for name, curve in curves.items():
        part = pd.DataFrame({"x": 100 * getattr(curve, x), "y": 100 * getattr(curve, y)})
        part["order"] = range(len(part))
        part["run"] = name
        inside = part["x"].between(*x_range) & (part["y"] >= y_range[0])
        parts.append(part[inside])
    data = pd.concat(parts, ignore_index=True)
    if log_y and len(data):  # no empty decades below the lines
        least = 10.0 ** np.floor(np.log10(data["y"].min()))
        y_range = (max(y_range[0], min(least, 10.0)), y_range[1])
    scale = alt.Scale(type="log" if log_y else "linear", domain=list(y_range), clamp=True)
    chart: alt.Chart = (
        alt.Chart(data)
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("x:Q", title=titles[0], scale=alt.Scale(domain=list(x_range))),
            y=alt.Y("y:Q", title=titles[1], scale=scale),
            color=_colour(list(curves)),
            strokeDash=_dash(list(curves)),
            order="order:Q",
            tooltip=["run", alt.Tooltip("x:Q", format=".2f"), alt.Tooltip("y:Q", format=".2f")],
        )
        .properties(height=380)
    )
    return chart


def scatter_frames(points: pd.DataFrame, first: str, second: str) -> Layers:
    """AP of each frame in two runs (columns frame, first, second); on the line they are equal."""
    domain = alt.Scale(domain=[0, 100])
    diagonal = (
        alt.Chart(pd.DataFrame({"first": [0, 100], "second": [0, 100]}))
        .mark_line(strokeDash=[4, 4], color="#888888")
        .encode(x="first:Q", y="second:Q")
    )
    dots = (
        alt.Chart(points)
        .mark_point(filled=True, size=60, opacity=0.75, color=COLOURS[0])
        .encode(
            x=alt.X("first:Q", title=f"AP of {first}, %", scale=domain),
            y=alt.Y("second:Q", title=f"AP of {second}, %", scale=domain),
            tooltip=["frame", "first", "second"],
        )
    )
    return alt.layer(diagonal, dots).properties(height=360)


def by_overlap(points: pd.DataFrame, names: Sequence[str]) -> alt.Chart:
    """Component F1 against the overlap that counts as found (columns run, tau, value)."""
    chart: alt.Chart = (
        alt.Chart(points)
        .mark_line(point=True, strokeWidth=2)
        .encode(
            x=alt.X("tau:Q", title="overlap that is asked for, %", scale=alt.Scale(zero=False)),
            y=alt.Y("value:Q", title="component F1, %"),
            color=_colour(names),
            strokeDash=_dash(names),
            tooltip=["run", "tau", "value"],
        )
        .properties(height=340)
    )
    return chart


def by_size(points: pd.DataFrame, names: Sequence[str], order: Sequence[str]) -> alt.Chart:
    """Share of objects found by their size (columns run, size, found)."""
    chart: alt.Chart = (
        alt.Chart(points)
        .mark_bar()
        .encode(
            x=alt.X("size:N", sort=list(order), title=None, axis=alt.Axis(labelAngle=0)),
            xOffset=alt.XOffset("run:N", sort=list(names)),
            y=alt.Y("found:Q", title="objects found, %", scale=alt.Scale(domain=[0, 100])),
            color=_colour(names),
            tooltip=["run", "size", "objects", alt.Tooltip("found:Q", format=".2f")],
        )
        .properties(height=320)
    )
    return chart


def agreement(cells: pd.DataFrame, names: Sequence[str]) -> Layers:
    """A square of correlations (columns first, second, value), the numbers written in."""
    x = alt.X("first:N", sort=list(names), title=None, axis=alt.Axis(labelAngle=-30))
    y = alt.Y("second:N", sort=list(names), title=None, axis=alt.Axis(labelLimit=190))
    base = alt.Chart(cells)
    square = base.mark_rect().encode(
        x=x,
        y=y,
        color=alt.Color(
            "value:Q", scale=alt.Scale(scheme="viridis", domain=[-1, 1]), title="Spearman"
        ),
    )
    number = base.mark_text(fontSize=13).encode(
        x=x,
        y=y,
        text=alt.Text("value:Q", format=".2f"),
        color=alt.condition("datum.value > 0.3", alt.value("#111111"), alt.value("#ffffff")),
    )
    return alt.layer(square, number).properties(height=60 + 44 * len(names))


def histogram(bins: pd.DataFrame, threshold: float | None) -> Layers:
    """Scores of normal and anomalous pixels (columns left, right, share, pixels)."""
    area = (
        alt.Chart(bins)
        .mark_bar(opacity=0.6)
        .encode(
            x=alt.X("left:Q", title="score", bin="binned"),
            x2="right:Q",
            y=alt.Y("share:Q", title="share of its pixels, %", stack=None),
            color=alt.Color(
                "pixels:N",
                scale=alt.Scale(domain=["normal", "anomalous"], range=[COLOURS[0], COLOURS[5]]),
                legend=alt.Legend(title=None, orient="top"),
            ),
            tooltip=["pixels", "left", "right", "share"],
        )
    )
    layers = [area]
    if threshold is not None:
        line = alt.Chart(pd.DataFrame({"at": [threshold]})).mark_rule(
            strokeWidth=2, strokeDash=[6, 3], color="#888888"
        )
        layers.append(line.encode(x="at:Q"))
    return alt.layer(*layers).properties(height=240)


def speed(points: pd.DataFrame, quality: str, higher_is_better: bool) -> Layers:
    """Milliseconds a frame against quality (columns name, ms, value, device, best)."""
    y = alt.Y(
        "value:Q",
        title=quality,
        scale=alt.Scale(zero=False, reverse=not higher_is_better, padding=18),
    )
    x = alt.X(
        "ms:Q",
        title="milliseconds a frame (log scale)",
        scale=alt.Scale(type="log", nice=False, padding=40),
    )
    front = (
        alt.Chart(points[points["best"]])
        .mark_line(interpolate="step-after", strokeWidth=2, color="#888888", strokeDash=[5, 3])
        .encode(x=x, y=y)
    )
    devices = sorted(points["device"].unique())
    base = alt.Chart(points)
    dots = base.mark_point(filled=True, size=90, opacity=0.9).encode(
        x=x,
        y=y,
        color=alt.Color(
            "device:N",
            scale=alt.Scale(domain=devices, range=[COLOURS[i % 6] for i in range(len(devices))]),
            legend=alt.Legend(title="device", orient="top", labelLimit=300),
        ),
        shape=alt.Shape("device:N", legend=None, scale=alt.Scale(domain=devices)),
        tooltip=["name", "ms", "value", "device"],
    )
    labels = (
        alt.Chart(points[points["best"]])
        .mark_text(align="left", dx=8, dy=-8, fontSize=12, color="#888888")
        .encode(x=x, y=y, text="name:N")
    )
    return alt.layer(front, dots, labels).properties(height=460)


def _colour(names: Sequence[str]) -> alt.Color:
    return alt.Color(
        "run:N",
        scale=alt.Scale(domain=list(names), range=list(COLOURS[: len(names)])),
        legend=alt.Legend(title=None, orient="top", columns=2, labelLimit=320),
    )


def _dash(names: Sequence[str]) -> alt.StrokeDash:
    return alt.StrokeDash(
        "run:N",
        scale=alt.Scale(domain=list(names), range=list(DASHES[: len(names)])),
        legend=None,
    )
