"""The runs of a folder in memory: read once, read again where a file changed."""

import json
from pathlib import Path

import pytest
from saved_runs import saved

from harness import store
from leaderboard.records import Records


def test_runs_come_by_data_set_and_id(tmp_path: Path) -> None:
    for method, dataset in (("b", "synthroad"), ("a", "synthroad"), ("c", "road_anomaly")):
        saved(tmp_path, method, dataset=dataset)
    found = Records(tmp_path).snapshot()
    assert [(run.dataset, run.method) for run in found.runs] == [
        ("road_anomaly", "c"),
        ("synthroad", "a"),
        ("synthroad", "b"),
    ]
    assert [run.method for run in found.of("synthroad")] == ["a", "b"]


def test_equal_to_what_the_store_loads(tmp_path: Path) -> None:
    saved(tmp_path, "a")
    assert list(Records(tmp_path).snapshot().runs) == store.load_runs(tmp_path)


def test_a_file_that_did_not_change_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path, "a")
    records = Records(tmp_path)
    first = records.snapshot()
    saved(tmp_path, "b")
    read: list[Path] = []
    load = store.load_run
    monkeypatch.setattr(store, "load_run", lambda folder: read.append(folder) or load(folder))
    second = records.snapshot()
    assert [folder.name for folder in read] == ["b-0123456789"]
    assert second.version > first.version
    assert records.snapshot() is second


def test_a_deleted_run_disappears(tmp_path: Path) -> None:
    run = saved(tmp_path, "a")
    records = Records(tmp_path)
    assert records.snapshot().runs
    (store.run_folder(tmp_path, run) / "run.json").unlink()
    assert not records.snapshot().runs


def test_unfinished_runs_are_not_shown(tmp_path: Path) -> None:
    run = saved(tmp_path, "a")
    folder = store.run_folder(tmp_path, run)
    folder.rename(folder.with_name(f".partial-{run.id}"))
    assert not Records(tmp_path).snapshot().runs


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"id": 3}', "\ufffe"])
def test_a_damaged_record_is_a_sentence(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "synthroad" / "x-0123456789"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(text)
    found = Records(tmp_path).snapshot()
    assert not found.runs
    assert len(found.damaged) == 1


@pytest.mark.parametrize("name", ["dataset", "id"])
def test_a_record_may_not_lead_out_of_its_folder(tmp_path: Path, name: str) -> None:
    run = saved(tmp_path, "a")
    path = store.run_folder(tmp_path, run) / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: "../../secret"}))
    found = Records(tmp_path).snapshot()
    assert not found.runs
    assert "another run" in found.damaged[0]


def test_a_folder_that_is_not_there_has_no_runs(tmp_path: Path) -> None:
    assert Records(tmp_path / "nothing").snapshot().runs == ()
