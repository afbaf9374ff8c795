"""How runs are put in order: metrics with a direction, their families, and the rules of ranking."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from harness.errors import RunError, unknown_name
from harness.metrics import METRICS, OFFICIAL, Metric
from harness.metrics.flavours import FLAVOURS, Flavour
from harness.types import Run

RANKED: Mapping[str, tuple[str, ...]] = {
    "pixel": ("AP", "AUROC", "FPR95"),
    "component": ("sIoU", "PPV", "F1*"),
    "misclassification": ("mis.AP", "mis.AUROC", "mis.FPR95"),
    "classes": ("mIoU",),
}
"""Per family, the metrics that make its ranks. Those of components use an oracle's threshold and
rank nevertheless, as SegmentMeIfYouCan ranks by them; no other oracle metric ranks unless it is
chosen as the single one."""

RANKING = RANKED["pixel"]
"""The metrics that make ranks unless another family is asked for."""

SHOWN = OFFICIAL["pixel"]
"""The metrics that have a column unless others are asked for."""

KINDS: Mapping[str, str] = {
    "mean rank": "Per metric, a rank is one more than the number of better runs (ties share it); "
    "the order is that of the mean over the metrics, lowest first.",
    "borda": "Per metric, one point for each worse run and half a point for each equal one; the "
    "order is that of the sum over the metrics, highest first. It differs from the mean rank only "
    "where values tie.",
    "single": "The order is that of one metric's values; other runs cannot change it.",
}
"""The kinds of rules, with what they do."""


@dataclass(frozen=True)
class Rule:
    """What makes the order of comparable runs. A run that lacks a metric has no place.

    Raises:
        UnknownName: no kind or metric is called so.
        RunError: a metric has no direction, there is none, or a single one was expected.
    """

    kind: str = "mean rank"  # one of KINDS
    metrics: tuple[str, ...] = RANKING

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown_name("rank rule", self.kind, KINDS)
        if not self.metrics or (self.kind == "single" and len(self.metrics) != 1):
            expected = "one metric" if self.kind == "single" else "at least one metric"
            raise RunError(
                f"rank rule {self.kind}: {len(self.metrics)} metrics, expected {expected}; "
                "choose another metric or another rule."
            )
        for metric in self.metrics:
            if described(metric).higher_is_better is None:
                raise RunError(
                    f"rank rule {self.kind}: {metric} is neither better high nor low, a metric "
                    f"with a direction was expected; choose one of {', '.join(RANKING)}."
                )

    @classmethod
    def of(cls, family: str = "pixel", kind: str = "mean rank", metric: str = "") -> "Rule":
        """The rule of this kind over the ranking metrics of `family`.

        `metric` is the one of the kind "single"; "" is the family's first.

        Raises:
            UnknownName: no family, kind or metric is called so.
        """
        if family not in RANKED:
            raise unknown_name("metric family", family, RANKED)
        return cls(kind, (metric or RANKED[family][0],) if kind == "single" else RANKED[family])

    @property
    def title(self) -> str:
        """The column that says by what the order was made: "mean rank", "Borda points", "AP ↑"."""
        if self.kind == "single":
            return f"{self.metrics[0]} {arrow(self.metrics[0])}"
        return {"mean rank": "mean rank", "borda": "Borda points"}[self.kind]

    @property
    def stated(self) -> str:
        """The whole rule in sentences, for the reader of a table."""
        over = ", ".join(f"{metric} {arrow(metric)}" for metric in self.metrics)
        oracle = [metric for metric in self.metrics if getattr(described(metric), "oracle", False)]
        said = f"Ordered by {self.title}{'' if self.kind == 'single' else f' over {over}'}. "
        said += f"{KINDS[self.kind]} A run that lacks one of these metrics has no place"
        said += " and changes none."
        if oracle:
            said += (
                f" Oracle: {', '.join(oracle)} {'use' if len(oracle) > 1 else 'uses'} a threshold "
                "chosen on the evaluated labels unless one was given; the two are ranked apart."
            )
        return said

    @property
    def higher_is_better(self) -> bool:
        """The direction of the rule's score."""
        if self.kind == "single":
            return bool(described(self.metrics[0]).higher_is_better)
        return self.kind == "borda"

    def scores(self, values: Sequence[Mapping[str, float]]) -> list[Fraction]:
        """What the rule orders by, for complete competitors among themselves, in their order.

        Args:
            values: of each competitor, its value by metric; all have the same metrics.
        """
        totals = [Fraction(0)] * len(values)
        for metric in values[0] if values else ():
            its = [one[metric] for one in values]
            for index, score in enumerate(self._of_metric(metric, its)):
                totals[index] += score
        if self.kind == "mean rank":
            return [total / len(values[0]) for total in totals]
        return totals

    def _of_metric(self, metric: str, values: list[float]) -> list[Fraction]:
        if self.kind == "single":
            return [Fraction(value) for value in values]
        upward = bool(described(metric).higher_is_better)
        from_best = ranks(values, higher_is_better=upward)
        if self.kind == "mean rank":
            return [Fraction(rank or 0) for rank in from_best]
        from_worst = ranks(values, higher_is_better=not upward)
        # rank r means r - 1 better ones; what is neither better nor worse is equal, itself too
        return [
            Fraction(len(values) - (best or 0) + (worst or 0) - 1, 2)
            for best, worst in zip(from_best, from_worst, strict=True)
        ]


def described(metric: str) -> Metric | Flavour:
    """What is known of the metric or flavour called `metric`: title, unit, direction.

    Raises:
        UnknownName: there is none.
    """
    found = METRICS.get(metric) or FLAVOURS.get(metric)
    if found is None:
        raise unknown_name("metric", metric, [*METRICS, *FLAVOURS])
    return found


def ranks(values: Sequence[Any], *, higher_is_better: bool) -> list[int | None]:
    """Competition ranks ("1224"): one more than how many are better; None stays None.

    >>> ranks([0.7, 0.9, None, 0.7, 0.2], higher_is_better=True)
    [2, 1, None, 2, 4]
    """
    there = sorted((v for v in values if v is not None), reverse=higher_is_better)
    first: dict[Any, int] = {}
    for position, value in enumerate(there, start=1):
        first.setdefault(value, position)
    return [None if value is None else first[value] for value in values]


def value(run: Run, metric: str) -> float | None:
    """The run's value of `metric`, a fraction; None where it is missing or undefined."""
    found = run.metrics.get(metric)
    return found if found is not None and math.isfinite(found) else None


def arrow(metric: str) -> str:
    """The direction in which the metric improves; "" where it says nothing of quality.

    >>> arrow("FPR95")
    '↓'
    """
    return {True: "↑", False: "↓", None: ""}[described(metric).higher_is_better]
