"""The command on the segments of a finished run: meta."""

from pathlib import Path

import click

from harness.commands.options import format_option, out_option, root_option
from harness.commands.printing import command_line
from harness.commands.scoring import settings_of
from harness.progress import Progress


def _finite(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    if value is not None and not abs(value) < float("inf"):
        raise click.BadParameter(f"{value} is no threshold; give a number.", ctx, param)
    return value


@click.command()
@click.argument("run_name", metavar="RUN")
@click.option(
    "--threshold",
    type=float,
    callback=_finite,
    help="Segments are pixels of at least this score [default: 0.7, or the method's own].",
)
@click.option(
    "--classifier", type=click.Choice(["logistic", "mlp"]), default="logistic", show_default=True
)
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    default=10,
    show_default=True,
    help="Of whole frames, beside the published leave-one-out.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the classifier mlp.")
@click.option(
    "--set", "settings", multiple=True, metavar="K=V",
    help="Where weights lie now (weights, fitted …), or the device.",
)  # fmt: skip
@click.option("--again", is_flag=True, help="Make the report anew if it is there.")
@root_option
@out_option
@format_option
def meta(
    run_name: str,
    threshold: float | None,
    classifier: str,
    folds: int,
    seed: int,
    settings: tuple[str, ...],
    again: bool,
    data_root: Path | None,
    out: Path,
    form: str,
) -> None:
    """Which false segments of a run would meta classification remove? An oracle's; never ranks."""
    from harness import store
    from harness.meta import meta as meta_report
    from leaderboard.meta import formatted_report, meta_table

    run = store.find_run(out, run_name)
    with Progress() as progress:
        report = meta_report(
            out,
            run,
            threshold=threshold,
            classifier=classifier,
            folds=folds,
            seed=seed,
            settings=settings_of(settings),
            root=data_root,
            again=again,
            command=command_line(),
            progress=progress,
        )
    click.echo(formatted_report(report, form))
    if form == "table":
        for note in meta_table(report).notes:
            click.echo(note, err=True)
