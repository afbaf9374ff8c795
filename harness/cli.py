"""`harness`: the command line. Commands parse, call one function, print the answer to stdout."""

import errno
import math
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import HarnessError
from harness.progress import Progress

if TYPE_CHECKING:
    from harness.types import Run

FORMATS = click.Choice(["table", "markdown", "csv", "json", "latex"])
format_option = click.option(
    "--format",
    "form",
    type=FORMATS,
    default="table",
    show_default=True,
    help="How rows are printed.",
)
out_option = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder of all runs.",
)
metrics_option = click.option(
    "--metrics",
    default="official",
    show_default=True,
    metavar="NAMES",
    help="official, all, or names with commas between.",
)
flavours_option = click.option(
    "--flavours", is_flag=True, help="Show published variants of the metrics too."
)
intervals_option = click.option(
    "--intervals", is_flag=True, help="Show 95 % intervals behind the values."
)


def _number(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    if value is not None and math.isnan(value):
        raise click.BadParameter("nan is no threshold; give a number.", ctx, param)
    return value


threshold_option = click.option(
    "--threshold",
    type=float,
    callback=_number,
    help="Of component metrics [default: that of best F1].",
)
inbox_option = click.option(
    "--inbox",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the board's queue; private to its host.",
)
labels_option = click.option(
    "--labels",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Holds DATASET/<frame id>.png (0, 1, 255) of data sets whose labels are hidden.",
)
root_option = click.option(
    "--data-root",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="HARNESS_DATA",
    help="Folder that holds the data sets [default: $HARNESS_DATA, else ./data].",
)


class Group(click.Group):
    """The commands, with every mistake of a user answered by one sentence on stderr."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; a `HarnessError` ends in exit code 1, misuse in 2, ctrl-C in 130."""
        try:
            return super().invoke(ctx)
        except HarnessError as error:
            if ctx.params.get("traceback"):
                raise
            click.echo(f"harness: {error}", err=True)
            ctx.exit(1)
        except OSError as error:  # of the answer, say: a full disk behind >, a closed terminal
            if ctx.params.get("traceback") or error.errno == errno.EPIPE:
                raise
            click.echo(f"harness: {error}; --traceback before the command says where.", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo(
                "\nharness: stopped. Finished frames are kept; the same command goes on.",
                err=True,
            )
            ctx.exit(130)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--traceback", is_flag=True, help="Show the full traceback of an error.")
@click.version_option(package_name="road-anomaly-harness", message="%(version)s")
def main(traceback: bool) -> None:
    """Score, evaluate and compare anomaly segmentation methods on road scenes."""


@main.command()
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
@click.option("--weights", metavar="FILE", help="Weights of the network.")
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
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise click.BadParameter(f"'{setting}' is not of the form K=V.", param_hint="--set")
        options[key.strip()] = value.strip()
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
                command=_command(),
                progress=progress,
            )
    _print_rows(saved, form, metrics, flavours, intervals)
    _tell_undefined(saved, metrics)
    for row in saved:
        if "hidden labels" in row.flags:
            click.echo(
                f"{row.dataset}: labels are hidden. The maps of {row.method} lie in "
                f"{out / row.dataset / row.id / 'scores'}: a submission for the benchmark's host.",
                err=True,
            )


@main.command(name="list")
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

        _print_rows(load_runs(out, damaged=_tell), form, metrics, flavours, intervals)
        return
    for name, title in _listed(what):
        click.echo(f"{name:<28}{title}")


@main.command()
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


@main.command()
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
    runs = store.load_runs(out, damaged=_tell) if every else [store.find_run(out, run_name or "")]
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


@main.command()
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
        command=_command(),
    )
    _print_rows([found], form, metrics, flavours, intervals)
    _tell_undefined([found], metrics)


@main.command()
@click.argument("submission", metavar="FOLDER|ZIP", type=click.Path(exists=True, path_type=Path))
@click.option("--dataset", "-d", required=True, metavar="NAME", help="What was scored.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N frames.")
@root_option
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
def check(
    submission: Path, dataset: str, limit: int | None, data_root: Path | None, form: str
) -> None:
    """Is a submission valid? Every problem at once; exit code 0 or 1. Labels are not needed."""
    from submissions.check import Expected
    from submissions.check import check as check_submission

    report = check_submission(submission, Expected.at(dataset, data_root, limit=limit))
    click.echo(report.to_json() if form == "json" else report.text())
    if not report.valid:
        raise SystemExit(1)


