"""The files of a Space: settings that the Hub reads, requirements in step, nothing of torch."""

import re
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SPACE = REPOSITORY / "leaderboard" / "space"


def requirements() -> list[str]:
    return (SPACE / "requirements.txt").read_text("utf-8").split()


def test_the_requirements_are_those_of_the_base_and_the_board() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    assert requirements() == sorted(
        project["dependencies"] + project["optional-dependencies"]["board"]
    )


def test_nothing_of_torch_is_installed() -> None:
    names = {re.split(r"\W", line)[0] for line in requirements()}
    assert not {"torch", "torchvision", "transformers"} & names


def test_the_settings_name_the_port_that_the_app_listens_on() -> None:
    front = (SPACE / "README.md").read_text("utf-8").split("---")[1]
    settings = dict(line.split(": ", 1) for line in front.strip().splitlines())
    assert settings["sdk"] == "docker"
    port = settings["app_port"]
    assert f"port={port}" in (SPACE / "start.py").read_text("utf-8")
    assert f"EXPOSE {port}" in (SPACE / "Dockerfile").read_text("utf-8")
    assert len(settings["short_description"]) <= 60


def test_the_image_copies_and_starts_files_that_are_there() -> None:
    text = (SPACE / "Dockerfile").read_text("utf-8")
    for name in ("requirements.txt", "start.py"):
        assert name in text
        assert (SPACE / name).is_file()
