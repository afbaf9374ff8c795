"""What can go wrong through a user's data, files or words, each told in one sentence.

HarnessError                a sentence: where, what was found, what was expected, what to do
├── UnknownName             no method, network, data set, option or run is called so
├── DataError               images or labels are missing, broken or not what the entry says
├── ScoreError              a score map has the wrong size, type or values
├── MethodError             a method's or network's file, options or weights cannot be used
├── MetricError             a metric is not defined on these pixels
└── RunError                a run cannot be saved, resumed or read
"""

import difflib
from collections.abc import Iterable


class HarnessError(Exception):
    """A mistake that a user can mend; its text is one clear sentence, shown without a traceback."""


class UnknownName(HarnessError):  # noqa: N818 (named after what it says)
    """No method, network, data set, option or run is called so."""


class DataError(HarnessError):
    """Images or labels are missing, broken or not what the catalogue's entry says."""


class ScoreError(HarnessError):
    """A score map has the wrong size, type or values."""


class MethodError(HarnessError):
    """A method's or network's file, options or weights cannot be used."""


class MetricError(HarnessError):
    """A metric is not defined on these pixels."""


class RunError(HarnessError):
    """A run cannot be saved, resumed or read."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """An `UnknownName` error that answers with the nearest known name, or with all of them.

    >>> print(unknown_name("method", "maxlogit", ["max_logit", "msp"]))
    no method is called 'maxlogit'. Did you mean 'max_logit'?
    """
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=1)
    if nearest:
        return UnknownName(f"no {kind} is called '{name}'. Did you mean '{nearest[0]}'?")
    return UnknownName(f"no {kind} is called '{name}'. Known: {', '.join(names) or 'none'}.")
