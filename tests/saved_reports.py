"""A meta classification of a run for tests of the board: numbers that nobody measured."""

from dataclasses import replace
from typing import Any

from harness.meta_report import BY_FRAMES, OWN, PUBLISHED, MetaReport, Removal
from harness.types import Run


def a_report(run: Run, **facts: Any) -> MetaReport:
    """A report on `run`: both oracles, and a classifier that was fitted elsewhere."""
    published = Removal(
        protocol=PUBLISHED,
        learned_from=("synthroad",),
        oracle=True,
        auroc=0.95,
        ap=0.5,
        accuracy=0.875,
        fp_before=1100,
        fp_removed=1070,
        fp_remaining=30,
        tp_removed=7,
        fn_before=12,
        fn_after=14,
        fp_after_as_released=7,
    )
    others = (
        replace(published, protocol=BY_FRAMES, auroc=0.9),
        replace(published, protocol=OWN, oracle=False, learned_from=("elsewhere",), auroc=0.85),
    )
    known: dict[str, Any] = {
        "dataset": run.dataset,
        "run": run.id,
        "method": run.method,
        "threshold": 0.7,
        "classifier": "logistic",
        "folds": 10,
        "seed": 0,
        "frames": 6,
        "segments": 1404,
        "objects": 20,
        "removals": (published, *others),
    }
    return MetaReport(**known | facts)
