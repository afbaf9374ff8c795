"""Commands that make numbers: run, fit, evaluate, rescore."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.commands.options import (
    flavours_option,
    format_option,
    intervals_option,
    metrics_option,
    out_option,
    root_option,
    threshold_option,
)
from harness.commands.printing import (
    command_line,
    print_rows,
    tell,
    tell_undefined,
)
from harness.errors import HarnessError
from harness.progress import Progress

if TYPE_CHECKING:
    from harness.types import Run


@click.command()
@click.option(
    "--method",
    "-m",
    "methods",
    multiple=True,
    required=True,
    metavar="NAME",
    help="A method's name, or the path of its .py file; repeatable.",
)
@click.option(
    "--dataset",
    "-d",
    "datasets",
    multiple=True,
    metavar="NAME",
    help="A data set's name; repeatable [default: all labelled sets that are ready].",
)
@click.option("--network", metavar="NAME", help="The network that post-hoc methods read.")
@click.option("--weights", metavar="FILE", help="Its weights: a file, or hf://OWNER/NAME/FILE.")
@click.option("--device", metavar="NAME", help="cpu, cuda, cuda:1 … [default: auto].")
@click.option("--precision", metavar="NAME", help="float32, bfloat16 or float16.")
@click.option("--seed", "seeds", type=int, multiple=True, help="Repeatable: one run each.")
@click.option("--set", "settings", multiple=True, metavar="K=V", help="Any option of a method.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N frames; never ranks.")
@root_option
@out_option
@click.option("--keep-scores", is_flag=True, help="Keep the score maps: a valid submission.")
@threshold_option
@click.option("--again", is_flag=True, help="Score again even if the run is there.")
@metrics_option
@flavours_option
@intervals_option
@format_option
def run(
    methods: tuple[str, ...],
    datasets: tuple[str, ...],
    seeds: tuple[int, ...],
    settings: tuple[str, ...],
    limit: int | None,
    data_root: Path | None,
    out: Path,
    keep_scores: bool,
    again: bool,
    threshold: float | None,
    metrics: str,
    flavours: bool,
    intervals: bool,
    form: str,
    **named: str | None,
) -> None:
    """Score data sets with methods, evaluate the maps, save the runs, print the rows."""
    from harness.data import load_frames
    from harness.run import build
    from harness.run import run as run_methods
    from leaderboard.table import columns

    options = {key: value for key, value in named.items() if value is not None}
    options |= settings_of(settings)
    built = build(list(dict.fromkeys(methods)), options, seeds)
    chosen = list(dict.fromkeys(datasets)) or _ready_datasets(data_root)
    # What can be refused is refused now, not after hours of scoring.
    columns([], metrics)
    sets = [load_frames(name, root=data_root, limit=limit) for name in chosen]
    saved: list[Run] = []
    with Progress() as progress:
        for frames in sets:
            saved += run_methods(
                built,
                frames,
                out=out,
                again=again,
                keep_scores=keep_scores,
                threshold=threshold,
                command=command_line(),
                progress=progress,
            )
    print_rows(saved, form, metrics, flavours, intervals, out=out)
    tell_undefined(saved, metrics)
    for row in saved:
        if "hidden labels" in row.flags:
            click.echo(
                f"{row.dataset}: labels are hidden. The maps of {row.method} lie in "
                f"{out / row.dataset / row.id / 'scores'}: a submission for the benchmark's host.",
                err=True,
            )


@click.command()
@click.option("--method", required=True, metavar="NAME", help="What learns: sml, network:tiny …")
@click.option("--network", metavar="NAME", help="The network that the method reads.")
@click.option("--weights", metavar="FILE", help="Its weights: a file, or hf://OWNER/NAME/FILE.")
@click.option("--dataset", default="synthroad_train", show_default=True, metavar="NAME")
@click.option(
    "--outliers",
    default="",
    metavar="NAME",
    help="Proxy outliers, where it needs them: synthroad_outliers, coco …",
)
@click.option("--set", "settings", multiple=True, metavar="K=V", help="Any option of the method.")
@click.option("--steps", type=click.IntRange(min=1), help="Optimiser steps [default: its own].")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option(
    "--export",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write what was learned in the layout of the method's authors, too.",
)
@root_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("fits"),
    show_default=True,
    help="Folder of all fitted states.",
)
def fit(
    method: str,
    network: str | None,
    weights: str | None,
    dataset: str,
    outliers: str,
    settings: tuple[str, ...],
    steps: int | None,
    seed: int,
    device: str,
    export: Path | None,
    data_root: Path | None,
    out: Path,
) -> None:
    """Learn what a method or network must learn, and save its state; a killed fit resumes."""
    from harness.fit import export_fit
    from harness.fit import fit as fit_method

    named = {"network": network, "weights": weights}
    options: dict[str, str] = {key: value for key, value in named.items() if value is not None}
    options |= settings_of(settings)
    if export is not None:
        export_fit(method, options, None, export)  # what cannot be done is refused now
    with Progress() as progress:
        result = fit_method(
            method,
            options=options,
            dataset=dataset,
            outliers=outliers,
            steps=steps,
            seed=seed,
            device=device,
            root=data_root,
            out=out,
            progress=progress,
        )
    if export is not None:
        export_fit(method, options, result.folder, export)
    click.echo(result.weights)


@click.command()
@click.argument("scores", type=click.Path(file_okay=False, path_type=Path))
@click.option("--dataset", "-d", required=True, metavar="NAME", help="What was scored.")
@threshold_option
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N frames; never ranks.")
@click.option("--save", is_flag=True, help="Save the numbers as a run of kind submission.")
@click.option("--name", metavar="NAME", help="The method's name [default: the folder's].")
@root_option
@out_option
@metrics_option
@flavours_option
@intervals_option
@format_option
def evaluate(
    scores: Path,
    dataset: str,
    threshold: float | None,
    limit: int | None,
    save: bool,
    name: str | None,
    data_root: Path | None,
    out: Path,
    metrics: str,
    flavours: bool,
    intervals: bool,
    form: str,
) -> None:
    """Evaluate score maps on disk: one file per frame id, in the folder SCORES or SCORES/scores."""
    from harness.data import load_frames
    from harness.rescore import folder_run
    from leaderboard.table import columns

    columns([], metrics)
    frames = load_frames(dataset, root=data_root, limit=limit)
    found = folder_run(
        scores,
        frames,
        name=name or scores.resolve().name,
        threshold=threshold,
        out=out if save else None,
        command=command_line(),
    )
    print_rows([found], form, metrics, flavours, intervals, out=out)
    tell_undefined([found], metrics)


@click.command()
@click.argument("run_name", metavar="RUN", required=False)
@click.option("--all", "every", is_flag=True, help="Every run whose maps were kept.")
@click.option("--save", is_flag=True, help="Write the recomputed numbers into the run.")
@root_option
@out_option
def rescore(
    run_name: str | None, every: bool, save: bool, data_root: Path | None, out: Path
) -> None:
    """Recompute a run's numbers from its kept maps and say whether they agree."""
    from harness import store
    from harness.data import load_frames
    from harness.rescore import rescore as rescore_run

    if every == (run_name is not None):
        raise click.UsageError("give one RUN, or --all.")
    runs = store.load_runs(out, damaged=tell) if every else [store.find_run(out, run_name or "")]
    if every:
        runs = [r for r in runs if (store.run_folder(out, r) / "scores").is_dir() and r.metrics]
    differing = 0
    with Progress() as progress:
        for saved in runs:
            limit = saved.frames if "limited" in saved.flags else None
            frames = load_frames(saved.dataset, root=data_root, limit=limit)
            fresh, agree = rescore_run(out, saved, frames, progress=progress)
            differing += not agree
            verdict = "agrees to the last bit" if agree else "DIFFERS"
            click.echo(f"{saved.dataset}/{saved.id}: {verdict}")
            for key in sorted({*saved.metrics, *fresh.metrics}) if not agree else ():
                before, now = saved.metrics.get(key), fresh.metrics.get(key)
                click.echo(f"  {key}: saved {before}, now {now}")
            if save and not agree:
                store.replace_record(out, fresh)
    if differing and not save:
        raise HarnessError(
            f"{differing} of {len(runs)} runs differ; --save writes the new numbers."
        )


def settings_of(settings: tuple[str, ...]) -> dict[str, str]:
    """The options that were given as K=V."""
    options = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise click.BadParameter(f"'{setting}' is not of the form K=V.", param_hint="--set")
        options[key.strip()] = value.strip()
    return options


def _ready_datasets(root: Path | None) -> list[str]:
    """Every labelled set that is ready under the data root, else synthroad; printed to stderr."""
    from harness.data import DATASETS
    from harness.data import status as dataset_status

    ready = [
        name
        for name, entry in DATASETS.items()
        if "pixel" in entry.metric_families
        and not entry.hidden_labels
        and not name.startswith("synthroad")
        and name != "custom"
        and dataset_status(name, root).state == "ready"
    ]
    chosen = ready or ["synthroad"]
    click.echo(f"data sets: {', '.join(chosen)}", err=True)
    return chosen
