"""submission.toml: who made the score maps, how, and what may be done with them."""

import difflib
import math
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from harness.data import DATASETS
from harness.metrics import METRICS
from harness.score_files import LARGEST_LEVEL, Scaling
from submissions.report import Problem, shown

FILE = "submission.toml"
MOST_BYTES = 8192  # more would take the TOML reader long
MOST_CHARACTERS = 300  # of a text
MOST_NAME_CHARACTERS = 80  # of a method, an author, a data set
MOST_ITEMS = 100  # of a list
LARGEST = 1e30  # of scale and offset: levels stay far inside float32

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Card:
    """What submission.toml says; texts are NFC, without control or invisible characters."""

    method: str
    authors: tuple[str, ...]  # () where `anonymous`
    anonymous: bool
    contact: str  # an e-mail or web address, for the board's host alone
    network: str
    trained_on: tuple[str, ...]  # data sets, by the names of `harness list datasets` if there
    proxy_outliers: tuple[str, ...]  # data that stood in for anomalies
    same_checkpoint: bool  # the same weights for all data sets?
    paper: str = ""
    code: str = ""
    open_maps: bool = False  # may the board publish the score maps?
    scaling: Scaling | None = None  # of 16-bit PNG and TIFF files
    claimed: Mapping[str, float] = field(default_factory=dict)  # metric -> as printed, so per cent

    @property
    def seen(self) -> tuple[str, ...]:
        """The data that the method has seen; proxy outliers are marked as such.

        Those that the catalogue knows are there by their plain name, too, by which overlaps with
        test data are looked up.
        """
        known = (name for name in self.proxy_outliers if name in DATASETS)
        proxies = (f"{name} as proxy outliers" for name in self.proxy_outliers)
        return tuple(dict.fromkeys((*self.trained_on, *known, *proxies)))

    def public(self) -> dict[str, Any]:
        """All fields but the contact, as values that JSON has."""
        facts = asdict(self)
        del facts["contact"]
        return {k: list(v) if isinstance(v, tuple) else v for k, v in facts.items()}


def parsed(content: bytes) -> tuple[Card | None, tuple[Problem, ...]]:
    """The card in the bytes of a submission.toml, and all that is wrong; None where anything is."""
    if len(content) > MOST_BYTES:
        return None, (Problem("card-syntax", f"{FILE} has more than {MOST_BYTES:,} bytes."),)
    try:
        facts = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return None, (Problem("card-syntax", f"{FILE} is not UTF-8 text; save it as such."),)
    except (ValueError, RecursionError) as error:
        why = "too deeply nested" if isinstance(error, RecursionError) else shown(str(error))
        return None, (Problem("card-syntax", f"{FILE} is no TOML ({why}); correct that line."),)
    reading = _Reading(facts)
    card = reading.card()
    reading.refuse_unknown()
    warnings = _doubts(card)
    return None if reading.problems else card, (*reading.problems, *warnings)


