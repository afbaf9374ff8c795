"""Judging: what is published, what is rejected and why, and what stays private."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness import store
from harness.data import DATASETS, load_frames
from harness.errors import DataError
from leaderboard.marks import verification
from submissions import judge
from submissions.hidden import with_labels
from submissions.inbox import Inbox
from submissions.items import PUBLISHED, RECEIVED, REJECTED, WAITING, WITHDRAWN
from submissions.leases import Leases
from submissions.receipt import manifest, verify
from submissions.worker import host_frames, judged_again
from tests.judging import CARD, IDS, Board, draw_data, hidden_frames, put, worker


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    draw_data(root)
    return root


@pytest.fixture
def board(data: Path, tmp_path: Path) -> Board:
    return Board(Inbox(tmp_path / "inbox"), tmp_path / "runs", data)


def test_a_board_that_cannot_be_written_delays_publication_and_loses_nothing(board: Board) -> None:
    item = put(board.inbox)
    board.out.write_text("in the way")
    made = worker(board.inbox.folder, board.out, board.data)
    made.run(once=True)
    assert made.troubles
    board.out.unlink()
    board.work()
    assert board.inbox.item(item.id).staged == ""
    assert len(board.runs()) == 1


def test_the_row_is_that_of_harness_submit_rounded(board: Board, data: Path) -> None:
    item = put(board.inbox)
    plain = judge.submit(
        board.inbox.payload(item.id), "custom", root=data, out=board.out.with_name("own")
    )
    board.work()
    (run,) = board.runs()
    assert run.metrics == {name: round(value, 3) for name, value in plain.metrics.items()}
    assert (run.id, run.fingerprint, run.undefined) == (
        plain.id,
        plain.fingerprint,
        plain.undefined,
    )
    assert any(value != round(value, 3) for value in plain.metrics.values())


def test_a_hidden_result_holds_nothing_of_single_frames_or_pixels(board: Board) -> None:
    put(board.inbox, card=f"{CARD}\n[claimed]\nAP = 1.0\n")
    board.work()
    (run,) = board.runs()
    folder = store.run_folder(board.out, run)
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert files == {"run.json", "frames.parquet"}
    assert store.frame_table(board.out, run).column_names == ["id"]
    assert run.provenance["threshold"]["value"] is None
    assert run.provenance["claims"]["AP"]["recomputed"] == 100 * run.metrics["AP"]
    for interval in run.intervals.values():
        assert (interval.low, interval.high) == (round(interval.low, 3), round(interval.high, 3))
    written = (folder / "run.json").read_text()
    assert "secret@example.org" not in written
    assert str(board.inbox.folder.parent) not in written
    assert str(board.data) not in written


def test_maps_stay_private_unless_their_card_opens_them(board: Board) -> None:
    put(board.inbox, seed=1)
    opened = put(board.inbox, seed=2, card=CARD.replace('"Test"', '"Open"\nopen_maps = true'))
    board.work()
    kept = {run.method: store.run_folder(board.out, run) / "scores" for run in board.runs()}
    assert not kept["Test"].exists()
    assert sorted(path.stem for path in kept["Open"].iterdir()) == sorted(IDS)
    assert board.inbox.item(opened.id).payload


def test_payloads_are_deleted_and_results_stay(board: Board) -> None:
    kept, other = put(board.inbox, seed=1), put(board.inbox, seed=2)
    board.work(keep_payloads=True)
    assert board.inbox.payload(kept.id).is_dir()
    board.inbox.delete_payload(kept.id)
    assert not board.inbox.payload(kept.id).exists()
    assert not board.inbox.item(kept.id).payload
    assert len(board.runs()) == 2
    third = put(board.inbox, seed=3)
    board.work(keep_payloads=False)
    assert board.inbox.payload(other.id).is_dir()
    assert not board.inbox.payload(third.id).exists()
    assert board.inbox.item(third.id).manifest == third.manifest
    assert len(board.runs()) == 3


def test_an_invalid_submission_is_rejected_with_all_its_problems(board: Board) -> None:
    item = board.inbox.create("ada", "custom")
    (board.inbox.payload(item.id) / "submission.toml").write_text("method = 1")
    board.inbox.finish(item.id, manifest(board.inbox.payload(item.id)))
    board.work()
    after = board.inbox.item(item.id)
    assert after.state == REJECTED
    assert "not valid for custom" in after.reason
    assert "no score map of a" in after.reason
    report = json.loads((board.inbox.folder / "reports" / f"{item.id}.json").read_text())
    assert {"card-field", "missing"} <= {each["code"] for each in report["problems"]}
    assert not after.payload


def test_files_that_are_not_those_announced_are_rejected(board: Board) -> None:
    item = put(board.inbox)
    np.save(board.inbox.payload(item.id) / "scores" / "b.npy", np.zeros((24, 40), np.float32))
    board.work()
    after = board.inbox.item(item.id)
    assert after.state == REJECTED
    assert after.reason.startswith("scores/b.npy: not the file that was announced")


def test_trouble_of_the_host_counts_against_nobody(board: Board) -> None:
    item = put(board.inbox)

    def broken(name: str) -> None:
        raise DataError("/host/path: the disk is gone.")

    made = worker(board.inbox.folder, board.out, board.data, frames_of=broken)
    made.run(once=True)
    after = board.inbox.item(item.id)
    assert (after.state, after.attempts, len(made.troubles)) == (RECEIVED, 0, 1)
    assert "/host/path" not in after.reason
    assert "the host's machine" in after.reason
    with board.inbox.transaction() as rows:
        rows.execute("UPDATE items SET until = 0")
    board.work()
    assert board.inbox.item(item.id).state == PUBLISHED


def test_what_an_unforeseen_error_says_is_not_shown(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = put(board.inbox)

    def fails(*args: object, **options: object) -> None:
        raise ZeroDivisionError("the label of frame b has 60 pixels")

    monkeypatch.setattr(judge, "evaluate", fails)
    board.work()
    after = board.inbox.item(item.id)
    assert after.state == REJECTED
    assert "ZeroDivisionError" in after.reason
    assert "60" not in after.reason


def test_withdrawn_while_it_is_judged_it_never_shows(board: Board) -> None:
    item = put(board.inbox)
    board.work(passed=lambda point: point == "signed" and board.inbox.withdraw(item.id))
    assert board.inbox.item(item.id).state == WITHDRAWN
    assert board.runs() == []
    assert not list((board.inbox.folder / "judged").iterdir())
    assert not board.inbox.payload(item.id).exists()


def test_a_slow_judge_keeps_its_item(board: Board) -> None:
    put(board.inbox)
    found = []

    def passed(point: str) -> None:
        if point == "judged":
            time.sleep(0.5)
            found.append(Leases(board.inbox).take())

    board.work(inbox=board.inbox, lease_seconds=0.2, passed=passed)
    assert found == [None]
    assert len(board.runs()) == 1


def test_a_checked_item_waits_and_checks_come_first(board: Board) -> None:
    first = put(board.inbox, seed=1)
    made = worker(board.inbox.folder, board.out, board.data)
    made.step()
    assert board.inbox.item(first.id).state == WAITING
    second = put(board.inbox, seed=2)
    made.step()
    assert [each.state for each in board.inbox.items()] == [WAITING, WAITING]
    assert (board.inbox.item(first.id).position, board.inbox.item(second.id).position) == (1, 2)


def test_whoever_has_labels_and_files_recomputes_a_published_run(board: Board) -> None:
    item = put(board.inbox)
    board.work()
    (run,) = board.runs()
    made = worker(board.inbox.folder, board.out, board.data)
    receipt = verify(
        store.run_folder(board.out, run),
        made.signer.public(),
        files=board.inbox.payload(item.id),
        again=lambda files: judged_again(files, made.frames_of("custom")),
    )
    assert receipt.submission == item.id


def test_a_board_that_knows_the_key_calls_the_run_recomputed(board: Board) -> None:
    put(board.inbox)
    board.work()
    (run,) = board.runs()
    keys = worker(board.inbox.folder, board.out, board.data).signer.public()
    assert verification(run, keys).name == "recomputed from maps"
    assert verification(run, ()).name == "claimed"


def test_labels_that_lie_with_the_images_are_taken_from_there(data: Path) -> None:
    assert host_frames("custom", root=data, labels=None).ids == load_frames("custom", root=data).ids


def test_hidden_labels_are_read_from_a_folder_beside_the_judge(data: Path, tmp_path: Path) -> None:
    with_own = hidden_frames(data)("custom")
    bare = replace(
        with_own,
        readers=tuple(replace(each, label_file=None) for each in with_own.readers),
        has_labels=False,
    )
    found = with_labels(bare, data / "labels")
    assert found.has_labels
    assert np.array_equal(found.label(1), with_own.label(1))
    (tmp_path / "a.png").write_bytes((data / "labels" / "a.png").read_bytes())
    with pytest.raises(DataError, match=r"b\.png: no such label"):
        with_labels(bare, tmp_path)


def test_a_judge_of_hidden_labels_is_told_where_they_lie(tmp_path: Path) -> None:
    name = "smiyc_anomaly21_test"
    images = tmp_path / "dataset_AnomalyTrack" / "images"
    labels = tmp_path / "private" / name
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    label = np.zeros((8, 9), np.uint8)
    label[2:4, 2:5] = 1
    for frame_id in DATASETS[name].ids:
        Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(images / f"{frame_id}.jpg")
        Image.fromarray(label).save(labels / f"{frame_id}.png")
    with pytest.raises(DataError, match="say with --labels"):
        host_frames(name, root=tmp_path, labels=None)
    frames = host_frames(name, root=tmp_path, labels=tmp_path / "private")
    assert np.array_equal(frames[0].label, label)
    assert frames.fingerprint() != load_frames(name, root=tmp_path).fingerprint()
