"""The table over all data sets: only methods that were run on every one have a rank."""

import dataclasses

import pandas as pd
import streamlit as st

from harness.types import Run
from leaderboard.cells import differing_options, in_unit, network, printable
from leaderboard.overview import in_catalogue_order
from leaderboard.pages import address, visit
from leaderboard.ranks import Standing
from leaderboard.records import Snapshot
from leaderboard.rules import KINDS, Rule
from leaderboard.selection import PAGE


def draw(found: Snapshot) -> None:
    """Draws the table and its controls."""
    left, right = st.columns([2, 5])
    with left:
        kind = address.one_of("rule", "Rank by", list(KINDS), default="mean rank")
    with right:
        typed = address.text("find", "Find", placeholder="method, network, option")
    rule = Rule.of("pixel", kind)
    standings = visit.standings(found, rule)
    st.caption(visit.plain(rule.stated))
    st.caption(
        "Ranked are methods with every one of these metrics on every data set that has a ranking, "
        "among themselves only. A missing result is shown as – and gives no rank."
    )
    words = typed.casefold().split()
    every = zip(standings, _options(standings), strict=True)
    lines = [line for line in every if _holds(line, words)]
    if not lines:
        st.info(f"None of the {len(standings)} methods fits. Empty the search field.")
        return
    at = address.page_number("page", -(-len(lines) // PAGE))
    window = lines[PAGE * (at - 1) : PAGE * at]
    data = _data(window, rule)
    st.dataframe(
        data,
        hide_index=True,
        height=35 * (min(len(window), 25) + 1) + 3,
        column_config={
            "method": st.column_config.TextColumn(pinned=True, width=150),
            "rank": st.column_config.NumberColumn(pinned=True, width=54),
            rule.title: st.column_config.NumberColumn(format="%.2f"),
            **{
                name: st.column_config.NumberColumn(format="%.2f")
                for name in data.columns
                if name.startswith(f"{rule.metrics[0]} ")
            },
        },
        placeholder="–",
        alt="Methods over all data sets",
    )
    st.caption(
        f"{len(lines)} methods; per data set the {rule.metrics[0]} in per cent. Choose a data set "
        "above to see intervals and the runs themselves."
    )


def _options(standings: tuple[Standing, ...]) -> list[str]:
    # The data set's part in the comparison of options is played by one name for all.
    return differing_options(
        [dataclasses.replace(_run(s), dataset="all", options=s.options) for s in standings]
    )


def _run(standing: Standing) -> Run:
    return next(iter(standing.rows.values())).run


def _holds(line: tuple[Standing, str], words: list[str]) -> bool:
    standing, options = line
    text = f"{standing.method} {standing.options.get('network') or ''} {options}".casefold()
    return all(word in text for word in words)


def _data(lines: list[tuple[Standing, str]], rule: Rule) -> pd.DataFrame:
    datasets = in_catalogue_order(list({name for standing, _ in lines for name in standing.rows}))
    metric = rule.metrics[0]
    data = pd.DataFrame(
        {
            "method": [printable(standing.method) for standing, _ in lines],
            "rank": [standing.place for standing, _ in lines],
            "network": [printable(network(_run(standing))) for standing, _ in lines],
            "options": [printable(options) for _, options in lines],
            rule.title: [standing.score for standing, _ in lines],
            **{
                f"{metric} {printable(name)}": [
                    in_unit(standing.rows[name].run, metric) if name in standing.rows else None
                    for standing, _ in lines
                ]
                for name in datasets
            },
        }
    ).round(2)
    data["rank"] = data["rank"].astype("Int64")
    return data
