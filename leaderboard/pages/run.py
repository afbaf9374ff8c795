"""Page 4: everything that one run records: numbers, options, provenance, frames, files."""

import io
from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from harness import store
from harness.conditions import clean_run, notes
from harness.errors import HarnessError
from harness.metrics import FAMILIES, METRICS
from harness.metrics.flavours import FLAVOURS
from harness.types import Run
from leaderboard.cells import (
    MISSING,
    interval_text,
    is_oracle,
    number_text,
    options_shown,
    printable,
)
from leaderboard.conditions import heat_tables
from leaderboard.curves import load_curve
from leaderboard.facts import command, facts
from leaderboard.gallery import FrameTable
from leaderboard.meta import COLUMNS, meta_tables
from leaderboard.pages import address, plots, visit
from leaderboard.records import Snapshot
from leaderboard.rules import described
from leaderboard.site import FAMILY_TITLES


def page() -> None:
    """Draws the page."""
    address.begin("run")
    st.title("Run", anchor=False)
    found = visit.runs()
    left, right = st.columns([1, 2])
    with left:
        dataset = address.one_of("dataset", "Data set", visit.datasets(found))
    runs = {run.id: run for run in found.of(dataset)}
    names = visit.names(list(runs.values()))
    with right:
        run = runs[address.one_of("run", "Run", list(runs), show=lambda one: names.get(one, one))]
    _head(run)
    tabs = st.tabs(["Numbers", "How it was made", "Frames", "Curve", "Files"])
    with tabs[0]:
        _conditions(run)
        _numbers(run)
        _meta(run)
    with tabs[1]:
        _made(run, found)
    for tab, part in zip(tabs[2:], (_frames, _curve, _files), strict=True):
        with tab:
            try:
                part(run)
            except HarnessError as error:
                st.info(visit.plain(str(error).replace(str(visit.settings().runs), "runs")))


def _head(run: Run) -> None:
    st.subheader(visit.plain(f"{run.method} on {run.dataset}"), anchor=False)
    with st.container(horizontal=True, gap="large"):
        for metric in ("AP", "AUROC", "FPR95", "bestF1"):
            if metric in run.metrics:
                st.metric(
                    metric,
                    number_text(run, metric),
                    delta=interval_text(run, metric) or None,
                    delta_color="off",
                    delta_arrow="off",
                    help=METRICS[metric].meaning,
                )
    marks = ", ".join(run.flags)
    if marks:
        st.warning(visit.plain(f"Does not rank: {marks}."))
    st.caption("Make it again:")
    st.code(" ".join(command(run, (run,))), language="bash", wrap_lines=True)
    if visit.link(run.paper):
        st.link_button("Paper", run.paper, icon=":material/article:")
    elif run.paper:
        st.text(f"Paper: {printable(run.paper)}")


def _numbers(run: Run) -> None:
    for family in (*FAMILIES, "flavours"):
        names = [
            name
            for name in (METRICS if family != "flavours" else FLAVOURS)
            if (name in run.metrics or name in run.undefined)
            and (family == "flavours" or METRICS[name].family == family)
        ]
        if not names:
            continue
        title = FAMILY_TITLES.get(family, "As others compute it")
        st.subheader(title, anchor=False)
        known = [described(name) for name in names]
        st.dataframe(
            pd.DataFrame(
                {
                    "metric": names,
                    "value": [number_text(run, name) for name in names],
                    "95 % interval": [interval_text(run, name) for name in names],
                    "what it is": [
                        f"{one.title}{' (oracle)' if is_oracle([run], one.name) else ''}"
                        for one in known
                    ],
                    "why undefined": [printable(run.undefined.get(name, "")) for name in names],
                }
            ),
            hide_index=True,
            height=35 * (min(len(names), 12) + 1) + 3,
            column_config={
                "value": st.column_config.TextColumn(alignment="right"),
                "95 % interval": st.column_config.TextColumn(alignment="right"),
            },
            alt=title,
        )


def _meta(run: Run) -> None:
    """What removal by meta classifiers makes of the run's segments, where it was reported."""
    for table in meta_tables(visit.settings().runs, run):
        st.subheader(table.title, anchor=False)
        with st.container(horizontal=True):
            if table.badge:
                st.badge(table.badge, color="orange")
            st.caption(visit.plain(table.about))
        st.dataframe(
            pd.DataFrame(table.rows, columns=list(table.columns)),
            hide_index=True,
            column_config={
                name: st.column_config.TextColumn(
                    help=says, alignment="right" if at else "left", pinned=not at
                )
                for at, (name, says) in enumerate(COLUMNS.items())
            },
            alt=table.title,
        )
        st.caption(" ".join(table.notes))


def _conditions(run: Run) -> None:
    """A table by corruption and severity for each metric that has one; greener is better."""
    for table in heat_tables(run):
        name = f"{table.metric} by condition"
        st.subheader(name, anchor=False)
        goodness = {title: [cell.goodness for cell in cells] for title, cells in table.rows}
        texts = {printable(title): [cell.text for cell in cells] for title, cells in table.rows}
        data = pd.DataFrame.from_dict(texts, orient="index", columns=list(table.columns))
        colours = pd.DataFrame(
            [[_colour(good) for good in row] for row in goodness.values()],
            index=data.index,
            columns=data.columns,
        )
        st.dataframe(
            data.style.apply(lambda _, colours=colours: colours, axis=None),
            height=35 * (len(data) + 1) + 3,
            alt=name,
        )
    clean = clean_run(run, visit.runs().runs)
    for note in notes(run, clean):
        st.caption(visit.plain(note))


