"""Figures that others have published on a data set, as a table of their own that never ranks."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from harness.metrics import METRICS, OFFICIAL
from leaderboard.pages import visit
from leaderboard.reported import PROTOCOLS, reported_rows
from leaderboard.rules import arrow


def columns(family: str, shown: Sequence[str]) -> tuple[str, ...]:
    """The metrics whose published figures stand below a board with the columns `shown`."""
    ours = tuple(metric for metric in shown if metric in METRICS)
    return ours or OFFICIAL.get(family, OFFICIAL["pixel"])


def there(dataset: str, shown: tuple[str, ...]) -> bool:
    """Whether any figure on `dataset` in these metrics was published."""
    return bool(reported_rows(dataset, shown))


def draw(dataset: str, shown: tuple[str, ...]) -> None:
    """Draws the table of the figures on `dataset` in the metrics `shown`."""
    st.subheader("Reported, not measured here", anchor=False)
    st.caption(
        "Split, label policy, resizing, checkpoint and the definition of a metric differ from "
        "paper to paper, so these rows have no rank and mark no best value."
    )
    rows = reported_rows(dataset, shown)
    metrics = [metric for metric in shown if any(metric in row.values for row in rows)]
    data = pd.DataFrame(
        {
            "method": [row.method for row in rows],
            "network": [row.network for row in rows],
            "split": [f"{row.split} {row.condition}".strip() for row in rows],
            **{
                f"{metric} {arrow(metric)}": [
                    float(row.values[metric].value) if metric in row.values else None
                    for row in rows
                ]
                for metric in metrics
            },
            "source": [f"{row.source}, {row.table_or_file}" for row in rows],
            "computed by": [PROTOCOLS.get(row.protocol, row.protocol) for row in rows],
            "note": [" ".join(row.notes) for row in rows],
            "address": [visit.link(row.address) for row in rows],
        }
    )
    st.dataframe(
        data,
        hide_index=True,
        placeholder="–",
        height=35 * (min(len(data), 10) + 1) + 3,
        column_config={
            "method": st.column_config.TextColumn(pinned=True, width=150),
            "address": st.column_config.LinkColumn(display_text="open", width=70),
            **{
                f"{metric} {arrow(metric)}": st.column_config.NumberColumn(format="%.2f")
                for metric in metrics
            },
        },
        alt="Published figures with their sources",
    )
