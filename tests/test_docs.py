"""The documents say what is so: their commands run, their links lead somewhere, all is named.

A fence marked ```console is a session in a shell: lines that begin with `$ ` are commands (a
backslash at the end continues one, and so does <<'END' up to END), the lines below are their
output. The commands of one document run one after the other in one copy of the repository. Each
line of the output must be printed again, on stdout or stderr, in any place, where

- spaces in a row are one space, and a line of nothing but `…` stands for lines left out;
- a number with exactly one decimal, or one followed by s, ms, min or /s, is a time or a rate: any
  number does;
- ten or more hex digits are an identity, which changes with the sources: any do;
- another number with decimals may be off by 0.2, because other machines round differently.

`git clone`, `cd`, `make` (but for `make demo`, in a slow test) and servers (`harness board` without
--html) are not run. What cannot run on every machine, such as a command on licensed images, is
marked ```sh instead.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

import harness.cli
from harness.data import dataset_names
from harness.method import method_names
from harness.metrics import METRICS

REPOSITORY = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
ROOMS = ("harness", "methods", "submissions", "leaderboard", "benchmarks")
DOCUMENTS = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for paths in (REPOSITORY.glob("*.md"), *((REPOSITORY / r).rglob("*.md") for r in ROOMS))
    for path in paths
)
NOT_RUN = re.compile(r"make\b|git clone\b|cd\b|harness board(?!.*--html)")
RUN_DEPENDENT = re.compile(
    r"(?P<identity>\b[0-9a-f]{10,}\b)"
    r"|(?P<time>\b\d+(?:\.\d+)?(?= ?(?:s|ms|min|/s)\b)|(?<![\w.])\d+\.\d(?![\d.]))"
    r"|(?P<number>(?<![\w.])-?\d+\.\d+(?![\d.]))"
)
SLACK = 0.2  # points of a per cent
SECONDS = 300  # after which a command has hung


@dataclass(frozen=True)
class Command:
    """One command of a document, with the output that the document shows for it."""

    line: int  # of the document, from 1
    text: str
    output: tuple[str, ...]


def commands(document: str) -> Iterator[Command]:
    """The commands of all console fences in the text `document`, in order."""
    fences = re.finditer(r"^```console\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)
    for fence in fences:
        number = document.count("\n", 0, fence.start(1)) + 1
        for session in re.split(r"^(?=\$ )", fence[1], flags=re.MULTILINE):
            if session.startswith("$ "):
                joined = re.sub(r"\\\n\s*", "", session[2:])
                heredoc = re.match(r".*<<'(\w+)'.*\n(?:.*\n)*?\1\n", joined)
                end = heredoc.end() if heredoc else joined.index("\n") + 1
                text, rest = joined[:end].rstrip("\n"), joined[end:].split("\n")
                shown = (line for line in rest if line.strip() not in ("", "…", "..."))
                yield Command(number, text, tuple(shown))
            number += session.count("\n")


def agrees(shown: str, printed: str) -> bool:
    """Whether a document may show the line `shown` where `printed` is printed."""

    def skeleton(line: str) -> tuple[str, list[float]]:
        numbers: list[float] = []

        def kind(match: re.Match[str]) -> str:
            if match["number"]:
                numbers.append(float(match["number"]))
            return f"<{match.lastgroup}>"

        return RUN_DEPENDENT.sub(kind, " ".join(line.split())), numbers

    (text, numbers), (printed_text, printed_numbers) = skeleton(shown), skeleton(printed)
    return text == printed_text and all(
        abs(a - b) <= SLACK for a, b in zip(numbers, printed_numbers, strict=True)
    )


def linked(name: str) -> list[str]:
    """The files of the repository that the document `name` links to."""
    text = (REPOSITORY / name).read_text("utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    folder = Path(name).parent
    return [(folder / target).as_posix() for target in targets if "://" not in target]


def documentation() -> str:
    """The text of README.md and of the documents that it links to."""
    names = ["README.md", *(name for name in linked("README.md") if name in DOCUMENTS)]
    return "\n".join((REPOSITORY / name).read_text("utf-8") for name in names)


def command_names(command: click.Command, name: str) -> Iterator[str]:
    """The full names of `command` or, where it is a group, of all that lie below it."""
    if isinstance(command, click.Group):
        for key, each in command.commands.items():
            yield from command_names(each, f"{name} {key}")
    else:
        yield name


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the repository's sources and documents, to run commands in."""
    folder = tmp_path / "road-anomaly-harness"
    for room in ROOMS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / room, folder / room, ignore=ignored)
    for path in REPOSITORY.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    return folder


