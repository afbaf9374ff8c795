"""The Streamlit app, page by page and control by control, without a browser."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("streamlit", reason="streamlit is not installed (the extra `board`)")

import streamlit as st
from saved_runs import IDS, saved
from streamlit.testing.v1 import AppTest

from harness.metrics import OFFICIAL
from leaderboard.app import PAGES
from leaderboard.launch import APP
from leaderboard.ranks import boards
from leaderboard.rules import KINDS, Rule
from leaderboard.table import FORMATS

BOTH = ["energy-0123456789", "msp-0123456789"]
HOSTILE = "<script>alert(1)</script> [x](javascript:alert(2)) :red[y] $z$ \u202e=1+1"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("board") / "runs"
    saved(root, "msp", quality=1.0, maps=2)
    saved(root, "energy", quality=1.2, maps=2, options={"network": "espnetv2"})
    saved(root, "proxied", quality=1.1, trained_on=("coco",))
    saved(root, "short", quality=3.0, flags=("limited",))
    saved(root, "msp", dataset="road_anomaly", run_id="msp-ffffffffff")
    return root


@pytest.fixture(autouse=True)
def caches() -> Iterator[None]:
    yield
    st.cache_resource.clear()
    st.cache_data.clear()


def opened(
    monkeypatch: pytest.MonkeyPatch,
    root: Path,
    page: str = "board",
    /,
    *words: str,
    **asked: Any,
) -> AppTest:
    """The page of the app over the runs below `root`, asked for with these query parameters."""
    monkeypatch.setattr(sys, "argv", ["app.py", "--runs", str(root), *words])
    app = AppTest.from_file(str(APP), default_timeout=60)
    if page != "board":
        app.switch_page(f"{page}.py")
    for name, value in asked.items():
        app.query_params[name] = value
    app.run()
    return sound(app)


def sound(app: AppTest) -> AppTest:
    assert not app.exception, [error.value for error in app.exception]
    return app


def control(app: AppTest, kind: str, key: str) -> Any:
    (found,) = [one for one in app.get(kind) if one.key == key]
    return found


def table(app: AppTest, at: int = 0) -> Any:
    return app.dataframe[at].value


def texts(app: AppTest) -> str:
    kinds = ("markdown", "caption", "info", "warning", "text", "code", "title", "subheader")
    return "\n".join(str(one.value) for kind in kinds for one in app.get(kind))


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens(monkeypatch: pytest.MonkeyPatch, runs: Path, page: str) -> None:
    app = opened(monkeypatch, runs, page)
    assert app.title


@pytest.mark.parametrize("page", [page for page in PAGES if page != "about"])
def test_an_empty_folder_offers_the_demo(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, page: str
) -> None:
    app = opened(monkeypatch, tmp_path / "nothing", page)
    assert "make demo" in app.code[0].value


def test_a_damaged_record_is_named_and_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    saved(tmp_path, "msp")
    broken = tmp_path / "synthroad" / "broken-0123456789"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    app = opened(monkeypatch, tmp_path)
    assert app.expander[0].label == "1 records cannot be read and are left out"
    assert "broken-0123456789" in app.text[0].value
    assert str(tmp_path) not in app.text[0].value
    assert list(table(app)["method"]) == ["msp"]


# ------------------------------------------------------------------------------------------- board


def test_the_board_ranks_and_shows_flagged_runs_apart(
    monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    app = opened(monkeypatch, runs)
    assert list(table(app)["method"]) == ["energy", "proxied", "msp"]
    assert list(table(app)["rank"]) == [1, 2, 3]
    assert list(table(app, 1)["method"]) == ["short"]
    assert table(app, 1)["rank"].isna().all()


def test_the_board_says_its_rule(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = opened(monkeypatch, runs)
    assert "Ordered by mean rank over AP" in texts(app)


@pytest.mark.parametrize("rule", KINDS)
def test_every_rank_rule_can_be_chosen(
    monkeypatch: pytest.MonkeyPatch, runs: Path, rule: str
) -> None:
    app = opened(monkeypatch, runs)
    sound(control(app, "selectbox", "rule").set_value(rule).run())
    expected = (
        boards([one.run for one in boards_of(runs)], rule=Rule.of("pixel", rule))[0].groups[0].rows
    )
    assert list(table(app)["method"]) == [row.run.method for row in expected]
    assert app.query_params.get("rule", "mean rank") == rule


def boards_of(root: Path) -> list[Any]:
    from harness.store import load_runs

    board = boards([run for run in load_runs(root) if run.dataset == "synthroad"])[0]
    return [*board.groups[0].rows, *board.unranked]


def test_a_single_metric_of_choice_makes_the_order(
    monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    app = opened(monkeypatch, runs, rule="single", by="FPR95")
    assert list(table(app)["FPR95 ↓"]) == sorted(table(app)["FPR95 ↓"])


@pytest.mark.parametrize("family", ["pixel", "component", "misclassification"])
def test_every_family_has_its_columns(
    monkeypatch: pytest.MonkeyPatch, runs: Path, family: str
) -> None:
    app = opened(monkeypatch, runs, family=family)
    shown = {str(name).partition(" ")[0] for name in table(app).columns}
    there = {"pixel": 4, "component": 3, "misclassification": 1}[family]
    assert len(shown & set(OFFICIAL[family])) == there


def test_a_missing_value_is_a_dash_and_gives_no_rank(
    monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    app = opened(monkeypatch, runs, family="misclassification")
    assert table(app)["mis.AP ↑"].isna().all()
    assert table(app)["rank"].isna().all()


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ({"find": "ener"}, ["energy"]),
        ({"find": "COCO"}, ["proxied"]),
        ({"proxy": "0"}, ["energy", "msp"]),
        ({"network": "espnetv2"}, ["energy"]),
        ({"network": ["espnetv2", "tiny"]}, ["energy", "proxied", "msp"]),
    ],
)
def test_filters_keep_the_ranks_of_what_they_leave(
    monkeypatch: pytest.MonkeyPatch, runs: Path, asked: dict[str, Any], left: list[str]
) -> None:
    app = opened(monkeypatch, runs, **asked)
    assert list(table(app)["method"]) == left
    ranks = {"energy": 1, "proxied": 2, "msp": 3}
    assert list(table(app)["rank"]) == [ranks[name] for name in left]


def test_unranked_runs_can_be_hidden(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = opened(monkeypatch, runs)
    sound(control(app, "toggle", "flagged").set_value(False).run())
    assert not any("short" in list(one.value.get("method", [])) for one in app.dataframe)


def test_filters_that_leave_nothing_say_so(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = opened(monkeypatch, runs, find="nobody is called so")
    assert "None of the 4 rows fits" in app.info[0].value


def test_columns_can_be_chosen(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = opened(monkeypatch, runs)
    sound(control(app, "multiselect", "columns-pixel").set_value(["FPR95"]).run())
    assert "FPR95 ↓" in table(app)
    assert "AP ↑" not in table(app)


def test_intervals_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = opened(monkeypatch, runs)
    before = app.dataframe[0].proto.SerializeToString()
    sound(control(app, "toggle", "intervals").set_value(False).run())
    assert app.dataframe[0].proto.SerializeToString() != before


@pytest.mark.parametrize("metric", ["AUROC", "FPR95"])
def test_the_chart_shows_the_interval_of_the_metric_chosen(
    monkeypatch: pytest.MonkeyPatch, runs: Path, metric: str
) -> None:
    app = opened(monkeypatch, runs, chart=metric)
    (chart,) = app.get("vega_lite_chart")
    assert f"{metric}, %" in chart.proto.spec


def test_a_permalink_with_nonsense_falls_back_to_the_defaults(
    monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    app = opened(
        monkeypatch, runs, dataset="no", rule="luck", family="x", network="?", proxy="maybe"
    )
    assert list(table(app)["method"]) == ["energy", "proxied", "msp"]


def test_an_export_equals_what_is_shown(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = opened(monkeypatch, runs, find="msp")
    rows = [row for row in boards_of(runs) if row.run.method == "msp"]
    downloads = {one.key: one for one in app.get("download_button")}
    assert set(downloads) == {f"export-{name}" for name in ("csv", "latex", "markdown", "json")}
    found = json.loads(FORMATS["json"](rows, OFFICIAL["pixel"]))
    assert [one["method"] for one in found] == list(table(app)["method"])


def test_the_first_two_are_compared_without_selecting_them(
    monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    app = opened(monkeypatch, runs, proxy="0")
    (button,) = [one for one in app.button if one.label == "Compare the first two"]
    sound(button.click().run())
    assert control(app, "multiselect", "runs").value == BOTH


def test_selected_rows_can_be_compared(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = opened(monkeypatch, runs)
    key = app.dataframe[0].key
    app.session_state[key] = {"selection": {"rows": [0, 2], "columns": [], "cells": []}}
    sound(app.run())
    (button,) = [one for one in app.button if one.label == "Compare"]
    assert not button.disabled
    sound(button.click().run())
    assert app.title[0].value == "Compare"
    assert control(app, "multiselect", "runs").value == BOTH


def test_reported_figures_stand_apart_and_can_be_hidden(
    monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    app = opened(monkeypatch, runs, dataset="road_anomaly")
    assert "Reported, not measured here" in texts(app)
    sound(control(app, "toggle", "reported").set_value(False).run())
    assert "Reported, not measured here" not in texts(app)


def test_all_data_sets_rank_only_complete_methods(
    monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    app = opened(monkeypatch, runs, dataset="all data sets")
    data = table(app)
    assert data.set_index("method")["rank"].to_dict()["msp"] == 1
    assert data["rank"].isna().sum() == len(data) - 1


def test_a_board_of_many_rows_has_pages_of_100(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = saved(tmp_path, "msp")
    text = (tmp_path / "synthroad" / run.id / "run.json").read_text("utf-8")
    for i in range(150):
        folder = tmp_path / "synthroad" / f"m{i:03}-0123456789"
        folder.mkdir()
        facts = json.loads(text) | {"id": folder.name, "method": f"m{i:03}"}
        (folder / "run.json").write_text(json.dumps(facts))
    app = opened(monkeypatch, tmp_path)
    assert len(table(app)) == 100
    sound(control(app, "pagination", "page").set_value(2).run())
    assert len(table(app)) == 51
    assert app.query_params["page"] == "2"
    app = opened(monkeypatch, tmp_path, "board", **app.query_params)
    assert len(table(app)) == 51


# ----------------------------------------------------------------------------------- other pages


def test_compare_says_who_is_better(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = opened(monkeypatch, runs, "compare", runs=BOTH)
    assert "points of AP" in texts(app)
    assert len(app.get("vega_lite_chart")) == 7


@pytest.mark.parametrize("metric", ["AUROC", "FPR95", "bestF1"])
def test_compare_can_use_every_pixel_metric(
    monkeypatch: pytest.MonkeyPatch, runs: Path, metric: str
) -> None:
    app = opened(monkeypatch, runs, "compare")
    sound(control(app, "button_group", "metric").set_value(metric).run())
    assert f"points of {metric}" in texts(app)


def test_compare_needs_two_runs(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = opened(monkeypatch, runs, "compare", runs="msp-0123456789")
    assert "Choose two runs or more" in app.info[0].value


def test_runs_on_other_data_are_not_compared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    saved(tmp_path, "msp")
    saved(tmp_path, "energy", fingerprint="0" * 64)
    app = opened(monkeypatch, tmp_path, "compare")
    assert "not scored on the same frames" in app.warning[0].value.replace("\\", "")


@pytest.mark.parametrize("order", ["worst", "best", "disagreement", "name"])
def test_frames_come_in_every_order(
    monkeypatch: pytest.MonkeyPatch, runs: Path, order: str
) -> None:
    app = opened(monkeypatch, runs, "frames", order=order)
    options = control(app, "selectbox", "frame").options
    assert sorted(options) == list(IDS)
    first = {"worst": IDS[0], "best": IDS[4], "name": IDS[0]}
    assert options[0] == first.get(order, options[0])


def test_the_viewer_steps_to_the_next_frame_and_back(
    monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    app = opened(monkeypatch, runs, "frames", order="name")
    (following,) = [one for one in app.button if one.label == "Next"]
    sound(following.click().run())
    assert control(app, "selectbox", "frame").value == IDS[1]
    (back,) = [one for one in app.button if one.label == "Previous"]
    sound(back.click().run())
    assert control(app, "selectbox", "frame").value == IDS[0]


def test_the_slider_changes_the_overlay(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = opened(monkeypatch, runs, "frames", order="name")
    before = [one.value for one in app.caption if "threshold" in one.value]
    sound(control(app, "slider", "recall").set_value(40.0).run())
    assert [one.value for one in app.caption if "threshold" in one.value] != before


@pytest.mark.parametrize("scale", ["each its own range", "rank within the frame"])
def test_heat_maps_have_two_scales(monkeypatch: pytest.MonkeyPatch, runs: Path, scale: str) -> None:
    app = opened(monkeypatch, runs, "frames", scale=scale, order="name", methods=BOTH)
    assert len(app.get("image")) == 6 + 2 + 2 + 2  # gallery, image and label, heat, overlay


def test_without_kept_maps_the_viewer_says_how_to_keep_them(
    monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    app = opened(monkeypatch, runs, "frames", methods="proxied-0123456789")
    assert "--keep-scores" in texts(app)
    assert not app.slider


def test_pictures_of_a_set_that_is_not_public_are_withheld(
    monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    app = opened(monkeypatch, runs, "frames", dataset="road_anomaly")
    assert "withheld" in app.info[0].value
    assert not app.get("image")


def test_with_images_shows_them_all_the_same(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = opened(monkeypatch, runs, "frames", "--with-images", dataset="road_anomaly")
    assert not any("withheld" in one.value for one in app.info)


def test_hidden_labels_are_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    saved(tmp_path, "msp", dataset="smiyc_anomaly21_test")
    app = opened(monkeypatch, tmp_path, "frames", "--with-images")
    assert "hidden" in app.info[0].value


def test_the_page_of_a_run_holds_all_that_it_records(
    monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    app = opened(monkeypatch, runs, "run", run="msp-0123456789")
    assert "harness run --method msp" in app.code[0].value
    cells = " ".join(str(one.value.to_dict()) for one in app.dataframe)
    for fact in ("a" * 40, "b" * 64, "f" * 64, "cityscapes_train", "run.json", "synthroad_0005"):
        assert fact in cells, fact


def test_speed_draws_the_line_of_unbeaten_runs(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = opened(monkeypatch, runs, "speed", metric="AP")
    assert set(table(app)["run"]) >= {"msp · tiny", "energy · espnetv2"}
    sound(control(app, "selectbox", "metric").set_value("FPR95").run())


def test_a_choice_is_kept_from_page_to_page(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = opened(monkeypatch, runs, dataset="road_anomaly")
    sound(app.switch_page("run.py").run())
    assert control(app, "selectbox", "dataset").value == "road_anomaly"


@pytest.mark.parametrize("page", PAGES)
def test_hostile_names_are_shown_as_text(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, page: str
) -> None:
    for at in range(2):
        saved(
            tmp_path,
            HOSTILE,
            run_id=f"hostile-{at:010}",
            paper="javascript:alert(3)",
            options={"network": HOSTILE, "x": at},
            flags=(HOSTILE,) if at else (),
            trained_on=(HOSTILE,),
        )
    app = opened(monkeypatch, tmp_path, page, "--with-images")
    for kind in ("markdown", "caption", "info", "warning", "subheader"):
        for one in app.get(kind):
            assert "<script>" not in str(one.value)
            assert "](javascript" not in str(one.value)
            assert "\u202e" not in str(one.value)
    assert not any("javascript" in str(one.proto) for one in app.get("link_button"))


@pytest.mark.parametrize("page", PAGES)
def test_a_hostile_name_of_a_data_set_is_shown_as_text(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, page: str
) -> None:
    name = "<b>x<b> [a](javascript:b) :red[y]"
    saved(tmp_path, "msp", dataset=name)
    saved(tmp_path, "energy", dataset=name)
    app = opened(monkeypatch, tmp_path, page)
    for kind in ("markdown", "caption", "info", "warning", "subheader"):
        for one in app.get(kind):
            assert "<b>" not in str(one.value)
            assert "](javascript" not in str(one.value)
