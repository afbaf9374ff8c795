"""`custom`: a folder of the user's own images, described by its `dataset.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.data.catalog import Dataset
from harness.data.labels import Values
from harness.errors import DataError

FILE = "dataset.toml"
_KEYS = ("title", "licence", "values")
_MEANINGS = ("normal", "anomaly", "ignore")


def described(entry: Dataset, root: Path) -> Dataset:
    """`entry` with what `root/dataset.toml` says of title, licence and label values.

    Raises:
        DataError: the file is no TOML, or says something else.
    """
    path = root / FILE
    if not path.is_file():
        return entry
    try:
        said = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path}: cannot be read as TOML ({error}). Correct that line.") from error
    _check_keys(path, said, _KEYS, "key")
    for key in ("title", "licence"):
        if not isinstance(said.get(key, ""), str):
            raise DataError(f"{path}: {key} is {said[key]!r}; expected text in quotes.")
    layout = entry.layouts[0]
    if "values" in said:
        layout = replace(layout, values=_values(path, said["values"]))
    return replace(
        entry,
        title=said.get("title", entry.title),
        licence=said.get("licence", entry.licence),
        layouts=(layout,),
    )


def _values(path: Path, said: Any) -> Values:
    if not isinstance(said, Mapping):
        raise DataError(f"{path}: values is {said!r}; expected a table [values].")
    _check_keys(path, said, _MEANINGS, "key in [values]")
    lists: dict[str, tuple[int, ...]] = {}
    for meaning in _MEANINGS:
        values = said.get(meaning, [])
        if not isinstance(values, list) or not all(
            type(value) is int and 0 <= value <= 255 for value in values
        ):
            raise DataError(
                f"{path}: {meaning} is {values!r}; expected a list of whole numbers from 0 to 255."
            )
        lists[meaning] = tuple(values)
    everything = [value for values in lists.values() for value in values]
    if len(set(everything)) < len(everything):
        raise DataError(f"{path}: a value stands twice in [values]; give each one meaning.")
    if not lists["normal"] or not lists["anomaly"]:
        raise DataError(f"{path}: [values] needs a value for both normal and anomaly.")
    return Values(lists["normal"], lists["anomaly"], lists["ignore"])


def _check_keys(path: Path, said: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    for key in said:
        if key not in known:
            raise DataError(f"{path}: no {what} is called '{key}'. Known: {', '.join(known)}.")
