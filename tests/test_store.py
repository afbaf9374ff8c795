"""Runs on disk."""

import dataclasses
import json

import pytest

from harness import store
from harness.errors import RunError, UnknownName
from harness.types import Interval, Run

RUN = Run(
    id="msp-0123456789",
    kind="run",
    method="msp",
    options={"network": "tiny", "temperature": 1.0},
    dataset="synthroad",
    frames=2,
    fingerprint="ab" * 32,
    metric_version="1",
    metrics={"AP": 0.5, "FPR95": 0.25},
    intervals={"AP": Interval(0.5, 0.4, 0.6, 0.95, 2, 2000, 0, 0.0)},
    flags=("limited",),
    trained_on=("synthroad_train",),
)
FRAMES = store.table_of({"id": ["a", "b"], "AP": [0.5, None], "seconds": [0.1, 0.2]})


def saved(root, run=RUN, **options):
    folder = store.partial_folder(root, run.dataset, run.id)
    (folder / "scores").mkdir(parents=True)
    (folder / "scores" / "a.score").write_bytes(b"map")
    options = {"classes": None, "grid": None, "keep_scores": False} | options
    pictures = {"a.image.webp": b"w"}
    return store.save(root, run, tables={"frames": FRAMES}, pictures=pictures, **options)


def test_a_run_comes_back_equal(tmp_path):
    assert store.load_run(saved(tmp_path)) == RUN


def test_the_frame_table_comes_back_with_missing_values(tmp_path):
    saved(tmp_path)
    assert store.frame_table(tmp_path, RUN).to_pydict()["AP"] == [0.5, None]


def test_maps_go_unless_they_are_kept(tmp_path):
    assert not (saved(tmp_path) / "scores").exists()
    other = dataclasses.replace(RUN, id="msp-1111111111")
    assert (saved(tmp_path, other, keep_scores=True) / "scores" / "a.score").is_file()


def test_an_unfinished_run_is_not_listed(tmp_path):
    saved(tmp_path)
    store.partial_folder(tmp_path, "synthroad", "other-0000000000").mkdir()
    assert store.load_runs(tmp_path) == [RUN]


def test_saving_again_replaces_the_run(tmp_path):
    saved(tmp_path)
    saved(tmp_path, dataclasses.replace(RUN, frames=3))
    assert [run.frames for run in store.load_runs(tmp_path)] == [3]
    assert [path.name for path in (tmp_path / "synthroad").iterdir()] == [RUN.id]


def test_a_failing_write_leaves_no_complete_run(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write_bytes", full)
    with pytest.raises(RunError, match="No space left"):
        saved(tmp_path)
    assert store.load_runs(tmp_path) == []


@pytest.mark.parametrize("name", ["msp-0123456789", "synthroad/msp-0123456789", "msp", "synthroad"])
def test_a_run_is_found_by_id_or_by_a_beginning(tmp_path, name):
    saved(tmp_path)
    assert store.find_run(tmp_path, name) == RUN


def test_a_beginning_that_fits_two_runs_names_both(tmp_path):
    saved(tmp_path)
    saved(tmp_path, dataclasses.replace(RUN, id="msp-0999999999"))
    with pytest.raises(RunError, match=r"msp-0123456789, synthroad/msp-0999999999"):
        store.find_run(tmp_path, "msp-0")


def test_a_run_is_found_by_its_folder_below_the_root_only(tmp_path):
    folder = saved(tmp_path / "mine")
    assert store.find_run(tmp_path / "mine", str(folder)) == RUN
    with pytest.raises(RunError, match="give --out"):
        store.find_run(tmp_path / "others", str(folder))


def test_an_unknown_run_answers_with_the_nearest(tmp_path):
    saved(tmp_path)
    with pytest.raises(UnknownName, match="Did you mean 'msp-0123456789'"):
        store.find_run(tmp_path, "mspp-0123456788")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": 3}', '{"unexpected": 1}'])
def test_a_damaged_record_is_one_sentence(tmp_path, content):
    path = saved(tmp_path) / "run.json"
    path.write_text(content)
    with pytest.raises(RunError, match=r"run\.json"):
        store.load_run(path.parent)


def test_equal_runs_are_equal_bytes():
    shuffled = dataclasses.replace(RUN, metrics=dict(reversed(list(RUN.metrics.items()))))
    assert store.encoded(shuffled) == store.encoded(RUN)
    assert json.loads(store.encoded(RUN))["metrics"]["AP"] == 0.5


def test_the_journal_comes_back(tmp_path):
    store.Journal(tmp_path).add("a", seconds=0.5)
    store.Journal(tmp_path).add("b", seconds=0.25)
    assert list(store.Journal(tmp_path).entries) == ["a", "b"]


def test_a_journal_line_cut_short_is_dropped_and_written_over(tmp_path):
    journal = store.Journal(tmp_path)
    journal.add("a", seconds=0.5)
    with journal.path.open("a") as file:
        file.write('{"id": "b", "sec')
    store.Journal(tmp_path).add("c", seconds=1.0)
    assert list(store.Journal(tmp_path).entries) == ["a", "c"]


def test_a_held_run_is_refused_to_a_second_process(tmp_path):
    with (
        store.locked(tmp_path / "x"),
        pytest.raises(RunError, match="another process"),
        store.locked(tmp_path / "x"),
    ):
        pass