@main.command()
@click.argument("submission", metavar="FOLDER|ZIP", type=click.Path(exists=True, path_type=Path))
@click.option("--dataset", "-d", required=True, metavar="NAME", help="What was scored.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N frames; never ranks.")
@threshold_option
@root_option
@out_option
@metrics_option
@flavours_option
@intervals_option
@format_option
def submit(
    submission: Path,
    dataset: str,
    limit: int | None,
    threshold: float | None,
    data_root: Path | None,
    out: Path,
    metrics: str,
    flavours: bool,
    intervals: bool,
    form: str,
) -> None:
    """Check and evaluate a submission, save it as a run, print its row."""
    from submissions.judge import submit as submit_here

    found = submit_here(
        submission,
        dataset,
        root=data_root,
        out=out,
        limit=limit,
        threshold=threshold,
        command=_command(),
    )
    _print_rows([found], form, metrics, flavours, intervals)
    _tell_undefined([found], metrics)


@main.command()
@inbox_option
@click.option("--once", is_flag=True, help="Stop when nothing is left to do.")
@labels_option
@click.option("--delete-payloads", is_flag=True, help="Delete score maps once they are published.")
@root_option
@out_option
def judge(
    inbox: Path,
    once: bool,
    labels: Path | None,
    delete_payloads: bool,
    data_root: Path | None,
    out: Path,
) -> None:
    """Check and judge what is in an inbox, next to the labels; any number may run at once."""
    from functools import cache, partial

    from submissions.inbox import Inbox
    from submissions.receipt import Signer
    from submissions.worker import Worker, host_frames

    worker = Worker(
        Inbox(inbox),
        out,
        cache(partial(host_frames, root=data_root, labels=labels)),
        Signer(inbox / "keys"),
        keep_payloads=not delete_payloads,
    )
    worker.run(once=once)
    for item in worker.inbox.items():
        click.echo(f"{item.id}  {item.dataset}  {item.state}  {item.run or item.reason}".rstrip())
    if worker.troubles:
        raise HarnessError(worker.troubles[-1])


@main.command()
@inbox_option
@click.argument("account", metavar="ACCOUNT")
@click.option("--days", default=180.0, show_default=True, help="Until it expires.")
@click.option("--revoke", is_flag=True, help="Instead, end all tokens of the account.")
def token(inbox: Path, account: str, days: float, revoke: bool) -> None:
    """Make a token by which an account submits; it is printed once and kept nowhere."""
    from submissions import tokens
    from submissions.inbox import Inbox

    if revoke:
        click.echo(f"{tokens.revoke(Inbox(inbox), account)} tokens of {account} revoked.", err=True)
        return
    click.echo(tokens.make(Inbox(inbox), account, days=days))


@main.command()
@click.argument("run_or_receipt", metavar="RUN|RECEIPT")
@click.option(
    "--keys",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="HARNESS_BOARD_KEYS",
    help="The board's public keys [default: $HARNESS_BOARD_KEYS].",
)
@click.option(
    "--files",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The submission's folder: its hashes are compared with the receipt's.",
)
@click.option("--again", is_flag=True, help="Evaluate --files anew and compare the numbers.")
@labels_option
@root_option
@out_option
def verify(
    run_or_receipt: str,
    keys: Path | None,
    files: Path | None,
    again: bool,
    labels: Path | None,
    data_root: Path | None,
    out: Path,
) -> None:
    """Does a board vouch for this run, and for these files? Exit code 0 or 1."""
    from harness import store
    from submissions.receipt import public_keys
    from submissions.receipt import verify as verify_receipt
    from submissions.worker import host_frames, judged_again

    if keys is None:
        raise click.UsageError("whose keys? Give --keys FILE, the public.txt of the board.")
    if again and files is None:
        raise click.UsageError("--again needs --files.")
    path = Path(run_or_receipt)
    if not path.exists():
        path = store.run_folder(out, store.find_run(out, run_or_receipt))
    if again and not path.is_dir():
        raise click.UsageError("--again needs a run, as a receipt alone holds no numbers.")
    dataset = store.load_run(path).dataset if again else ""
    receipt = verify_receipt(
        path,
        public_keys(keys),
        files=files,
        again=(
            lambda folder: judged_again(folder, host_frames(dataset, root=data_root, labels=labels))
        )
        if again
        else None,
    )
    compared = f", {len(receipt.manifest)} files compared" if files else ""
    compared += ", numbers recomputed" if again else ""
    click.echo(
        f"valid: {receipt.dataset}/{receipt.run}, {receipt.level}, signed {receipt.judged} "
        f"by {receipt.key[:16]}{compared}"
    )


@main.command()
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


@main.command()
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


@main.command()
@click.argument("run_name", metavar="RUN")
@out_option
@click.confirmation_option(prompt="Delete the run and everything that it saved?")
def delete(run_name: str, out: Path) -> None:
    """Delete a run with everything that it saved."""
    from harness import store

    found = store.find_run(out, run_name)
    store.delete(out, found)
    click.echo(f"{found.dataset}/{found.id}: deleted")


@main.group()
def data() -> None:
    """What is known of the data sets on this machine."""


