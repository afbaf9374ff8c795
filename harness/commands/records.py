"""Commands on what is there: list, show, compare, invalidate, delete, doctor."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from harness.commands.options import (
    flavours_option,
    format_option,
    intervals_option,
    metrics_option,
    out_option,
    root_option,
)
from harness.commands.printing import print_rows, tell

Row = Mapping[str, Any]  # the title of a column -> text, number or None


@click.command(name="list")
@click.argument("what", type=click.Choice(["methods", "networks", "datasets", "metrics", "runs"]))
@out_option
@metrics_option
@flavours_option
@intervals_option
@format_option
def list_(what: str, out: Path, metrics: str, flavours: bool, intervals: bool, form: str) -> None:
    """Methods, networks, data sets, metrics or saved runs, one a line."""
    if what == "runs":
        from harness.store import load_runs

        print_rows(load_runs(out, damaged=tell), form, metrics, flavours, intervals)
        return
    click.echo(_formatted(_listed(what), form))


@click.command()
@click.argument("run_name", metavar="RUN")
@out_option
@metrics_option
@flavours_option
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
def show(run_name: str, out: Path, metrics: str, flavours: bool, form: str) -> None:
    """Everything that one saved run records: numbers, options, provenance, frames."""
    from harness import store
    from harness.describe import run_description

    found = store.find_run(out, run_name)
    if form == "json":
        click.echo(store.encoded(found), nl=False)
    else:
        from leaderboard.table import columns

        shown = columns([found], metrics, flavours=flavours)
        table, folder = store.frame_table(out, found), store.run_folder(out, found)
        click.echo(run_description(found, table, folder, shown))
        if found.conditions:
            click.echo()
            print_rows([found], form, metrics, False, False, out=out)


@click.command()
@click.argument("run_names", metavar="RUN RUN...", nargs=-1, required=True)
@out_option
def compare(run_names: tuple[str, ...], out: Path) -> None:
    """Is A better than B? Paired differences over the same frames, with intervals and p values."""
    from harness import store
    from harness.compare import compare_runs, comparison_table

    if len(run_names) < 2:
        raise click.UsageError("give two runs or more.")
    runs = [store.find_run(out, name) for name in run_names]
    click.echo(comparison_table(compare_runs(out, runs)))


@click.command()
@click.argument("run_name", metavar="RUN")
@click.option("--why", required=True, help="The reason, shown wherever the run is.")
@out_option
def invalidate(run_name: str, why: str, out: Path) -> None:
    """Retire a run that was found to be wrong: it stays readable and never ranks again."""
    import dataclasses

    from harness import store

    found = store.find_run(out, run_name)
    flags = tuple(dict.fromkeys((*found.flags, "invalidated")))
    facts = {**found.provenance, "invalidated": why}
    store.replace_record(out, dataclasses.replace(found, flags=flags, provenance=facts))
    click.echo(f"{found.dataset}/{found.id}: invalidated ({why})")


@click.command()
@click.argument("run_name", metavar="RUN")
@out_option
@click.confirmation_option(prompt="Delete the run and everything that it saved?")
def delete(run_name: str, out: Path) -> None:
    """Delete a run with everything that it saved."""
    from harness import store

    found = store.find_run(out, run_name)
    store.delete(out, found)
    click.echo(f"{found.dataset}/{found.id}: deleted")


@click.command()
@root_option
@out_option
def doctor(data_root: Path | None, out: Path) -> None:
    """What is installed, which device, which data, what is missing."""
    from harness.describe import doctor_report

    click.echo(doctor_report(data_root, out))


def _listed(what: str) -> Sequence[Row]:
    """A row for each method, network, data set or metric, with its name and title at least."""
    if what == "networks":
        from harness.describe import network_rows

        return network_rows(tell)
    if what == "methods":
        from harness.describe import method_lines

        pairs = method_lines()
    elif what == "datasets":
        from harness.data import corrupted_names, dataset_names, entry_of

        names = (*dataset_names(), *corrupted_names())
        pairs = [(name, entry.title) for name in names if (entry := entry_of(name))]
    else:
        from harness.metrics import METRICS

        pairs = [(name, metric.title) for name, metric in METRICS.items()]
    return [{"name": name, "title": title} for name, title in pairs]


def _formatted(rows: Sequence[Row], form: str) -> str:
    """The rows as text without a final line break: table, markdown, csv, json or latex.

    Csv and json have every column; the others leave out those without any value.
    """
    import csv
    import io
    import json

    from leaderboard.tabular import tabular
    from leaderboard.text import cell_text

    columns = list(rows[0])
    if form == "json":
        return json.dumps(rows, indent=2, sort_keys=True, ensure_ascii=False)
    if form == "csv":
        out = io.StringIO()
        write = csv.writer(out, lineterminator="\n").writerow
        write(columns)
        for row in rows:
            write(["" if row[c] is None else cell_text(str(row[c])) for c in columns])
        return out.getvalue().removesuffix("\n")
    columns = [c for c in columns if any(row[c] is not None for row in rows)]
    numeric = [any(isinstance(row[c], int | float) for row in rows) for c in columns]
    lines = [columns, *([_cell(row[c]) for c in columns] for row in rows)]
    return tabular(lines, form, numeric=numeric)


def _cell(value: Any) -> str:
    """`value` as a reader wants it: 12345 as 12,345, nothing for None."""
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value)
