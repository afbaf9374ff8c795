"""What can be done with the rows of a board: compare, open, export; and what their flags say."""

import re
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from leaderboard.cells import options_shown
from leaderboard.pages import visit
from leaderboard.rows import Row
from leaderboard.selection import Marks
from leaderboard.site import FLAGS
from leaderboard.table import FORMATS

EXPORTS = {
    "csv": ("CSV", "csv", "text/csv"),
    "latex": ("LaTeX", "tex", "text/x-tex"),
    "markdown": ("Markdown", "md", "text/markdown"),
    "json": ("JSON", "json", "application/json"),
}
"""Format to its title, the file's ending and its kind."""


def draw(chosen: Sequence[Row], rows: Sequence[Row], shown: Sequence[str], dataset: str) -> None:
    """Draws the buttons below a board.

    Args:
        chosen: the rows that the reader selected.
        rows: all rows that fit the filters, in the order shown.
        shown: the metrics that have a column.
        dataset: on which the runs are.
    """
    ids = [row.run.id for row in chosen]
    lead = [row.run.id for row in rows if row.place][:2]
    pair = ids or lead  # "is the lead significant?" is one click away
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(
            "Compare" if ids else "Compare the first two",
            key="compare",
            disabled=not 2 <= len(pair) <= 6,
            help="Select 2 to 6 rows to compare others.",
        ):
            visit.turn_to("compare", {"dataset": dataset, "runs": pair})
        if st.button("Open run", disabled=len(ids) != 1, help="Select one row."):
            visit.turn_to("run", {"dataset": dataset, "run": ids[0]})
        if st.button("Look at frames", disabled=not 1 <= len(ids) <= 4, help="Select 1 to 4 rows."):
            visit.turn_to("frames", {"dataset": dataset, "methods": ids})
        with st.popover("Export"):
            st.caption("All rows that fit, in this order, with these columns.")
            plain_name = re.sub(r"[^\w-]", "_", dataset)
            public = [_published(row) for row in rows]
            for name, (title, ending, kind) in EXPORTS.items():
                st.download_button(
                    title,
                    FORMATS[name](public, shown) + "\n",
                    file_name=f"board-{plain_name}.{ending}",
                    mime=kind,
                    on_click="ignore",
                    key=f"export-{name}",
                )


def flags(rows: Sequence[Row], marks: Marks) -> None:
    """What the flags and marks of the rows say."""
    said = {
        name: FLAGS.get(name.partition(":")[0], "Does not rank.")
        for row in rows
        for name in row.run.flags
    }
    said |= {
        mark.name: mark.meaning
        for row in rows
        for mark in marks.get((row.run.dataset, row.run.id), ())
    }
    if said:
        with st.expander("What the flags and levels say"):
            for name, meaning in sorted(said.items()):
                st.markdown(f"**{visit.plain(name)}**: {visit.plain(meaning)}")


def _published(row: Row) -> Row:
    """The row without the folders of the machine that its run was made on."""
    return replace(row, run=replace(row.run, options=options_shown(row.run)))