@data.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@root_option
def status(names: tuple[str, ...], data_root: Path | None) -> None:
    """Per data set: ready, missing (and where to get it, under which terms), or broken (why)."""
    from harness.data import data_root as resolved_root
    from harness.data import dataset_names
    from harness.data import status as dataset_status

    root = resolved_root(data_root)
    click.echo(f"data root: {root}{'' if root.is_dir() else ' (does not exist)'}", err=True)
    for name in names or dataset_names():
        found = dataset_status(name, data_root)
        frames = f"{found.frames} frames" if found.frames else ""
        click.echo(f"{found.name:<28}{found.state:<9}{frames:<13}{found.where}".rstrip())
        for line in found.why.splitlines():
            click.echo(f"{'':<28}{line}")


@main.command()
@click.option(
    "--html",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the static page into this folder instead of starting the app.",
)
@click.option(
    "--with-images",
    is_flag=True,
    help="Show pictures even where the data set's terms do not allow the public.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True)
@click.option("--address", default="127.0.0.1", show_default=True, help="Where the app listens.")
@click.option("--browser", is_flag=True, help="Open the app in a browser.")
@root_option
@out_option
def board(
    html: Path | None,
    with_images: bool,
    port: int,
    address: str,
    browser: bool,
    data_root: Path | None,
    out: Path,
) -> None:
    """Browse the leaderboard of all saved runs: as an app, or with --html as a static page."""
    if html is not None:
        import datetime

        from harness.store import load_runs
        from leaderboard.site import write_site

        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        click.echo(
            write_site(
                load_runs(out, damaged=_tell), out, html, with_images=with_images, date=today
            )
        )
        return
    import importlib.util
    import subprocess

    from leaderboard.launch import command

    if importlib.util.find_spec("streamlit") is None:
        raise HarnessError(
            "the app needs streamlit, which is not installed; do: pip install -e '.[board]', "
            "or write the static page with --html DIR."
        )
    click.echo(f"the board of {out}: http://{address}:{port} (stop with ctrl-C)", err=True)
    words = command(
        out,
        data_root=data_root,
        port=port,
        address=address,
        with_images=with_images,
        browser=browser,
    )
    raise SystemExit(subprocess.run(words, check=False).returncode)


@main.command()
@click.option("--method", required=True, metavar="NAME", help="What learns: network:tiny …")
@click.option("--dataset", default="synthroad_train", show_default=True, metavar="NAME")
@click.option("--steps", type=click.IntRange(min=1), help="Optimiser steps [default: its own].")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--device", default="auto", show_default=True)
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
    dataset: str,
    steps: int | None,
    seed: int,
    device: str,
    data_root: Path | None,
    out: Path,
) -> None:
    """Learn what a method or network must learn, and save its state; a killed fit resumes."""
    from harness.fit import fit as fit_method

    with Progress() as progress:
        result = fit_method(
            method,
            dataset=dataset,
            steps=steps,
            seed=seed,
            device=device,
            root=data_root,
            out=out,
            progress=progress,
        )
    click.echo(result.weights)


@main.command()
@root_option
@out_option
def doctor(data_root: Path | None, out: Path) -> None:
    """What is installed, which device, which data, what is missing."""
    from harness.describe import doctor_report

    click.echo(doctor_report(data_root, out))


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


def _listed(what: str) -> list[tuple[str, str]]:
    """(name, one line) of each method, network, data set or metric."""
    if what == "methods":
        from harness.describe import method_lines

        return method_lines()
    if what == "networks":
        from harness.describe import network_lines

        return network_lines()
    if what == "datasets":
        from harness.data import DATASETS

        return [(name, entry.title) for name, entry in DATASETS.items()]
    from harness.metrics import METRICS

    return [(name, metric.title) for name, metric in METRICS.items()]


def _print_rows(
    runs: "list[Run]", form: str, metrics: str, flavours: bool, intervals: bool
) -> None:
    from leaderboard.table import columns, flavour_table, formatted, oracle_note

    # A terminal is too narrow for flavours as columns: they get a table of their own.
    apart = flavours and form == "table"
    shown = columns(runs, metrics, flavours=flavours and not apart)
    click.echo(formatted(runs, form, shown=shown, intervals=intervals))
    if apart:
        click.echo("\n" + flavour_table(runs))
    if form == "table" and (note := oracle_note(runs, shown)):
        click.echo(note, err=True)


def _tell_undefined(runs: "list[Run]", metrics: str) -> None:
    """Says on stderr which of the asked numbers a run lacks, and why, for the first of them."""
    from leaderboard.table import columns

    for run in runs:
        absent = [name for name in columns([run], metrics) if name in run.undefined]
        if absent:
            why = run.undefined[absent[0]]
            click.echo(f"{run.dataset}: {run.method} has no {', '.join(absent)}: {why}", err=True)


def _tell(error: HarnessError) -> None:
    """Says what is wrong and goes on."""
    click.echo(f"harness: {error}", err=True)


def _command() -> str:
    """The command line as it was given, to be recorded."""
    return shlex.join(["harness", *sys.argv[1:]])
