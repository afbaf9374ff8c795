"""Rows as text: order, columns, formats, and names that try to be something else."""

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest

from harness.errors import UnknownName
from harness.types import Interval, Run
from leaderboard.cells import is_oracle
from leaderboard.ranks import SHOWN, Rule
from leaderboard.table import (
    FORMATS,
    differing_options,
    flavour_table,
    formatted,
    options_shown,
    oracle_note,
    rows,
)
from leaderboard.text import citation_key


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
        "method     network  dataset   AP ↑  AUROC ↑  FPR95 ↓  bestF1† ↑  frames  seconds  flags",
        "max_logit  tiny     road     31.06    90.00    50.00      40.00      60     12.0",
        "msp        tiny     road     28.91    87.62    61.73      31.00      60     12.3",
        "energy     tiny     road     99.00    99.00     1.00      99.00       3           limited",
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
        "intervals": {},
        "paper": "",
        "place": 1,
        "runs": ["max_logit-0123456789"],
        "seconds": 12.0,
        "seeds": [],
        "spreads": {},
        "trained_on": [],
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


@pytest.mark.parametrize("name", ["=1+1", "@SUM(A1)", "+1", "-1", " =1"])
def test_csv_shows_a_formula_as_text(name: str) -> None:
    run = a_run(name, 0.5, id=name, paper=name, flags=(name,), options={"network": name})
    (found,) = csv.DictReader(io.StringIO(formatted([run], "csv"), newline=""))
    for column in ("method", "network", "paper", "flags", "run"):
        assert found[column] == "'" + name


@pytest.mark.parametrize("name", ["\t=1", "a\r=1", "a\n=1", "a\u202eb", "a\x00b"])
def test_csv_has_no_control_or_direction_marks(name: str) -> None:
    text = formatted([a_run(name, 0.5)], "csv")
    assert len(text.splitlines()) == 2
    assert text.replace("\n", "").isprintable()


SEEDS = [
    a_run("m", ap, 0.9, id=f"m-{seed}", options={"network": "tiny", "seed": seed})
    for seed, ap in enumerate((0.5, 0.52))
]


def test_several_seeds_are_one_row_with_mean_and_spread() -> None:
    head, row = formatted(SEEDS).splitlines()
    assert row.split()[3:6] == ["51.00", "±", "1.41"]
    assert "seeds" in head.split()
    assert "51.00 ± 1.41" in formatted(SEEDS, "markdown")
    assert r"51.00 $\pm$ 1.41" in formatted(SEEDS, "latex")


def test_csv_and_json_keep_mean_spread_and_seeds_apart() -> None:
    (row,) = csv.DictReader(io.StringIO(formatted(SEEDS, "csv")))
    assert (row["AP"], row["AP_spread"], row["seeds"]) == ("51.0000", "1.4142", "0 1")
    (found,) = json.loads(formatted(SEEDS, "json"))
    assert found["metrics"]["AP"] == pytest.approx(51)
    assert found["spreads"]["AP"] == pytest.approx(2**0.5)
    assert (found["seeds"], found["runs"]) == ([0, 1], ["m-0", "m-1"])


def test_csv_and_json_have_the_interval_over_frames() -> None:
    run = a_run("m", 0.5, intervals={"AP": Interval(0.5, 0.41, 0.59, 0.95, 60, 2000, 0, 0.0)})
    (row,) = csv.DictReader(io.StringIO(formatted([run], "csv")))
    assert (row["AP_low"], row["AP_high"], row["AUROC_low"]) == ("41.0000", "59.0000", "")
    (found,) = json.loads(formatted([run], "json"))
    assert found["intervals"] == {"AP": pytest.approx({"low": 41, "high": 59, "level": 0.95})}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("table", "50.00 [41.0, 59.0]"),
        ("markdown", "50.00 \\[41.0, 59.0\\]"),
        ("latex", "50.00 [41.0, 59.0]"),
    ],
)
def test_intervals_stand_behind_values_where_they_are_asked_for(name: str, said: str) -> None:
    run = a_run("m", 0.5, intervals={"AP": Interval(0.5, 0.41, 0.59, 0.95, 60, 2000, 0, 0.0)})
    assert said in formatted([run], name, intervals=True)
    assert "41.0" not in formatted([run], name)


def test_the_rule_makes_the_order_of_rows() -> None:
    low_fpr = a_run("low_fpr", 0.1, 0.1, 0.01)
    by_fpr = rows([MSP, MAX_LOGIT, low_fpr], rule=Rule("single", ("FPR95",)))
    assert [row.run.method for row in by_fpr] == ["low_fpr", "max_logit", "msp"]
    (first, *_) = csv.DictReader(
        io.StringIO(formatted([MSP, low_fpr], "csv", rule=Rule("single", ("FPR95",))))
    )
    assert (first["place"], first["method"]) == ("1", "low_fpr")


@pytest.mark.parametrize("name", ["[9cm] x", "*x"])
def test_latex_takes_no_name_for_the_argument_of_a_line_break(name: str) -> None:
    assert f"\n{{}}{name} & " in formatted([a_run(name, 0.5)], "latex")


@pytest.mark.parametrize(
    ("paper", "key"),
    [
        ("https://arxiv.org/abs/1911.11132", "arXiv:1911.11132"),
        ("https://arxiv.org/pdf/1911.11132v3", "arXiv:1911.11132"),
        ("https://doi.org/10.1109/CVPR.2019.00123", "doi:10.1109/CVPR.2019.00123"),
        ("https://arxiv.org/abs/1}\\input{x", ""),
        ("https://example.org/paper", ""),
        ("", ""),
    ],
)
def test_a_paper_is_cited_by_its_number(paper: str, key: str) -> None:
    assert citation_key(paper) == key


def test_latex_cites_papers_and_lists_their_entries_once() -> None:
    runs = [a_run(m, 0.5, paper="https://arxiv.org/abs/1911.11132") for m in ("a", "b")]
    text = formatted(runs, "latex")
    assert text.count(r"~\cite{arXiv:1911.11132}") == 2
    assert text.count("% @misc{arXiv:1911.11132, eprint = {1911.11132}") == 1


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


def test_component_metrics_are_an_oracles_unless_the_threshold_was_given() -> None:
    given = replace(MSP, provenance={"threshold": {"from": "given", "value": 0.5}})
    assert is_oracle([MSP], "sIoU")
    assert not is_oracle([given], "sIoU")
    assert is_oracle([given], "bestF1")
    assert oracle_note([MSP], ["AP"]) == ""
    assert "bestF1" in oracle_note([MSP], ["AP", "bestF1"])


def test_flavours_stand_beside_the_exact_number_with_the_difference() -> None:
    run = replace(MSP, metrics={"AP": 0.25, "smiyc_kit.AP": 0.2625, "pebal.FPR95": 0.1})
    header, line = flavour_table([run]).splitlines()
    assert header.split() == ["method", "dataset", "flavour", "value", "exact", "difference"]
    assert line.split()[-4:] == ["smiyc_kit.AP", "26.25", "25.00", "+1.25"]


def test_a_threshold_that_was_given_is_told() -> None:
    given = replace(MSP, provenance={"threshold": {"from": "given", "value": 0.5}})
    assert differing_options([MSP, given]) == ["", "threshold=0.5"]
