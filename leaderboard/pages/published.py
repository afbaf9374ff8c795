"""Figures that others have published on a data set, as a table of their own that never ranks."""

from collections import defaultdict

import pandas as pd
import streamlit as st

from harness.metrics import METRICS
from harness.metrics.flavours import FLAVOURS
from leaderboard.pages import visit
from leaderboard.reported import PRINTED, PROTOCOLS, Reported, reported


def draw(dataset: str, family: str) -> None:
    """Draws the table of the figures on `dataset` whose metrics belong to `family`."""
    figures = [one for one in _figures() if one.dataset == dataset and _fits(one, family)]
    st.subheader("Reported, not measured here", anchor=False)
    if not figures:
        st.caption("We know of no published figure for this data set and these metrics.")
        return
    st.caption(
        "Split, label policy, resizing, checkpoint and the definition of a metric differ from "
        "paper to paper, so these rows have no rank and mark no best value."
    )
    lines: dict[tuple[str, ...], dict[str, object]] = defaultdict(dict)
    for one in figures:
        place = (one.method, one.network, one.split, one.condition, one.protocol, one.source)
        line = lines[(*place, one.table_or_file)]
        line |= {
            "method": one.method,
            "network": one.network,
            "split": " ".join(part for part in (one.split, one.condition) if part),
        }
        line[_column(one.metric)] = float(one.value)
        line["source"] = f"{one.source}, {one.table_or_file}"
        line["protocol"] = PROTOCOLS.get(one.protocol, one.protocol)
        line["note"] = one.note
        line["address"] = visit.link(one.address)
    metrics = list(dict.fromkeys(_column(one.metric) for one in figures))
    tail = ["source", "protocol", "note", "address"]
    data = pd.DataFrame(lines.values())[["method", "network", "split", *metrics, *tail]]
    st.dataframe(
        data,
        hide_index=True,
        placeholder="–",
        height=36 * (min(len(data), 10) + 1) + 4,
        column_config={
            "method": st.column_config.TextColumn(pinned=True, width=150),
            "address": st.column_config.LinkColumn(display_text="open", width=70),
            **{metric: st.column_config.NumberColumn(format="%.2f") for metric in metrics},
        },
        alt="Published figures with their sources",
    )


def _fits(one: Reported, family: str) -> bool:
    known = METRICS.get(one.metric)
    if known is not None:
        return known.family == family
    return family in ("pixel", "published variants") and (
        one.metric in FLAVOURS or one.metric in PRINTED
    )


def _column(metric: str) -> str:
    known = METRICS.get(metric) or FLAVOURS.get(metric) or PRINTED[metric]
    direction = {True: " ↑", False: " ↓", None: ""}[known.higher_is_better]
    return f"{metric}{direction}"


@st.cache_data(show_spinner=False)
def _figures() -> tuple[Reported, ...]:
    return reported()
