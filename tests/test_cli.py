"""The command line: exit codes, streams, formats, sentences."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import main
from submissions.receipt import Signer


@pytest.fixture
def harness(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*words):
        return CliRunner().invoke(main, [str(word) for word in words])

    return call


RANDOM = ("run", "--method", "random_score", "--dataset", "synthroad", "--limit", 2)


def test_json_has_the_fields_that_scripts_read(harness):
    result = harness(*RANDOM, "--format", "json")
    assert result.exit_code == 0, result.stderr
    (row,) = json.loads(result.stdout)
    assert (row["method"], row["dataset"], row["frames"]) == ("random_score", "synthroad", 2)
    assert {"AP", "AUROC", "FPR95", "bestF1"} <= set(row["metrics"])
    assert 40 < row["metrics"]["AUROC"] < 60  # per cent
    assert row["run"].startswith("random_score-")


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "latex"])
def test_every_format_names_the_method_and_its_ap(harness, form):
    result = harness(*RANDOM, "--format", form)
    assert result.exit_code == 0, result.stderr
    assert "AP" in result.stdout
    assert "random" in result.stdout


def test_stdout_carries_the_answer_only(harness):
    result = harness(*RANDOM, "--format", "json")
    json.loads(result.stdout)
    assert "synthroad" in result.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "-m", "max_logt", "-d", "synthroad"], "Did you mean 'max_logit'?"),
        (["run", "-m", "random_score", "-d", "synthraod"], "Did you mean 'synthroad'?"),
        (["run", "-m", "random_score", "--set", "sede=1"], "Did you mean 'seed'?"),
        (["run", "-m", "msp", "--network", "erfnett"], "Did you mean 'erfnet'?"),
        (["run", "-m", "nowhere.py"], "nowhere.py: no such file"),
        (["run", "-m", "random_score", "-d", "road_anomaly"], "road_anomaly"),
        (["show", "nothing"], "no run in runs is called 'nothing'"),
        (["rescore", "nothing"], "no run in runs is called 'nothing'"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_1(harness, words, sentence):
    result = harness(*words)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["run", "-m", "msp", "--limit", "0"],
        ["run", "-m", "msp", "--limit", "many"],
        ["run", "-m", "msp", "--set", "novalue"],
        ["run", "-m", "msp", "--format", "xml"],
        ["list", "nonsense"],
        ["rescore"],
        ["nonsense"],
    ],
)
def test_misuse_is_exit_code_2(harness, words):
    result = harness(*words)
    assert result.exit_code == 2
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("methods", "max_logit"),
        ("networks", "tiny"),
        ("datasets", "smiyc_anomaly21_val"),
        ("metrics", "FPR95"),
    ],
)
def test_list_names_what_there_is(harness, what, name):
    result = harness("list", what)
    assert result.exit_code == 0
    assert name in result.stdout


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "json", "latex"])
def test_list_networks_tells_each_networks_facts_in_every_format(harness, form):
    result = harness("list", "networks", "--format", form)
    assert (result.exit_code, result.stderr) == (0, "")
    parameters = "27361235" if form in ("csv", "json") else "27,361,235"
    for part in ("segformer-b2-mmseg", "SegFormer-B2 (MMSegmentation)", parameters, "81.08", "hub"):
        assert part in result.stdout


def networks_in_json(harness):
    rows = json.loads(harness("list", "networks", "--format", "json").stdout)
    return {row["name"]: row for row in rows}


def test_every_network_that_is_listed_is_known_by_its_name(harness):
    from methods._network import network_class, network_names

    rows = networks_in_json(harness)
    assert set(rows) == {*network_names(), "smp:ARCHITECTURE:ENCODER"}
    for name in network_names():
        assert rows[name]["title"] == network_class(name).title


def test_list_networks_says_what_the_readme_says(harness):
    rows = networks_in_json(harness)
    lines = (Path(__file__).parents[1] / "methods" / "README.md").read_text("utf-8").splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("| network | parameters |"))
    told = {}
    for line in itertools.takewhile(lambda line: line.startswith("|"), lines[first + 2 :]):
        name, parameters, _, _, miou, weights = (c.strip("` ") for c in line.split("|")[1:-1])
        told[name] = (parameters, miou.strip("–"), weights.split(";")[0].split(":")[0])
    assert set(told) == set(rows)
    words = {"own, included": "in this package", "own, fetched": "fetched", "hub": "hub"}
    for name, (parameters, miou, weights) in told.items():
        row = rows[name]
        assert parameters == (f"{row['parameters'] / 1e6:.2f} M" if row["parameters"] else "")
        assert miou == ("" if row["mIoU"] is None else str(row["mIoU"]))
        assert weights.startswith(words.get(row["weights"], "--weights PATH"))


def test_list_networks_without_torch_has_the_names_and_says_what_is_missing(tmp_path):
    code = "import sys; sys.modules['torch'] = None\nfrom harness.cli import main; main()"
    words = [sys.executable, "-c", code, "list", "networks"]
    result = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert "smp:ARCHITECTURE:ENCODER" in result.stdout
    assert "segformer-b5-mmseg" in result.stdout
    assert result.stderr.count("torch, which is not installed") == 1


@pytest.mark.parametrize("what", ["methods", "datasets", "metrics"])
def test_what_is_listed_comes_as_json_too(harness, what):
    rows = json.loads(harness("list", what, "--format", "json").stdout)
    assert all(row["name"] and row["title"] for row in rows)


@pytest.mark.parametrize(
    "words",
    [("--dataset", "synthraod"), ("--metrics", "AP,APP"), ("--threshold", "nan")],
)
def test_wrong_words_are_refused_before_anything_is_scored(harness, words, tmp_path):
    result = harness(*RANDOM, *words)
    assert result.exit_code in (1, 2)
    assert "random_score:" not in result.stderr
    assert not (tmp_path / "runs").exists()


def test_numbers_that_do_not_exist_are_told_with_their_reason(harness):
    result = harness(*RANDOM[:-4], "--dataset", "synthroad_val", "--limit", 1)
    assert result.exit_code == 0
    assert "random_score has no AP, AUROC" in result.stderr
    assert "there is no anomalous pixel" in result.stderr


def test_list_runs_and_show_know_a_saved_run(harness):
    assert harness(*RANDOM).exit_code == 0
    assert "random_score" in harness("list", "runs").stdout
    shown = harness("show", "random_score")
    assert shown.exit_code == 0, shown.stderr
    for part in ("AP", "fingerprint", "sources", "command", "synthroad_0000"):
        assert part in shown.stdout


def test_show_calls_components_an_oracles_unless_their_threshold_was_given(harness, tmp_path):
    for out, words in (("oracle", ()), ("given", ("--threshold", 0.5))):
        assert harness(*RANDOM, "--out", tmp_path / out, *words).exit_code == 0
    lines = {
        out: harness("show", "random_score", "--out", tmp_path / out).stdout.splitlines()
        for out in ("oracle", "given")
    }
    (siou,) = (line for line in lines["given"] if line.startswith("  sIoU"))
    assert siou.endswith("(threshold given)")
    (siou,) = (line for line in lines["oracle"] if line.startswith("  sIoU"))
    assert siou.endswith("(oracle)")


def test_an_answer_that_cannot_be_written_is_one_sentence(harness, monkeypatch):
    def full(*words, **facts):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("harness.commands.records.print_rows", full)
    result = harness("list", "runs")
    assert (result.exit_code, "No space left" in result.stderr) == (1, True)
    assert "Traceback" not in result.stderr


def test_show_json_is_the_record(harness):
    harness(*RANDOM)
    record = json.loads(harness("show", "random_score", "--format", "json").stdout)
    assert record["flags"] == ["limited"]
    assert record["provenance"]["code"]


def test_rescore_agrees(harness):
    harness(*RANDOM, "--keep-scores")
    result = harness("rescore", "random_score")
    assert result.exit_code == 0, result.stderr
    assert "agrees" in result.stdout


def test_without_a_data_set_synthroad_is_said_and_taken(harness):
    result = harness("run", "-m", "random_score", "--limit", 1)
    assert result.exit_code == 0, result.stderr
    assert "data sets: synthroad" in result.stderr


def test_data_status_names_every_set(harness):
    from harness.data import dataset_names

    result = harness("data", "status")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in dataset_names())


def test_doctor_tells_versions_and_device(harness):
    result = harness("doctor")
    assert result.exit_code == 0, result.stderr
    assert "numpy" in result.stdout
    assert "device" in result.stdout


def test_the_board_is_written(harness, tmp_path):
    harness(*RANDOM)
    result = harness("board", "--html", "board")
    assert result.exit_code == 0, result.stderr
    assert "random_score" in Path(result.stdout.strip()).read_text("utf-8")


def test_help_answers_without_heavy_imports():
    code = (
        "import sys; from click.testing import CliRunner; from harness.cli import main;"
        "CliRunner().invoke(main, ['--help']);"
        "print([m for m in ('torch', 'pandas', 'numpy', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_module_runs_too():
    done = subprocess.run(
        [sys.executable, "-m", "harness", "--help"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        timeout=60,
    )
    assert done.returncode == 0
    assert "Score, evaluate and compare" in done.stdout


def test_an_invalidated_run_stays_readable_and_says_why(harness):
    harness(*RANDOM)
    assert harness("invalidate", "random_score", "--why", "wrong labels").exit_code == 0
    shown = harness("show", "random_score").stdout
    assert "invalidated" in shown
    assert "wrong labels" in shown


def test_a_deleted_run_is_gone_and_asks_first(harness):
    harness(*RANDOM)
    assert harness("delete", "random_score").exit_code == 1  # nobody said yes
    assert "random_score" in harness("list", "runs").stdout
    assert harness("delete", "random_score", "--yes").exit_code == 0
    assert "random_score" not in harness("list", "runs").stdout


def test_evaluate_gives_the_numbers_of_the_run_that_made_the_maps(harness):
    own = json.loads(harness(*RANDOM, "--keep-scores", "--format", "json").stdout)[0]
    maps = Path("runs/synthroad") / own["run"]
    words = ("evaluate", maps, "--dataset", "synthroad", "--limit", 2, "--format", "json")
    (row,) = json.loads(harness(*words).stdout)
    assert row["metrics"] == own["metrics"]


def test_all_metrics_and_flavours_can_be_asked_for(harness):
    result = harness(*RANDOM, "--metrics", "all", "--flavours", "--format", "json")
    (row,) = json.loads(result.stdout)
    assert {"AP", "sIoU", "F1*", "F1@25", "TP@25", "smiyc_kit.AP"} <= set(row["metrics"])


def test_metrics_are_chosen_by_name(harness):
    (row,) = json.loads(harness(*RANDOM, "--metrics", "AUROC,PPV", "--format", "json").stdout)
    assert set(row["metrics"]) == {"AUROC", "PPV"}
    result = harness("list", "runs", "--metrics", "AUROK")
    assert result.exit_code == 1
    assert "Did you mean 'AUROC'?" in result.stderr


def test_compare_prints_differences_and_p_values(harness):
    harness(*RANDOM, "--seed", 1, "--seed", 2)
    runs = json.loads(harness("list", "runs", "--format", "json").stdout)
    result = harness("compare", *(run["run"] for run in runs))
    assert result.exit_code == 0, result.stderr
    assert "p (Holm)" in result.stdout
    assert harness("compare", runs[0]["run"]).exit_code == 2


def test_intervals_stand_behind_the_values(harness):
    result = harness(*RANDOM, "--intervals", "--metrics", "AUROC")
    assert result.exit_code == 0, result.stderr
    assert "[" in result.stdout.splitlines()[1]


def test_a_damaged_record_is_told_and_hides_no_other(harness):
    harness(*RANDOM, "--seed", 1, "--seed", 2)
    (first, _) = sorted(Path("runs/synthroad").iterdir())
    (first / "run.json").write_text("{")
    result = harness("list", "runs")
    assert result.exit_code == 0
    assert "random_score" in result.stdout
    assert first.name in result.stderr


def test_a_token_is_printed_once_and_an_empty_inbox_is_judged_at_once(harness):
    made = harness("token", "--inbox", "inbox", "laboratory")
    assert made.exit_code == 0, made.stderr
    assert len(made.stdout.split()) == 1
    assert "1 tokens" in harness("token", "--inbox", "inbox", "laboratory", "--revoke").stderr
    judged = harness("judge", "--inbox", "inbox", "--once")
    assert (judged.exit_code, judged.stdout) == (0, "")


def test_verify_wants_keys_and_refuses_a_run_without_a_receipt(harness, monkeypatch):
    monkeypatch.delenv("HARNESS_BOARD_KEYS", raising=False)
    harness(*RANDOM)
    assert harness("verify", "random_score").exit_code == 2
    Signer(Path("keys")).public()  # a board makes its keys when they are first needed
    result = harness("verify", "random_score", "--keys", "keys/public.txt")
    assert result.exit_code == 1
    assert "receipt" in result.stderr


@pytest.mark.parametrize("form", ["text", "json"])
def test_check_lists_every_problem_and_exits_with_1(harness, tmp_path, form):
    (tmp_path / "mine" / "scores").mkdir(parents=True)
    words = ("check", "mine", "--dataset", "synthroad", "--limit", 2, "--format", form)
    result = harness(*words)
    assert result.exit_code == 1
    assert "card-missing" in result.stdout
    assert "synthroad_0001" in result.stdout