class _Reading:
    """One pass over the fields of a card, collecting what is wrong with them."""

    def __init__(self, facts: dict[str, Any]):
        self.facts = facts
        self.known: list[str] = []
        self.problems: list[Problem] = []

    def card(self) -> Card:
        """The card; of use only where `problems` stays empty."""
        anonymous = self._flag("anonymous", default=False)
        authors = self._list("authors", default=())
        if anonymous and authors:
            self._wrong("give either authors or anonymous = true, not both.")
        if not anonymous and not authors and not self._complained("authors"):
            self._wrong('authors is missing; expected ["Name", …], or anonymous = true.')
        card = Card(
            method=self._text("method", most=MOST_NAME_CHARACTERS),
            authors=authors,
            anonymous=anonymous,
            contact=self._contact(),
            network=self._text("network", most=MOST_NAME_CHARACTERS),
            trained_on=self._list("trained_on"),
            proxy_outliers=self._list("proxy_outliers"),
            same_checkpoint=self._flag("same_checkpoint"),
            paper=self._address("paper"),
            code=self._address("code"),
            open_maps=self._flag("open_maps", default=False),
            scaling=self._scaling(),
            claimed=self._claimed(),
        )
        if not self._flag("accepts_terms") and not self._complained("accepts_terms"):
            self._wrong(
                "accepts_terms is false; true is needed: you made the maps without the labels, and "
                "the results may be published with what this card says (the contact excepted)."
            )
        return card

    def refuse_unknown(self) -> None:
        """Complains of every key that no field has."""
        for key in self.facts:
            if key not in self.known:
                self._unknown(key, self.known, "field")

    def _unknown(self, key: str, known: list[str], what: str) -> None:
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}."
        self._wrong(f"no {what} is called {shown(key[:60])}; {hint}")

    def _wrong(self, sentence: str) -> None:
        self.problems.append(Problem("card-field", f"{FILE}: {sentence}"))

    def _complained(self, key: str) -> bool:
        return any(each.sentence.startswith(f"{FILE}: {key} ") for each in self.problems)

    def _take(self, key: str, kind: type[_Value], expected: str, default: _Value | None) -> _Value:
        """The value of `key`; where it is missing or of another type, something to go on with."""
        self.known.append(key)
        if key not in self.facts:
            if default is None:
                self._wrong(f"{key} is missing; expected {expected}.")
            return kind() if default is None else default
        value = self.facts[key]
        if type(value) is not kind:
            self._wrong(f"{key} is {_brief(value)}; expected {expected}.")
            return kind()
        return value

    def _flag(self, key: str, default: bool | None = None) -> bool:
        return self._take(key, bool, "true or false", default)

    def _text(self, key: str, *, most: int, default: str | None = None) -> str:
        value = self._take(key, str, "text in quotes", default)
        if key in self.facts and default is None and not value.strip():
            if not self._complained(key):
                self._wrong(f"{key} is empty; expected text.")
            return ""
        return self._clean(key, value, most)

    def _clean(self, what: str, value: str, most: int) -> str:
        """`value` in NFC, without spaces around it; complains of characters that hide or trick."""
        value = unicodedata.normalize("NFC", value[: 4 * most]).strip()
        if len(value) > most:
            self._wrong(f"{what} has more than {most} characters.")
        for character in value:
            kind = unicodedata.category(character)
            if kind.startswith("C") or kind in ("Zl", "Zp"):
                self._wrong(
                    f"{what} holds the character {character!a}, which cannot be seen or moves "
                    "others; leave it out."
                )
                break
        return value

    def _list(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        expected = 'a list of texts, ["…", …], or []'
        values = self._take(key, list, expected, None if default is None else list(default))
        if len(values) > MOST_ITEMS:
            self._wrong(f"{key} has more than {MOST_ITEMS} items.")
            return ()
        if not all(type(each) is str and each.strip() for each in values):
            self._wrong(f"{key} is {_brief(values)}; expected {expected}.")
            return ()
        return tuple(self._clean(f"{key}", each, MOST_NAME_CHARACTERS) for each in values)

    def _contact(self) -> str:
        value = self._text("contact", most=MOST_CHARACTERS)
        mail = re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value)
        if value and not mail and not _is_address(value):
            self._wrong("contact is no e-mail or web address; it is for the board's host alone.")
        return value

    def _address(self, key: str) -> str:
        value = self._text(key, most=MOST_CHARACTERS, default="")
        if value and not _is_address(value):
            self._wrong(f'{key} is {_brief(value)}; expected "https://…", or "".')
        return value

    def _scaling(self) -> Scaling | None:
        numbers = self._numbers("scores", ["scale", "offset"])
        if numbers is None:
            return None
        if set(self.facts["scores"]) < {"scale", "offset"}:
            self._wrong("[scores] needs both scale and offset: score = offset + scale * level.")
        if len(numbers) < 2:
            return None
        scaling = Scaling(numbers["scale"], numbers["offset"])
        if not 0 < scaling.scale < LARGEST or abs(scaling.offset) > LARGEST:
            self._wrong("scale must be above 0, so that higher levels are more anomalous.")
            return None
        if len({float(s) for s in _ends(scaling)}) < len(_ENDS):
            self._wrong("scale is so small beside offset that float32 merges levels.")
            return None
        return scaling

    def _claimed(self) -> dict[str, float]:
        claimed = self._numbers("claimed", list(METRICS)) or {}
        for name, value in claimed.items():
            if METRICS[name].unit == "%" and not 0 <= value <= 100:
                self._wrong(f"claimed {name} is {value}; expected per cent, 0 to 100.")
        return claimed

    def _numbers(self, table: str, names: list[str]) -> dict[str, float] | None:
        """The finite numbers in a table of the card, by name; None where there is no table."""
        self.known.append(table)
        if table not in self.facts:
            return None
        values = self.facts[table]
        if not isinstance(values, dict):
            self._wrong(f"{table} is {_brief(values)}; expected a table [{table}].")
            return None
        numbers = {}
        for key, value in values.items():
            if key not in names:
                self._unknown(key, names, f"entry of [{table}]")
            elif type(value) not in (int, float) or not _finite(value):
                self._wrong(f"{key} in [{table}] is {_brief(value)}; expected a number.")
            else:
                numbers[key] = float(value)
        return numbers


_ENDS = (0, 1, LARGEST_LEVEL - 1, LARGEST_LEVEL)


def _ends(scaling: Scaling) -> NDArray[np.float32]:
    return scaling.scores(np.array(_ENDS, np.uint16))


def _finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond float64
        return False


def _is_address(text: str) -> bool:
    if re.search(r"[\s\"'<>\\`]", text):
        return False
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and "." in host and "@" not in parts.netloc


def _brief(value: Any) -> str:
    try:
        text = ascii(value) if not isinstance(value, dict) else "a table"
    except ValueError:  # Python prints no integer of more than 4,300 digits
        text = "a huge number"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _doubts(card: Card) -> tuple[Problem, ...]:
    rates = [v for name, v in card.claimed.items() if METRICS[name].unit == "%"]
    if rates and max(rates) <= 1 and max(rates) > 0:
        sentence = f"{FILE}: the claimed metrics are all below 1; they are read as per cent."
        return (Problem("card-field", sentence, level="warning"),)
    return ()
