"""Run records on the Hub: what is sent and what not, and a board of what came back."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from huggingface_hub import parse_eval_result_entries

from harness import store
from harness.cli import main
from harness.errors import DataError, RunError
from harness.meta_report import load_reports, save_report
from leaderboard.records import Records
from leaderboard.results import eval_results, merged_runs, pulled_runs, push_results
from tests import hub_stand_in
from tests.hub_stand_in import TOKEN, Hub
from tests.saved_reports import a_report
from tests.saved_runs import saved

NAME = "lab/results"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with hub_stand_in.serving() as hub:
        hub_stand_in.reached(hub, monkeypatch, tmp_path / "hub", token=TOKEN)
        yield hub


@pytest.fixture
def runs(tmp_path):
    """Two runs, one of which kept its maps."""
    return [saved(tmp_path / "runs", "msp", maps=1), saved(tmp_path / "runs", "energy")]


def there(hub: Hub, ref: str = "main") -> set[str]:
    found = hub.repositories[f"datasets/{NAME}"].at(ref)
    assert found is not None
    return {path for path in found[1] if path != ".gitattributes"}


def test_records_are_sent_and_come_back_equal(hub, runs, tmp_path):
    push_results(runs, tmp_path / "runs", NAME)
    folder = pulled_runs(f"hub:{NAME}")
    assert store.load_runs(folder) == store.load_runs(tmp_path / "runs")
    assert Records(folder).snapshot().damaged == ()
    for name in ("frames", "curve", "components"):
        assert store.table(folder, runs[0], name) == store.table(tmp_path / "runs", runs[0], name)
    assert store.grid_arrays(folder, runs[0]).keys() == {"thresholds", "tied", "normal", "anomaly"}


def test_a_meta_classification_goes_with_its_run(hub, runs, tmp_path):
    report = a_report(runs[0])
    save_report(tmp_path / "runs", runs[0], report)
    push_results(runs, tmp_path / "runs", NAME)
    folder = pulled_runs(f"hub:{NAME}")
    assert load_reports(folder, runs[0], damaged=pytest.fail) == (report,)


def test_score_maps_are_sent_only_if_asked_for(hub, runs, tmp_path):
    push_results(runs[:1], tmp_path / "runs", NAME)
    assert not any("/scores/" in path for path in there(hub))
    push_results(runs[:1], tmp_path / "runs", NAME, scores=True)
    assert any("/scores/" in path for path in there(hub))
    with pytest.raises(RunError, match="not kept"):
        push_results(runs, tmp_path / "runs", NAME, scores=True)


def test_only_named_runs_and_only_their_records_are_sent(hub, runs, tmp_path):
    folder = store.run_folder(tmp_path / "runs", runs[0])
    (folder / "notes.txt").write_text("my own")
    push_results(runs[:1], tmp_path / "runs", NAME)
    assert not any("energy" in path or "notes" in path for path in there(hub))
    assert "README.md" in there(hub)


def test_pictures_of_closed_data_are_not_sent(hub, tmp_path):
    run = saved(tmp_path / "runs", dataset="road_anomaly")
    thumbnails = store.run_folder(tmp_path / "runs", run) / "thumbnails"
    thumbnails.mkdir(exist_ok=True)
    (thumbnails / "a.image.webp").write_bytes(b"picture")
    push_results([run], tmp_path / "runs", NAME)
    assert not any("thumbnails" in path for path in there(hub))


def test_a_card_that_is_there_is_left_alone(hub, runs, tmp_path):
    hub.repository(f"datasets/{NAME}", {"README.md": b"our words"})
    push_results(runs, tmp_path / "runs", NAME)
    found = hub.repositories[f"datasets/{NAME}"].at("main")
    assert found is not None
    assert found[1]["README.md"] == b"our words"


def test_a_pull_request_leaves_main_alone(hub, runs, tmp_path):
    hub.repository(f"datasets/{NAME}")
    done = push_results(runs, tmp_path / "runs", NAME, create_pr=True)
    assert done.pull_request == 1
    assert there(hub) == set()
    assert "README.md" in there(hub, "refs/pr/1")


def test_the_newest_results_are_read_and_offline_the_last_ones(hub, runs, tmp_path, monkeypatch):
    push_results(runs[:1], tmp_path / "runs", NAME)
    assert len(store.load_runs(pulled_runs(f"hub:{NAME}"))) == 1
    push_results(runs, tmp_path / "runs", NAME)
    newest = pulled_runs(f"hub:{NAME}")
    assert len(store.load_runs(newest)) == 2
    hub_stand_in.cut_off(monkeypatch)
    assert pulled_runs(f"hub:{NAME}") == newest
    with pytest.raises(DataError, match="HF_HUB_OFFLINE"):
        pulled_runs("hub:lab/other")


def test_a_named_revision_stays(hub, runs, tmp_path):
    first = push_results(runs[:1], tmp_path / "runs", NAME).revision
    push_results(runs, tmp_path / "runs", NAME)
    assert len(store.load_runs(pulled_runs(f"hub:{NAME}@{first}"))) == 1


def test_runs_of_several_folders_are_merged_and_the_first_wins(runs, tmp_path):
    other = saved(tmp_path / "other", "msp", quality=2.0)
    saved(tmp_path / "other", "entropy")
    into = merged_runs([tmp_path / "runs", tmp_path / "other"], tmp_path / "into")
    found = {run.method: run for run in store.load_runs(into)}
    assert set(found) == {"msp", "energy", "entropy"}
    assert found["msp"].metrics != other.metrics


@pytest.mark.parametrize("address", ["hub:results", "hub:a/b/c", "hub:"])
def test_an_address_that_is_none_is_told(address):
    with pytest.raises(DataError, match="hub:owner/name"):
        pulled_runs(address)


def test_without_runs_nothing_is_pushed(hub, tmp_path):
    with pytest.raises(RunError, match="no runs"):
        push_results([], tmp_path, NAME)
    assert hub.asked == []


# Model pages


def test_eval_results_are_what_the_hubs_library_reads(tmp_path):
    import yaml

    run = saved(tmp_path, dataset="smiyc_anomaly21_val")
    text = eval_results([run], source="https://example.org/board")
    (entry,) = parse_eval_result_entries(yaml.safe_load(text))
    assert entry.dataset_id == "kumuji/roadanomaly21_roadobstacle21"
    assert entry.task_id == "smiyc_anomaly21_val"
    assert entry.value == round(100 * run.metrics["AP"], 2)
    assert entry.source_url == "https://example.org/board"
    assert run.id in entry.notes
    assert "FPR95" in entry.notes


def test_a_run_that_may_not_rank_is_told_to_no_model_page(tmp_path):
    with pytest.raises(RunError, match="limited"):
        eval_results([saved(tmp_path, dataset="smiyc_anomaly21_val", flags=("limited",))])
    with pytest.raises(RunError, match="--benchmark"):
        eval_results([saved(tmp_path, dataset="synthroad")])


def test_the_command_pushes_records_and_model_pages(hub, runs, tmp_path):
    def harness(*words: object) -> str:
        words = ("push-results", *words, "--out", tmp_path / "runs")
        result = CliRunner().invoke(main, [str(word) for word in words])
        assert result.exit_code == 0, result.stderr
        return result.stdout.strip()

    assert "/commit/" in harness("--to", NAME)
    assert len([path for path in there(hub) if path.endswith("run.json")]) == 2
    hub.repository("models/lab/model")
    words = ("msp", "--to", "lab/model", "--model-page", "--benchmark", "lab/board")
    assert harness(*words).endswith("lab/model/discussions/1")
    found = hub.repositories["models/lab/model"].at("refs/pr/1")
    assert found is not None
    assert b"lab/board" in found[1][".eval_results/road-anomaly.yaml"]


def test_a_board_shows_the_runs_of_several_repositories(hub, runs, tmp_path):
    for run, name in zip(runs, (NAME, "lab/more"), strict=True):
        push_results([run], tmp_path / "runs", name)
    words = ["board", "--from", f"hub:{NAME}", "--from", "hub:lab/more", "--html"]
    done = CliRunner().invoke(main, [*words, str(tmp_path / "site")])
    assert done.exit_code == 0, done.stderr
    page = (tmp_path / "site" / "index.html").read_text("utf-8")
    assert all(run.method in page for run in runs)
    both = CliRunner().invoke(main, [*words, str(tmp_path / "site"), "--inbox", str(tmp_path)])
    assert both.exit_code == 2


def test_a_record_on_the_hub_that_says_it_is_another_run_is_not_shown(hub, runs, tmp_path):
    push_results(runs[:1], tmp_path / "runs", NAME)
    path = f"synthroad/{runs[0].id}/run.json"
    repository = hub.repositories[f"datasets/{NAME}"]
    record = json.loads(repository.commits[repository.refs["main"]][path])
    repository.commit({path: json.dumps({**record, "id": "../../../tmp/evil"}).encode()})
    snapshot = Records(Path(pulled_runs(f"hub:{NAME}"))).snapshot()
    assert snapshot.runs == ()
    assert len(snapshot.damaged) == 1
