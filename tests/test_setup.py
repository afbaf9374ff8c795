"""What a fresh clone is set up from: pyproject.toml, constraints.txt, Makefile, kept files."""

import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
PACKAGES = PYPROJECT["tool"]["setuptools"]["packages"]
ASKED = [
    Requirement(text)
    for texts in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in texts
    if not text.startswith(PROJECT["name"])  # an extra that names other extras
]
ROOMS = ("harness", "methods", "submissions", "leaderboard")
PINNED_BY_TORCH = re.compile(r"nvidia-.*|cuda-.*|triton")


def pins() -> dict[str, str]:
    """The lines of constraints.txt: name to version; any other line than `name==version` fails."""
    lines = (REPOSITORY / "constraints.txt").read_text("utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def dependencies() -> set[str]:
    """The names of all that the extras pull in, followed through what is installed here."""
    todo = list(ASKED)
    found: set[tuple[str, frozenset[str]]] = set()
    while todo:
        needed = todo.pop()
        each = (canonicalize_name(needed.name), frozenset(needed.extras))
        if each in found or PINNED_BY_TORCH.fullmatch(each[0]):
            continue
        found.add(each)
        try:
            texts = importlib.metadata.requires(each[0]) or []
        except importlib.metadata.PackageNotFoundError:  # an extra that is not installed
            continue
        for requirement in map(Requirement, texts):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": x}) for x in ("", *each[1])):
                todo.append(requirement)
    return {name for name, _ in found}


def kept_files() -> list[Path]:
    """The files that git tracks or would add."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"not a git checkout: {done.stderr.strip()}")
    paths = [REPOSITORY / name for name in done.stdout.split("\0") if name]
    return sorted(path for path in paths if path.is_file())


def test_every_dependency_has_one_exact_version() -> None:
    assert sorted(dependencies() - set(pins())) == []


def test_the_exact_versions_fit_what_is_asked_for() -> None:
    exact = pins()
    wrong = [
        str(each)
        for each in ASKED
        if not each.specifier.contains(exact[canonicalize_name(each.name)])
    ]
    assert wrong == []


def test_the_packages_are_the_folders_with_an_init_file() -> None:
    folders = {
        path.parent.relative_to(REPOSITORY).as_posix().replace("/", ".")
        for room in ROOMS
        for path in (REPOSITORY / room).rglob("__init__.py")
    }
    assert sorted(PACKAGES) == sorted(folders)


def test_every_file_that_a_package_reads_is_installed_with_it() -> None:
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]
    installed = {
        path
        for room, globs in patterns.items()
        for glob in globs
        for path in (REPOSITORY / room.replace(".", "/")).glob(glob)
    }
    read = {
        path
        for path in kept_files()
        if path.relative_to(REPOSITORY).parts[0] in ROOMS and path.suffix not in (".py", ".md")
    }
    assert sorted(map(str, read - installed)) == []


def test_no_kept_file_names_a_place_of_one_machine() -> None:
    # /home/me stands for anybody's folder.
    place = re.compile(rb"(?<![\w.:/-])/(?:home(?!/me\b)|root|Users|work|mnt|workspace)/\w")
    found = [
        f"{path.relative_to(REPOSITORY)}: {match[0].decode()}"
        for path in kept_files()
        if b"\0" not in (content := path.read_bytes())  # text only
        for match in place.finditer(content)
    ]
    assert found == []


@pytest.mark.parametrize("name", ["Makefile", "constraints.txt", "pyproject.toml", ".ci/run"])
def test_a_set_up_file_names_no_registry(name: str) -> None:
    address = re.compile(r"index-url|find-links|trusted-host|pypi|pythonhosted", re.IGNORECASE)
    assert address.findall((REPOSITORY / name).read_text("utf-8")) == []


def test_the_citation_states_the_version_and_the_licence() -> None:
    text = (REPOSITORY / "CITATION.cff").read_text("utf-8")
    assert f"version: {PROJECT['version']}\n" in text
    assert f"license: {PROJECT['license']}\n" in text


def test_the_changelog_names_the_version() -> None:
    text = (REPOSITORY / "CHANGELOG.md").read_text("utf-8")
    assert f"\n## [{PROJECT['version']}]" in text


def test_make_with_an_older_python_says_what_is_needed(tmp_path: Path) -> None:
    (tmp_path / "old").write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.2\n[ "$1" = -V ]\n')
    (tmp_path / "old").chmod(0o755)
    (tmp_path / "Makefile").write_bytes((REPOSITORY / "Makefile").read_bytes())
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "constraints.txt").touch()
    command = ["make", "demo", f"PYTHON={tmp_path}/old"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is Python 3.9.2, but 3.11 or newer is needed" in done.stdout
    assert not (tmp_path / ".venv").exists()
