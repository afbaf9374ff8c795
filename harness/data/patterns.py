"""Patterns of paths, like `images/{id}`: the files below a folder that fit one, by their id.

`{id}` is the frame's id, `{n}` a four-digit number that is no part of it, `*` any one folder.
"""

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from harness.data.images import ENDINGS


def files(
    folder: Path, patterns: tuple[str, ...], endings: tuple[str, ...] = ENDINGS
) -> dict[str, list[Path]]:
    """The files below `folder` that fit a pattern, by the id in their path, in a fixed order.

    A file counts for the first pattern only; hidden files and other endings do not count.
    """
    by_id: dict[str, list[Path]] = {}
    seen: set[Path] = set()
    for pattern in patterns:
        stem, ending = _split(pattern)
        only = (ending,) if ending in endings else endings
        for id, path in _matching(folder, tuple(stem.split("/")), only, ""):
            if path not in seen:
                seen.add(path)
                by_id.setdefault(id, []).append(path)
    return by_id


def readable(pattern: str, id: str = "FRAME") -> str:
    """The path that `pattern` stands for, with `id` in it, for people to read."""
    return pattern.replace("{n}", "0000").replace("{id}", id).replace("*", "SCENE")


def _matching(
    folder: Path, parts: tuple[str, ...], endings: tuple[str, ...], id: str
) -> Iterator[tuple[str, Path]]:
    part, rest = parts[0], parts[1:]
    if rest and "*" not in part and "{" not in part:
        if (folder / part).is_dir():
            yield from _matching(folder / part, rest, endings, id)
        return
    expression = _expression(part)
    with os.scandir(folder) as scanned:
        entries = sorted(scanned, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        stem, ending = (entry.name, "") if rest else _split(entry.name)
        fits = expression.fullmatch(stem)
        if not fits:
            continue
        this = fits.groupdict().get("id", id)
        if rest:
            if entry.is_dir():
                yield from _matching(Path(entry.path), rest, endings, this)
        elif ending.lower() in endings and entry.is_file():
            yield this, Path(entry.path)


def _split(name: str) -> tuple[str, str]:
    """A file name without its ending, and its ending if it is a known one, like ".png"."""
    stem, dot, ending = name.rpartition(".")
    known = stem and f".{ending.lower()}" in (*ENDINGS, ".npz")
    return (stem, f"{dot}{ending}") if known else (name, "")


@cache
def _expression(part: str) -> re.Pattern[str]:
    escaped = re.escape(part)
    for token, means in ((r"\{id\}", "(?P<id>.+)"), (r"\{n\}", r"\d{4}"), (r"\*", ".*")):
        escaped = escaped.replace(token, means)
    return re.compile(escaped)
