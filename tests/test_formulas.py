"""Every metric that a board shows is explained."""

from harness.metrics import METRICS, OFFICIAL
from leaderboard.formulas import FORMULAS
from leaderboard.rules import RANKED


def test_every_metric_that_is_shown_or_ranks_has_a_formula_and_a_trap() -> None:
    shown = {metric for table in (OFFICIAL, RANKED) for its in table.values() for metric in its}
    assert shown <= FORMULAS.keys()


def test_only_metrics_that_exist_are_explained() -> None:
    assert FORMULAS.keys() <= METRICS.keys()
