"""The meta classification of a run on the pages: a small table where there is one, else nothing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from saved_reports import a_report
from saved_runs import saved

from harness.meta_report import save_report
from harness.store import load_runs, run_folder
from harness.types import Run
from leaderboard.meta import BADGE, COLUMNS, formatted_report, meta_table, meta_tables
from leaderboard.site import write_site

HOSTILE = "<script>alert(1)</script>\u202e"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with a report, beside one that has none."""
    saved(tmp_path, "msp", quality=0.9)
    one = saved(tmp_path, "entropy")
    save_report(tmp_path, one, a_report(one))
    return one


def entries(root: Path, out: Path) -> dict[str, dict[str, Any]]:
    """What the static page is told of each run, by the method's name."""
    write_site(load_runs(root), root, out, with_images=False)
    text = (out / "data/synthroad.js").read_text("utf-8")
    found = json.loads(text[len("board(") : -len(");\n")])
    return {entry["method"]: entry for entry in found["entries"]}


def test_the_table_has_counts_before_and_after_and_marks_oracles(run: Run) -> None:
    table = meta_table(a_report(run))
    assert table.columns == tuple(COLUMNS)
    counts = ("1,100 → 30", "7", "12 → 14", "7")
    assert table.rows == (
        ("leave one out, as published†", "95.00", "50.00", "87.50", *counts),
        ("leave frames out, 6 folds†", "90.00", "50.00", "87.50", *counts),
        ("fitted on elsewhere", "85.00", "50.00", "87.50", *counts),
    )
    assert table.badge == BADGE
    assert table.about == "1,404 segments of score ≥ 0.7, 20 objects, 6 frames, logistic"


def test_a_report_without_an_oracle_has_no_badge(run: Run) -> None:
    own = meta_table(a_report(run, removals=a_report(run).removals[2:]))
    assert own.badge == ""
    assert not any("oracle" in note for note in own.notes)


def test_a_run_without_a_report_has_no_table(run: Run, tmp_path: Path) -> None:
    assert [len(meta_tables(tmp_path, one)) for one in load_runs(tmp_path)] == [1, 0]


def test_the_static_page_shows_the_report_of_a_run_that_has_one(run: Run, tmp_path: Path) -> None:
    found = entries(tmp_path, tmp_path / "out")
    (shown,) = found["entropy"]["meta"]
    assert "meta" not in found["msp"]
    assert shown["badge"] == BADGE
    assert shown["columns"] == list(COLUMNS)
    assert shown["rows"][0][:2] == ["leave one out, as published†", "95.00"]


def test_a_row_of_several_seeds_shows_the_reports_of_each(tmp_path: Path) -> None:
    for seed in ("0", "1"):
        one = saved(tmp_path, "oodmc", run_id=f"oodmc-{seed}", options={"seed": seed})
        save_report(tmp_path, one, a_report(one))
    titles = [shown["title"] for shown in entries(tmp_path, tmp_path / "out")["oodmc"]["meta"]]
    assert [title.partition(":")[0] for title in titles] == ["oodmc-0", "oodmc-1"]


def test_no_report_changes_a_rank(run: Run, tmp_path: Path) -> None:
    write_site(load_runs(tmp_path), tmp_path, tmp_path / "with", with_images=False)
    for path in run_folder(tmp_path, run).glob("meta-*.json"):
        path.unlink()
    write_site(load_runs(tmp_path), tmp_path, tmp_path / "without", with_images=False)
    one, other = ((tmp_path / name / "board.csv").read_text() for name in ("with", "without"))
    assert one == other


def test_a_damaged_report_is_left_out(run: Run, tmp_path: Path) -> None:
    for path in run_folder(tmp_path, run).glob("meta-*.json"):
        path.write_text("{")
    assert "meta" not in entries(tmp_path, tmp_path / "out")["entropy"]


def test_names_of_anybody_stay_text(run: Run, tmp_path: Path) -> None:
    own = a_report(run).removals[2]
    hostile = a_report(run, classifier=HOSTILE, removals=(replace(own, learned_from=(HOSTILE,)),))
    save_report(tmp_path, run, hostile)
    shown = entries(tmp_path, tmp_path / "out")["entropy"]["meta"]
    assert "\u202e" not in json.dumps(shown, ensure_ascii=False)
    assert "<script>" not in formatted_report(hostile, "markdown").replace("\\<script\\>", "")
    assert "<script>" not in (tmp_path / "out/index.html").read_text("utf-8").split("</main>")[0]


def test_rates_of_data_formats_are_in_per_cent(run: Run) -> None:
    report = a_report(run)
    header, first, *_ = formatted_report(report, "csv").split("\n")
    row = dict(zip(header.split(","), first.split(","), strict=True))
    (one, *_) = json.loads(formatted_report(report, "json"))
    for found, rate in ((row, "95.0000"), (one, 95.0)):
        assert found["auroc"] == rate
        assert int(found["fp_remaining"]) == 30
    assert (row["learned_from"], one["learned_from"]) == ("synthroad", ["synthroad"])


def test_the_page_of_a_run_in_the_app_shows_its_report(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("streamlit", reason="streamlit is not installed (the extra `board`)")
    from streamlit.testing.v1 import AppTest

    from leaderboard.launch import APP

    monkeypatch.setattr("sys.argv", ["app.py", "--runs", str(tmp_path)])
    shown = {}
    for one in load_runs(tmp_path):
        app = AppTest.from_file(str(APP), default_timeout=60)
        app.switch_page("run.py")
        app.query_params["dataset"], app.query_params["run"] = one.dataset, one.id
        app.run()
        assert not app.exception, [error.value for error in app.exception]
        tables = [each.value for each in app.dataframe if "TP removed" in each.value]
        shown[one.method] = tables
        badges = [each.value for each in app.markdown if BADGE in each.value]
        assert len(badges) == len(tables)
    assert shown["msp"] == []
    (table,) = shown["entropy"]
    assert list(table.columns) == list(COLUMNS)
    assert list(table["FP"]) == ["1,100 → 30"] * 3
