"""Paired comparison of saved runs."""

import dataclasses

import pytest

from harness import store
from harness.compare import COMPARED, compare_runs, comparison_table, frame_components
from harness.data import load_frames
from harness.errors import RunError
from harness.metrics import METRICS
from harness.metrics.pixel import total
from harness.run import build, run


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    frames = load_frames("synthroad", limit=4)
    methods = [pair for seed in "12" for pair in build(["random_score"], {"seed": seed})]
    return out, run([*methods, *build(["max_logit"], {})], frames, out=out)


def test_every_pair_is_compared_in_every_metric(saved):
    out, runs = saved
    found = compare_runs(out, runs)
    assert [each.metric for each in found[::3]] == list(COMPARED)
    assert len(found) == 3 * len(COMPARED)


def test_the_difference_is_that_of_the_exact_values(saved):
    out, runs = saved
    for each in compare_runs(out, runs):
        expected = each.first.metrics[each.metric] - each.second.metrics[each.metric]
        assert each.comparison.difference == pytest.approx(expected, abs=1e-15)


def test_a_run_does_not_differ_from_itself(saved):
    out, (first, *_) = saved
    found = compare_runs(out, [first, first])
    assert all(each.comparison.difference == 0 for each in found)
    assert all(each.comparison.low <= 0 <= each.comparison.high for each in found)


def test_correction_never_lowers_a_p_value(saved):
    out, runs = saved
    assert all(each.corrected_p >= each.comparison.p for each in compare_runs(out, runs))


def test_runs_on_other_frames_are_refused(saved):
    out, (first, second, _) = saved
    other = dataclasses.replace(second, fingerprint="0" * 64)
    with pytest.raises(RunError, match="not scored on the same frames"):
        compare_runs(out, [first, other])


def test_one_run_is_not_enough(saved):
    out, runs = saved
    with pytest.raises(RunError, match="two runs or more"):
        compare_runs(out, runs[:1])


def test_a_run_without_counts_is_one_sentence(saved, tmp_path):
    out, (first, second, _) = saved
    path = store.run_folder(out, second) / "grid.npz"
    content = path.read_bytes()
    path.unlink()
    try:
        with pytest.raises(RunError, match="score again"):
            compare_runs(out, [first, second])
    finally:
        path.write_bytes(content)


def test_the_table_names_both_runs_and_warns_of_few_frames(saved):
    out, runs = saved
    text = comparison_table(compare_runs(out, runs))
    assert all(run.id in text for run in runs)
    assert "4 frames or scenes" in text
    assert "hint" in text


def test_saved_components_give_the_component_metrics(saved):
    out, (*_, run) = saved
    ids = store.frame_table(out, run).column("id").to_pylist()
    counts = total(frame_components(out, run, ids))
    for name in ("sIoU", "PPV", "F1*", "TP@50", "FP@50"):
        assert METRICS[name].value(counts) == run.metrics[name]