def check(command: Command, copy: Path, *, document: str, really: str = "") -> None:
    """Runs `command` (or `really` in its place) in `copy` and compares what it prints."""
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", really or command.text],
        cwd=copy,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(copy), "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    where = f"{document}:{command.line}: $ {command.text}\n{done.stdout}"
    assert done.returncode == 0, where
    printed = done.stdout.splitlines()
    absent = [line for line in command.output if not any(agrees(line, p) for p in printed)]
    assert absent == [], where


@pytest.mark.parametrize(
    "name", [n for n in DOCUMENTS if "```console" in (REPOSITORY / n).read_text("utf-8")]
)
def test_the_commands_of_a_document_print_what_it_shows(name: str, copy: Path) -> None:
    for command in commands((REPOSITORY / name).read_text("utf-8")):
        if not NOT_RUN.match(command.text):
            check(command, copy, document=name)


@pytest.mark.slow
def test_the_demo_prints_what_the_first_screen_shows(copy: Path) -> None:
    document = (REPOSITORY / "README.md").read_text("utf-8")
    (demo,) = (each for each in commands(document) if each.text == "make demo")
    installed = f"make demo -o .venv/.installed BIN={BIN}"  # without setting up once more
    check(demo, copy, document="README.md", really=installed)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_links_of_a_document_lead_to_files(name: str) -> None:
    assert [target for target in linked(name) if not (REPOSITORY / target).exists()] == []


@pytest.mark.parametrize("name", sorted(command_names(harness.cli.main, "harness")))
def test_every_command_is_documented(name: str) -> None:
    assert re.search(rf"{name}\b", documentation())


@pytest.mark.parametrize("name", method_names())
def test_every_method_is_documented(name: str) -> None:
    assert f"`{name}`" in documentation()


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (REPOSITORY / "methods/networks").glob("[!_]*.py"))
)
def test_every_network_is_documented(name: str) -> None:
    assert f"`{name}`" in documentation()


@pytest.mark.parametrize("name", dataset_names())
def test_every_data_set_is_documented(name: str) -> None:
    assert f"`{name}`" in documentation()


@pytest.mark.parametrize("name", sorted({re.split(r"[@.]", name)[0] for name in METRICS}))
def test_every_metric_or_family_of_metrics_is_documented(name: str) -> None:
    assert re.search(rf"[`|] ?{re.escape(name)}(?!\w)", documentation())  # in code or in a table


def test_a_session_is_split_into_commands_and_their_output() -> None:
    document = "Text\n```console\n$ a \\\n    --b\nrow 1\n…\n$ c\n```\n```sh\n$ d\n```\n"
    assert list(commands(document)) == [Command(3, "a --b", ("row 1",)), Command(7, "c", ())]


def test_a_here_document_belongs_to_its_command() -> None:
    (command,) = commands("```console\n$ cat <<'END'\nin\nEND\nin\n```\n")
    assert command == Command(2, "cat <<'END'\nin\nEND", ("in",))


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("msp  41.23  5.1", "msp   41.30  17.9"),
        ("saved as msp-0123456789", "saved as msp-abcdef0123"),
        ("done in 3 s (2.25 s each)", "done in 41 s (0.31 s each)"),
    ],
)
def test_what_depends_on_the_run_may_differ(shown: str, printed: str) -> None:
    assert agrees(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("msp  41.23  5.1", "msp   43.30  5.1"),
        ("msp  41.23  5.1", "energy   41.23  5.1"),
        ("50 frames", "60 frames"),
        ("version 1.2.3", "version 1.2.4"),
    ],
)
def test_what_does_not_depend_on_the_run_may_not_differ(shown: str, printed: str) -> None:
    assert not agrees(shown, printed)
