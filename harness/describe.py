"""Plain text about methods, networks, runs and this machine, for the terminal."""

import ast
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import provenance
from harness.data import dataset_names, status
from harness.errors import HarnessError, MethodError
from harness.method import METHODS_FOLDER, import_named, method_names
from harness.metrics import METRICS, Metric
from harness.metrics.flavours import FLAVOURS
from harness.store import load_runs
from harness.types import Run

GIVEN = "give --weights PATH"
SMP: Mapping[str, Any] = {
    "name": "smp:ARCHITECTURE:ENCODER",
    "title": "any of segmentation_models_pytorch",
    "weights": GIVEN,
    "outputs": "19",
}


def method_lines() -> list[tuple[str, str]]:
    """(name, first line of its file) of every method; no method is imported."""
    return [(name, _first_line(METHODS_FOLDER / f"{name}.py")) for name in method_names()]


def _network_lines() -> list[tuple[str, str]]:
    """(name, first line of its file) of every network and variant; none is imported."""
    files = sorted((METHODS_FOLDER / "networks").glob("[!_]*.py"))
    return [(name, _first_line(path)) for path in files for name in _variants(path)]


def network_rows(told: Callable[[MethodError], None]) -> list[dict[str, Any]]:
    """What each network is; of one that cannot be imported the name and what its file is for.

    Args:
        told: gets the reasons why some cannot, each once.
    """
    rows: list[Mapping[str, Any]] = []
    reasons: dict[str, MethodError] = {}
    for name, line in _network_lines():
        if name == "smp":  # whose networks are made by name
            rows.append(SMP)
            continue
        try:
            found = import_named("methods._network", what="network").network_class(name)
            rows.append(_network_row(name, found))
        except MethodError as error:
            reasons.setdefault(str(error), error)
            rows.append({"name": name, "title": line})
    for each in reasons.values():
        told(each)
    columns = ("name", "title", "parameters", "mIoU", "weights", "outputs")
    return [{column: row.get(column) for column in columns} for row in rows]


