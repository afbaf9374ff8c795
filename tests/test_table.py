"""Rows as text: order, columns, formats, and names that try to be something else."""

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest

from harness.errors import UnknownName
from harness.types import Run
from leaderboard.ranks import SHOWN
from leaderboard.table import FORMATS, differing_options, formatted, options_shown, rows


def a_run(method: str, *values: float, **facts: Any) -> Run:
    defaults: dict[str, Any] = {
        "id": f"{method}-0123456789",
        "kind": "run",
        "dataset": "road_anomaly",
        "options": {"network": "tiny"},
        "frames": 60,
        "fingerprint": "f",
        "metric_version": "1",
        "metrics": dict(zip(SHOWN, values, strict=False)),
    }
    return Run(method=method, **{**defaults, **facts})


MSP = a_run("msp", 0.2891, 0.8762, 0.6173, 0.31, seconds=12.34)
MAX_LOGIT = a_run("max_logit", 0.31056, 0.9, 0.5, 0.4, seconds=12.0)
LIMITED = a_run("energy", 0.99, 0.99, 0.01, 0.99, frames=3, flags=("limited",))


def test_rows_stand_by_data_set_then_rank_and_flagged_ones_last() -> None:
    other = a_run("msp", 0.1, 0.1, 0.9, dataset="fs_static_val")
    found = [(row.run.dataset, row.run.method) for row in rows([LIMITED, MSP, MAX_LOGIT, other])]
    assert found == [
        ("fs_static_val", "msp"),
        ("road_anomaly", "max_logit"),
        ("road_anomaly", "msp"),
        ("road_anomaly", "energy"),
    ]


def test_the_terminal_table_is_aligned_text_in_per_cent() -> None:
    runs = [replace(run, dataset="road") for run in (MSP, MAX_LOGIT, LIMITED)]
    assert formatted(runs).splitlines() == [
        "method     network  dataset   AP ↑  AUROC ↑  FPR95 ↓  bestF1 ↑  frames  seconds  flags",
        "max_logit  tiny     road     31.06    90.00    50.00     40.00      60     12.0",
        "msp        tiny     road     28.91    87.62    61.73     31.00      60     12.3",
        "energy     tiny     road     99.00    99.00     1.00     99.00       3           limited",
    ]


def test_columns_without_any_value_are_left_out() -> None:
    bare = a_run("random_score", 0.1, options={})
    assert formatted([bare]).splitlines()[0].split() == ["method", "dataset", "AP", "↑", "frames"]


def test_a_missing_value_is_a_dash_and_never_a_number() -> None:
    last = formatted([MSP, a_run("energy", 0.1)]).splitlines()[-1]
    assert last.split()[3:7] == ["10.00", "–", "–", "–"]


def test_no_runs_are_said_so() -> None:
    assert formatted([]) == "No runs."
    assert json.loads(formatted([], "json")) == []


def test_options_that_tell_runs_apart_are_shown() -> None:
    runs = [a_run("m", 0.1, options={"network": "tiny", "seed": s, "k": 1}) for s in (1, 2)]
    assert differing_options(runs) == ["seed=1", "seed=2"]


def test_options_of_other_networks_tell_nothing_apart() -> None:
    runs = [
        a_run("m", 0.1, options={"network": "tiny", "weights": ""}),
        a_run("m", 0.1, options={"network": "enet", "weights": "enet.pth"}),
    ]
    assert differing_options(runs) == ["", ""]


def test_files_lose_their_folder_and_other_options_keep_their_slash() -> None:
    run = a_run("m", options={"w": "/home/me/w.pth", "v": "../data/v.pth", "c": "fog/3", "n": 1})
    assert options_shown(run) == {"w": "w.pth", "v": "v.pth", "c": "fog/3", "n": 1}


def test_json_is_a_list_of_objects_with_metrics_in_per_cent() -> None:
    first, last = json.loads(formatted([MAX_LOGIT, LIMITED], "json"))
    assert first == {
        "method": "max_logit",
        "dataset": "road_anomaly",
        "frames": 60,
        "metrics": pytest.approx({"AP": 31.056, "AUROC": 90.0, "FPR95": 50.0, "bestF1": 40.0}),
        "run": "max_logit-0123456789",
        "options": {"network": "tiny"},
        "flags": [],
        "seconds": 12.0,
        "undefined": {},
    }
    assert last["flags"] == ["limited"]


def test_json_leaves_out_what_is_missing_and_says_why() -> None:
    run = a_run("m", 0.5, float("nan"), undefined={"AUROC": "there are no normal pixels"})
    (found,) = json.loads(formatted([run], "json"))
    assert found["metrics"] == {"AP": 50.0}
    assert found["undefined"] == {"AUROC": "there are no normal pixels"}


def test_csv_reads_back_with_plain_metric_names() -> None:
    found = list(csv.DictReader(io.StringIO(formatted([MSP, LIMITED], "csv"))))
    assert [float(row["AP"]) for row in found] == pytest.approx([28.91, 99.0])
    assert found[1]["flags"] == "limited"
    assert found[0]["run"] == "msp-0123456789"


@pytest.mark.parametrize("name", ["=1+1", "@SUM(A1)", "+1", "-1"])
def test_csv_shows_a_formula_as_text(name: str) -> None:
    (found,) = csv.DictReader(io.StringIO(formatted([a_run(name, 0.5)], "csv")))
    assert found["method"] == "'" + name


def test_markdown_has_one_line_a_row_and_the_best_bold() -> None:
    lines = formatted([MSP, MAX_LOGIT], "markdown").splitlines()
    assert len(lines) == 4
    assert "**31.06**" in lines[2]
    assert "| 28.91 |" in lines[3]
    assert {line.count("|") for line in lines} == {10}


def test_markdown_shows_a_hostile_name_as_text() -> None:
    line = formatted([a_run("a|b\n<script>", 0.5)], "markdown").splitlines()[2]
    assert "a\\|b\ufffd\\<script\\>" in line


def test_latex_is_a_booktabs_table_with_special_characters_escaped() -> None:
    text = formatted([MSP, MAX_LOGIT, a_run("50%_$", 0.1, 0.1, 0.9, 0.1)], "latex")
    assert text.startswith("\\begin{tabular}{lllrrrrrr}\n\\toprule")
    assert r"AP $\uparrow$" in text
    assert r"FPR95 $\downarrow$" in text
    assert r"max\_logit" in text
    assert r"\textbf{31.06}" in text
    assert r"\underline{28.91}" in text
    assert r"50\%\_\$" in text


@pytest.mark.parametrize("name", ["table", "markdown"])
def test_control_and_direction_marks_do_not_reach_the_terminal(name: str) -> None:
    text = formatted([a_run("a\x1b[31m\u202eb\nc", 0.5)], name)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "c" in text.splitlines()[-1]


def test_an_unknown_format_answers_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'markdown'"):
        formatted([], "markdwon")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_the_same_whatever_the_order_of_runs(name: str) -> None:
    runs = [MSP, MAX_LOGIT, LIMITED]
    assert formatted(runs, name) == formatted(runs[::-1], name)