def _colour(goodness: float | None) -> str:
    if goodness is None:
        return ""
    return f"background-color: rgba(0, 158, 115, {0.04 + 0.5 * goodness:.2f})"


def _made(run: Run, found: Snapshot) -> None:
    its = visit.marks(found)[run.dataset, run.id]
    lines = {fact.what: fact.full or fact.text for fact in facts(run, (run,), its)}
    shown_elsewhere = ("more ", "as others", "undefined", "options", "sources", "versions")
    _pairs("What is known", {k: v for k, v in lines.items() if not k.startswith(shown_elsewhere)})
    _pairs("Options", options_shown(run))
    _card(run)
    for name in ("code", "weights", "machine", "versions", "threshold", "sources"):
        known = run.provenance.get(name)
        if isinstance(known, Mapping) and known:
            _pairs(name.capitalize(), known)
    if visit.pictures_allowed() and run.provenance.get("command"):
        st.caption("The command as it was given:")
        st.code(printable(str(run.provenance["command"])), language="bash", wrap_lines=True)


def _card(run: Run) -> None:
    """What a submission's card says, and what it claims beside what the board computed."""
    card, claims = (run.provenance.get(name) for name in ("card", "claims"))
    if isinstance(card, Mapping) and card:
        said = {k: v for k, v in card.items() if v not in ("", None) and k != "claimed"}
        _pairs("Card", {key: _in_words(found) for key, found in said.items()})
    if isinstance(claims, Mapping) and claims:
        st.subheader("Claimed and recomputed", anchor=False)
        found = {k: v for k, v in claims.items() if isinstance(v, Mapping)}
        data = pd.DataFrame({"metric": [printable(str(name)) for name in found]})
        for name in ("claimed", "recomputed", "agrees"):
            data[name] = [printable(_in_words(facts.get(name))) for facts in found.values()]
        st.dataframe(data, hide_index=True, alt="Claimed and recomputed metrics")


def _in_words(found: object) -> str:
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, list):
        return ", ".join(map(str, found)) or "none"
    if isinstance(found, float):
        return f"{found:.2f}"
    return MISSING if found is None else str(found)


def _pairs(title: str, pairs: Mapping[str, Any]) -> None:
    st.subheader(title, anchor=False)
    lines = [(printable(str(key)), printable(str(value))) for key, value in pairs.items()]
    st.dataframe(
        pd.DataFrame(lines, columns=["what", "value"]),
        hide_index=True,
        height=35 * (min(len(lines), 12) + 1) + 3,
        column_config={"what": st.column_config.TextColumn(width=200)},
        alt=title,
    )


def _frames(run: Run) -> None:
    table = FrameTable.load(visit.settings().runs, run)
    data = pd.DataFrame(table.columns)
    for name in ("AP", "FPR"):
        if name in data:
            data[name] = 100 * data[name].astype(float)
    data["id"] = [printable(str(frame)) for frame in data["id"]]
    number = st.column_config.NumberColumn(format="%.2f")
    st.dataframe(
        data,
        hide_index=True,
        placeholder="–",
        column_config={
            "id": st.column_config.TextColumn("frame", pinned=True),
            "AP": number,
            "FPR": st.column_config.NumberColumn("FPR95", format="%.2f"),
            "seconds": st.column_config.NumberColumn(format="%.3f"),
        },
        alt="The frames of the run",
    )
    st.caption("AP and FPR95 of each frame alone, in per cent; pooled metrics are not their mean.")
    text = io.StringIO()
    # A spreadsheet takes a cell that begins so for a formula.
    data["id"] = [f"'{name}" if name[:1] in tuple("=+-@") else name for name in data["id"]]
    data.to_csv(text, index=False)
    st.download_button(
        "Frames as CSV",
        text.getvalue(),
        file_name=f"{run.id}-frames.csv",
        mime="text/csv",
        on_click="ignore",
    )
    if not visit.withheld(run.dataset, [run]) and st.button("Look at the frames"):
        visit.turn_to("frames", {"dataset": run.dataset, "methods": [run.id]})


def _curve(run: Run) -> None:
    if run.conditions and run.provenance.get("clean"):
        st.info("The numbers are means over conditions; a run on one of them has a curve.")
        return
    curve = {printable(run.method): load_curve(visit.settings().runs, run).thinned()}
    left, right = st.columns(2)
    with left:
        titles = ("recall (TPR), %", "precision, %")
        st.altair_chart(plots.lines(curve, "tpr", "precision", titles=titles), alt="Precision")
    with right:
        st.altair_chart(plots.lines(curve, "fpr", "tpr", titles=("FPR, %", "TPR, %")), alt="ROC")


def _files(run: Run) -> None:
    folder = visit.folder(run)
    files = sorted(path for path in folder.iterdir() if path.is_file())
    lines = [(path.name, f"{path.stat().st_size / 1e3:,.1f} kB") for path in files]
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        inside = [path for path in part.iterdir() if path.is_file()]
        size = sum(path.stat().st_size for path in inside)
        lines.append((f"{part.name}/ ({len(inside)} files)", f"{size / 1e3:,.1f} kB"))
    st.dataframe(
        pd.DataFrame(lines, columns=["file", "size"]),
        hide_index=True,
        column_config={"size": st.column_config.TextColumn(alignment="right")},
        alt="Files of the run",
    )
    st.caption(visit.plain(f"In the folder {run.dataset}/{run.id} of the runs."))
    if visit.pictures_allowed():  # the record names folders of the machine that made it
        st.download_button(
            "run.json", store.encoded(run), file_name=f"{run.id}.json", on_click="ignore"
        )


if __name__ == "__main__":
    page()
    address.share()