def _variants(path: Path) -> list[str]:
    """The names of the networks in a file: those of its table VARIANTS, or its own."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "VARIANTS":
            return list(ast.literal_eval(node.value)) or [path.stem]
    return [path.stem]


def run_description(run: Run, frames: Any, folder: Path, shown: Sequence[str]) -> str:
    """What the run records, as lines.

    Args:
        run: the run.
        frames: its per-frame table.
        folder: where it lies.
        shown: names of the metrics and flavours to print.
    """
    lines = [f"{run.dataset}/{run.id}", f"  {folder}", ""]
    lines += [_metric_line(run, name) for name in shown]
    if any(interval.indicative for interval in run.intervals.values()):
        units = next(iter(run.intervals.values())).units
        lines.append(
            f"  ({units} frames or scenes: too few for the intervals to be more than a hint)"
        )
    lines += ["", *_pairs("options", run.options)]
    facts = {
        "kind": run.kind,
        "frames": run.frames,
        "flags": ", ".join(run.flags) or "none",
        "trained on": ", ".join(run.trained_on) or "nothing",
        "paper": run.paper,
        "seconds in the method": f"{run.seconds:.1f}",
        "finished": run.finished,
        "fingerprint of the data": run.fingerprint,
        "metric version": run.metric_version,
    }
    lines += ["", *_pairs("run", facts)]
    for name, value in run.provenance.items():
        if isinstance(value, dict):
            lines += ["", *_pairs(name, value)]
    plain = {k: v for k, v in run.provenance.items() if not isinstance(v, dict)}
    lines += ["", *_pairs("more", plain), "", "frames"]
    table = frames.to_pandas()
    if "AP" in table:
        table = table.sort_values("AP", na_position="last")
        table["AP"] = (100 * table["AP"]).round(2)
    table = table.fillna("-") if table.isna().any(axis=None) else table
    lines += ["  " + line for line in table.to_string(index=False, max_rows=20).splitlines()]
    return "\n".join(lines)


def doctor_report(root: Path | None, out: Path) -> str:
    """What is installed, which device, which data and runs are there, what is missing."""
    lines = ["versions", *(f"  {k:<16}{v}" for k, v in provenance.versions().items())]
    for name, extra in (("torch", "methods"), ("transformers", "methods"), ("streamlit", "board")):
        if importlib.util.find_spec(name) is None:
            lines.append(f"  {name:<16}missing; do: pip install -e '.[{extra}]'")
    machine = provenance.machine()
    lines += ["", "machine", *(f"  {k:<16}{v}" for k, v in machine.items())]
    lines.append(f"  {'device':<16}{_device()}")
    place = next(p for p in [out.absolute(), *out.absolute().parents] if p.exists())
    writable = "writable" if os.access(place, os.W_OK) else "NOT WRITABLE"
    free = shutil.disk_usage(place).free / 1e9
    lines.append(f"  {'disk':<16}{free:.0f} GB free for {out}, {writable}")
    lines += ["", "data"]
    states = [status(name, root) for name in dataset_names()]
    lines += [f"  {s.name:<28}{s.state}  {s.where}" for s in states if s.state != "missing"]
    missing = [s.name for s in states if s.state == "missing"]
    if missing:
        lines.append(f"  missing: {', '.join(missing)} (harness data status says where they are)")
    lines += ["", "runs", f"  {_runs(out)}"]
    unfinished = sorted(out.glob("*/.partial-*"))
    lines += [f"  unfinished: {path} (its command resumes it)" for path in unfinished]
    return "\n".join(lines)


def _metric_line(run: Run, name: str) -> str:
    metric = METRICS.get(name) or FLAVOURS[name]
    if name not in run.metrics:
        return f"  {name:<24}{'-':>10}    {run.undefined.get(name, 'not counted')}"
    rate = metric.unit == "%"
    value = f"{100 * run.metrics[name]:10.4f} %" if rate else f"{run.metrics[name]:10.6g}  "
    interval = run.intervals.get(name)
    within = f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]" if interval else ""
    chosen = ""
    if isinstance(metric, Metric) and metric.oracle:
        given = run.threshold_given is not None and metric.family != "pixel"
        chosen = " (threshold given)" if given else " (oracle)"
    return f"  {name:<24}{value}  {within:<15} {metric.title}{chosen}"


def _runs(out: Path) -> str:
    try:
        return f"{len(load_runs(out))} complete in {out}"
    except HarnessError as error:
        return str(error)


def _device() -> str:
    if importlib.util.find_spec("torch") is None:
        return "unknown (torch is not installed)"
    device = importlib.import_module("methods._device")
    facts = device.description(device.device_named("auto"))
    return ", ".join(f"{key} {value}" for key, value in facts.items()).removeprefix("device ")


def _first_line(path: Path) -> str:
    if not path.is_file():
        return "installed by another package"
    try:
        return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]
    except SyntaxError as error:
        print(f"harness: {path}, line {error.lineno}: {error.msg}", file=sys.stderr)  # noqa: T201
        return "(cannot be read)"


def _pairs(title: str, pairs: Any) -> list[str]:
    return [title, *(f"  {key:<26}{value}" for key, value in pairs.items())]


def _network_row(name: str, network: Any) -> dict[str, Any]:
    """The facts of a subclass of `Network`; its mIoU (%) is that stated for Cityscapes val."""
    address, note = "", ""
    if network.sources:
        address, note = network.sources[0].address, network.sources[0].note
    stated = re.search(r"([\d.]+) mIoU", note) if "cityscapes_train" in network.trained_on else None
    if not address:
        weights = GIVEN
    elif address.startswith("hf://"):
        weights = "hub"
    else:
        weights = "own, fetched" if "://" in address else "own, included"
    void = network.extra_is_void
    return {
        "name": name,
        "title": network.title,
        "parameters": network.parameters_expected,
        "mIoU": float(stated[1]) if stated else None,
        "weights": weights,
        "outputs": f"{network.outputs - 1} and void" if void else str(network.outputs),
    }
