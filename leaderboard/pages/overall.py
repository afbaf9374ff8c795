"""The table over all data sets: only methods that were run on every one have a rank."""

import pandas as pd
import streamlit as st

from leaderboard.cells import differing_options, in_unit, network, printable
from leaderboard.pages import address, visit
from leaderboard.ranks import Standing
from leaderboard.records import Snapshot
from leaderboard.rules import KINDS, Rule
from leaderboard.selection import PAGE


def draw(found: Snapshot) -> None:
    """Draws the table and its controls."""
    left, _ = st.columns([2, 5])
    with left:
        kind = address.one_of("rule", "Rank by", list(KINDS), default="mean rank")
    rule = Rule.of("pixel", kind)
    standings = visit.standings(found, rule)
    st.caption(visit.plain(rule.stated))
    st.caption(
        "Ranked are methods with every one of these metrics on every data set that has a ranking, "
        "among themselves only. A missing result is shown as – and gives no rank."
    )
    text = address.text("find", "Find", placeholder="method, network, option").casefold().split()
    lines = [line for line in zip(standings, _options(standings), strict=True) if _holds(line, text)]
    if not lines:
        st.info(f"None of the {len(standings)} methods fits. Empty the search field.")
        return
    at = address.page_number("page", -(-len(lines) // PAGE))
    window = lines[PAGE * (at - 1) : PAGE * at]
    st.dataframe(
        _data(window, rule),
        hide_index=True,
        height=36 * (min(len(window), 25) + 1) + 4,
        column_config={
            "method": st.column_config.TextColumn(pinned=True, width=150),
            "rank": st.column_config.NumberColumn(pinned=True, width=54),
            rule.title: st.column_config.NumberColumn(format="%.2f"),
        },
        placeholder="–",
        alt="Methods over all data sets",
    )
    st.caption(f"{len(lines)} methods; per data set the AP in per cent. Choose one to see more.")


def _options(standings: tuple[Standing, ...]) -> list[str]:
    runs = [next(iter(standing.rows.values())).run for standing in standings]
    return differing_options(runs)


def _holds(line: tuple[Standing, str], words: list[str]) -> bool:
    standing, options = line
    text = f"{standing.method} {standing.options.get('network') or ''} {options}".casefold()
    return all(word in text for word in words)


def _data(lines: list[tuple[Standing, str]], rule: Rule) -> pd.DataFrame:
    datasets = sorted({name for standing, _ in lines for name in standing.rows})
    metric = rule.metrics[0]
    data = pd.DataFrame(
        {
            "method": [printable(standing.method) for standing, _ in lines],
            "rank": [standing.place for standing, _ in lines],
            "network": [
                printable(network(next(iter(standing.rows.values())).run)) for standing, _ in lines
            ],
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
