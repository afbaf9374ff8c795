"""The rows of the static page as data: one script a data set, which the page loads on demand.

Scripts and not JSON files, since a page opened from disk may load the one and not the other. They
hold literals only, and the page shows every string of them as text.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from harness.metrics import FAMILIES, OFFICIAL
from harness.types import Run
from leaderboard.cells import interval_text, number_text, printable, spread_text
from leaderboard.overview import Competitor, Overview
from leaderboard.ranks import Rule, arrow, described, value
from leaderboard.reported import PROTOCOLS, ReportedRow, reported_rows
from leaderboard.sections import Entry, Family, Line, Section, anchor


def section_script(section: Section) -> str:
    """The script `data/<anchor>.js` of a data set."""
    texts = _Texts()
    return _script(
        {
            "id": section.anchor,
            "dataset": section.dataset,
            "withheld": section.withheld,
            "families": [_family(family) for family in section.families],
            "entries": [_entry(entry, section, texts) for entry in section.entries],
            "texts": texts.found,
        }
    )


def overview_script(overviews: Sequence[Overview]) -> str:
    """The script `data/overall.js` of the overall tables."""
    return _script({"id": "overall", "families": [_overview(one) for one in overviews]})


def reported_script(datasets: Sequence[str]) -> str:
    """The script `data/reported.js`: the published figures on data sets that nothing ran on here.

    Args:
        datasets: names of the catalogue or of UNLISTED, in the order of the rows.
    """
    metrics = [metric for family in FAMILIES for metric in OFFICIAL[family]]
    rows = [row for dataset in datasets for row in reported_rows(dataset, metrics)]
    columns = [metric for metric in metrics if any(metric in row.values for row in rows)]
    return _script(
        {
            "id": "reported",
            "dataset": "other data sets",
            "families": [
                {
                    "name": "reported",
                    "columns": [_column(metric, ()) for metric in columns],
                    "reported": [{**_reported(row, columns), "set": row.dataset} for row in rows],
                }
            ],
        }
    )


def _script(payload: dict[str, Any]) -> str:
    """`payload` as the call of the page's function `board`; without control and direction marks."""
    text = json.dumps(_shown(payload), ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return f"board({text});\n"


def _shown(found: Any) -> Any:
    """`found` with every string in it printable: names come from anybody."""
    if isinstance(found, str):
        return printable(found)
    if isinstance(found, dict):
        return {printable(str(key)): _shown(item) for key, item in found.items()}
    if isinstance(found, list | tuple):
        return [_shown(item) for item in found]
    return found


class _Texts:
    """Long texts by number, each once: versions and machines are those of many runs."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The number of the text, which is noted where it is new."""
        if text not in self._numbers:
            self._numbers[text] = len(self.found)
            self.found.append(text)
        return self._numbers[text]


def _family(family: Family) -> dict[str, Any]:
    return {
        "name": family.name,
        "columns": [_column(metric, family.rules[0].metrics) for metric in family.columns],
        "rules": [_rule(rule) for rule in family.rules],
        "tables": [
            {"caption": caption, "lines": [_line(line) for line in lines]}
            for caption, lines in family.tables
        ],
        "unranked": [_line(line) for line in family.unranked],
        "reported": [_reported(row, family.columns) for row in family.reported],
    }


def _column(metric: str, ranking: Sequence[str]) -> dict[str, Any]:
    known = described(metric)
    oracle = getattr(known, "oracle", False)
    return {
        "name": metric,
        "sign": arrow(metric),
        "title": known.title + (", an oracle's" if oracle else ""),
        "ranks": metric in ranking,
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "title": rule.title,
        "stated": rule.stated,
        # The score of a single metric is its column already.
        "score": rule.kind != "single",
        "digits": 2 if rule.kind == "mean rank" else 1,
        "best": "descending" if rule.higher_is_better else "ascending",
    }


def _line(line: Line) -> list[Any]:
    return [line.entry, [_short(s) for s in line.standings], sorted(line.best), sorted(line.second)]


def _short(standing: tuple[int | None, float | None]) -> list[float | None]:
    place, score = standing
    return [place, None if score is None else round(score, 4)]


def _entry(entry: Entry, section: Section, texts: _Texts) -> dict[str, Any]:
    run = entry.run
    columns = [metric for family in section.families for metric in family.columns]
    found: dict[str, Any] = {
        "id": run.id,
        "method": run.method,
        "network": entry.network,
        "options": entry.options,
        "frames": run.frames,
        "ms": entry.milliseconds and round(entry.milliseconds, 2),
        "flags": run.flags,
        "marks": [[mark.name, texts.number(mark.meaning), mark.caution] for mark in entry.marks],
        "values": {m: cell for m in columns if (cell := _cell(run, m, entry.spreads.get(m)))},
        "facts": [
            [texts.number(f.what), texts.number(f.text), texts.number(f.full) if f.full else -1]
            for f in entry.facts
        ],
        "command": [texts.number(word) for word in entry.command],
        "paper": run.paper,
    }
    if len(entry.runs) > 1:
        found["seeds"] = [
            {
                "id": one.id,
                "seed": str(one.options.get("seed", "")),
                "values": {m: cell for m in columns if (cell := _cell(one, m, None))},
            }
            for one in entry.runs
        ]
    if entry.heats:
        found["heats"] = [
            {
                "title": f"{heat.metric} {arrow(heat.metric)} by condition, %",
                "columns": heat.columns,
                "rows": [
                    [
                        name,
                        [
                            [c.text, *([] if c.goodness is None else [round(c.goodness, 2)])]
                            for c in cells
                        ],
                    ]
                    for name, cells in heat.rows
                ],
            }
            for heat in entry.heats
        ]
    if entry.meta:
        found["meta"] = [asdict(table) for table in entry.meta]
    if entry.strips:
        found["strips"] = [asdict(strip) for strip in entry.strips]
    return found


def _cell(run: Run, metric: str, spread: float | None) -> list[Any]:
    """[what the column is sorted by, text, spread, interval, whether it is a hint only], or []."""
    found = value(run, metric)
    if found is None:
        return []
    interval = run.intervals.get(metric)
    cell = [round(found, 7), number_text(run, metric), spread_text(metric, spread)]
    if interval is None:
        return cell
    return [*cell, interval_text(run, metric), int(interval.indicative)]


def _reported(row: ReportedRow, columns: Sequence[str]) -> dict[str, Any]:
    return {
        "method": row.method,
        "network": row.network,
        "part": ", ".join(filter(None, (row.split, row.condition))),
        "protocol": [row.protocol, PROTOCOLS[row.protocol]],
        "source": row.source,
        "address": row.address,
        "place": row.table_or_file,
        "notes": "; ".join(row.notes),
        "values": {
            metric: [
                float(figure.value),
                str(figure.value),
                "" if figure.spread is None else f"± {figure.spread}",
                "" if figure.metric == metric else figure.metric,
            ]
            for metric in columns
            if (figure := row.values.get(metric))
        },
    }


def _overview(overview: Overview) -> dict[str, Any]:
    return {
        "name": overview.family,
        "datasets": [[dataset, anchor(dataset)] for dataset in overview.datasets],
        "columns": [_column(metric, overview.columns) for metric in overview.columns],
        "rules": [_rule(rule) for rule in overview.rules],
        "lines": [_competitor(one, overview) for one in overview.competitors],
    }


def _competitor(one: Competitor, overview: Overview) -> dict[str, Any]:
    standing = one.standing
    cells: list[Any] = []
    for dataset in overview.datasets:
        row = standing.rows.get(dataset)
        for metric in overview.columns:
            if row is None or (found := value(row.run, metric)) is None:
                cells.append(0)
                continue
            mark = "best" if metric in row.best else "second" if metric in row.second else ""
            spread = spread_text(metric, row.spreads.get(metric))
            cells.append([round(found, 7), number_text(row.run, metric), spread, mark])
    return {
        "method": standing.method,
        "network": str(standing.options.get("network") or ""),
        "options": one.options,
        "cells": cells,
        "sets": len(standing.rows),
        "standings": [_short(each) for each in one.standings],
    }
