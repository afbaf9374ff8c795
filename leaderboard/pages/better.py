"""Is A better than B here? The paired comparison of the runs, in words and as a table."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from harness.metrics.confidence import GRID_METRICS
from harness.types import Run
from leaderboard import duels
from leaderboard.duels import Duel
from leaderboard.pages import address, visit


def draw(shown: Mapping[str, Run]) -> None:
    """Draws the comparison of every pair of the runs, by their names."""
    metric = address.one_of("metric", "Metric", GRID_METRICS, buttons=True)
    key = tuple((run.dataset, run.id, run.finished) for run in shown.values())
    with st.spinner("Drawing frames anew, 2,000 times …"):
        found = _duels(key, metric, tuple(shown.values()))
    if not found:
        st.info(f"{metric} is not defined for two of these runs, so nothing can be compared.")
        return
    by_id = {run.id: name for name, run in shown.items()}
    for duel in found[:3]:
        st.markdown(_sentence(duel, by_id))
    data = pd.DataFrame(
        {
            "A": [by_id[duel.first.id] for duel in found],
            "B": [by_id[duel.second.id] for duel in found],
            f"A − B, {metric}": [100 * duel.comparison.difference for duel in found],
            "95 % low": [100 * duel.comparison.low for duel in found],
            "95 % high": [100 * duel.comparison.high for duel in found],
            "p": [duel.comparison.p for duel in found],
            "p (Holm)": [duel.p for duel in found],
            "better": [by_id[duel.winner.id] if duel.winner else "not shown" for duel in found],
        }
    )
    number = st.column_config.NumberColumn(format="%+.2f")
    p = st.column_config.NumberColumn(format="%.4f")
    st.dataframe(
        data,
        hide_index=True,
        height=35 * (len(data) + 1) + 3,
        column_config={
            f"A − B, {metric}": number,
            "95 % low": number,
            "95 % high": number,
            "p": p,
            "p (Holm)": p,
        },
        alt="Paired differences of the runs",
    )
    few = " That is few: take it as a hint." if found[0].comparison.indicative else ""
    st.caption(
        f"Paired bootstrap: {found[0].comparison.units} frames or scenes drawn "
        f"{found[0].comparison.resamples} times, the same for both runs, in points of per cent. "
        f"p (Holm) is corrected for the number of pairs, {len(found)}.{few} It says how far the "
        "draw of frames may mislead, not another training run."
    )


def _sentence(duel: Duel, names: Mapping[str, str]) -> str:
    first, second = (f"**{visit.plain(names[run.id])}**" for run in (duel.first, duel.second))
    by = f"{abs(100 * duel.comparison.difference):.2f} points of {duel.metric}"
    p = f"p = {duel.p:.4f}" if duel.p >= 0.0001 else "p < 0.0001"
    if duel.winner is None:
        return f"{first} and {second} differ by {by}, which may be chance ({p})."
    better, worse = (first, second) if duel.winner is duel.first else (second, first)
    hint = ", but the frames are few" if duel.comparison.indicative else ""
    return f"{better} is better than {worse} by {by} ({p}{hint})."


@st.cache_resource(max_entries=64, show_spinner=False)
def _duels(
    key: tuple[tuple[str, str, str], ...], metric: str, _runs: tuple[Run, ...]
) -> tuple[Duel, ...]:
    return duels.duels(visit.settings().runs, _runs, metric)
