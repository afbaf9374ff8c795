"""What is wrong with a submission: typed problems, all at once, for people and for programs."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from harness.errors import HarnessError

CODES: Mapping[str, str] = {
    "archive": "the zip file, or a name in it, is not what it should be",
    "card-missing": "there is no submission.toml",
    "card-syntax": "submission.toml is no TOML",
    "card-field": "a field of submission.toml is missing, unknown or wrong",
    "missing": "a frame has no score map",
    "extra": "a file that belongs to no frame",
    "several": "a frame has several score maps",
    "unreadable": "a file is damaged, or of another format or dtype",
    "eight-bit": "an 8-bit map, which ties too many pixels",
    "scale-missing": "16-bit PNG or TIFF files without scale and offset in the card",
    "size": "a map of another size than the image",
    "transposed": "a map of (width, height) instead of (height, width)",
    "resized": "a map of the image's proportions at another size",
    "nan": "NaN among the scores",
    "infinite": "infinity among the scores",
    "constant": "a map of one value; an error where all maps are so, else a warning",
    "saturated": "many pixels of a map share its largest or smallest score",
    "few-levels": "a map of 256 values or fewer",
    "repeated": "two frames with the same map",
    "inverted": "normal pixels score higher than anomalous ones (public labels only)",
    "classes": "a file in classes/ is missing, damaged, of another size or holds other values",
    "unchecked": "something could not be checked here, and why",
}
"""Every code that a problem can have, with its meaning."""

SHOWN_FRAMES = 3  # named in a line of text; the JSON form names all
SHOWN_LINES = 10  # of one kind of problem


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong (an error), or looks so (a warning)."""

    code: str  # of CODES
    sentence: str
    frame: str = ""  # "": the submission as a whole
    level: Literal["error", "warning"] = "error"


@dataclass(frozen=True)
class Report:
    """What the check of one submission found; valid where no problem is an error."""

    dataset: str
    frames: int  # that the data set has
    problems: tuple[Problem, ...]

    @property
    def valid(self) -> bool:
        """Whether the submission would be evaluated."""
        return not self.errors

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that make it invalid."""
        return tuple(each for each in self.problems if each.level == "error")

    def to_json(self) -> str:
        """The report as JSON with sorted keys, each problem with its code, level and frame."""
        facts = {
            "dataset": self.dataset,
            "frames": self.frames,
            "problems": [vars(each) for each in self.problems],
            "valid": self.valid,
        }
        return json.dumps(facts, indent=1, sort_keys=True)

    def text(self) -> str:
        """The report for people: a verdict, then one line for each kind of problem."""
        count = len(self.errors)
        warned = len(self.problems) - count
        warnings = f", {warned} {_plural('warning', warned)}" if warned else ""
        verdict = (
            f"valid for {self.dataset}: {self.frames} score maps{warnings}"
            if self.valid
            else f"not valid for {self.dataset}: {count} {_plural('error', count)}{warnings}"
        )
        return "\n".join([verdict, *(f"  {line}" for line in _lines(self.problems))])


class InvalidSubmission(HarnessError):  # noqa: N818 (named after what it says)
    """A submission that cannot be evaluated; its `report` says why."""

    def __init__(self, report: Report):
        super().__init__(report.text())
        self.report = report


def shown(text: str) -> str:
    """`text` from a stranger, fit for a terminal: escaped where a character is not printable."""
    return text if text.isprintable() else ascii(text)


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"


def _lines(problems: Iterable[Problem]) -> Iterator[str]:
    kinds: dict[str, list[Problem]] = {}
    for each in problems:
        about = "frame" if each.frame else "all"
        kinds.setdefault(f"{each.level} {each.code} {about}", []).append(each)
    for group in kinds.values():
        first = group[0]
        kind = f"{first.level} {first.code}"
        if first.frame:
            names = ", ".join(each.frame for each in group[:SHOWN_FRAMES])
            more = f" and {len(group) - SHOWN_FRAMES} more" if len(group) > SHOWN_FRAMES else ""
            yield f"{kind}: {names}{more}: {first.sentence}"
            continue
        yield from (f"{kind}: {each.sentence}" for each in group[:SHOWN_LINES])
        if len(group) > SHOWN_LINES:
            yield f"{kind}: {len(group) - SHOWN_LINES} more like these"
