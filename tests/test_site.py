"""The static board: what stands on the page, what may not, and how its folder is replaced."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import pictures
from harness.data.catalog import DATASETS
from harness.errors import RunError
from harness.metrics import OFFICIAL
from harness.store import run_folder
from harness.types import Interval, Run
from leaderboard.ranks import SHOWN
from leaderboard.reported import column_of, reported
from leaderboard.sections import PICTURED, anchor
from leaderboard.site import FIRST, FLAGS, MARK, TEMPLATES, write_site

PUBLIC, PRIVATE, HIDDEN = "synthroad", "road_anomaly", "smiyc_anomaly21_test"


def a_run(method: str, *values: float, **facts: Any) -> Run:
    defaults: dict[str, Any] = {
        "id": f"{method}-0123456789",
        "kind": "run",
        "dataset": PUBLIC,
        "options": {"network": "tiny", "weights": "/home/me/secret/w.pth"},
        "frames": 60,
        "fingerprint": "f",
        "metric_version": "1",
        "metrics": dict(zip(SHOWN, values, strict=False)),
        "paper": "https://arxiv.org/abs/1911.11132",
        "finished": "2026-01-02T03:04:05+00:00",
        "provenance": {
            "code": {"revision": "0123456789abcdef", "dirty": True},
            "weights": {"network": "fedcba9876543210"},
            "versions": {"torch": "2.15.0"},
            "command": "harness run --data-root /home/me/data",
            "data": "/home/me/data/RoadAnomaly (official)",
        },
    }
    return Run(method=method, **{**defaults, **facts})


GOOD, FAIR = a_run("max_logit", 0.6, 0.9, 0.2, 0.5), a_run("msp", 0.4, 0.8, 0.3, 0.4)


def with_pictures(root: Path, *runs: Run) -> list[Run]:
    """The runs, after two frames' pictures were laid into each one's folder."""
    for run in runs:
        folder = run_folder(root, run) / "thumbnails"
        folder.mkdir(parents=True)
        for shade, frame in enumerate(("road.one", "road.two")):
            for part in ("image", "label", "score"):
                own = len(run.method) if part == "score" else 0
                colour = np.full((9, 16, 3), 40 * shade + 10 * own + ord(part[0]) % 9, np.uint8)
                (folder / f"{frame}.{part}.webp").write_bytes(pictures.webp(colour))
    return list(runs)


class Page(HTMLParser):
    """The tags with their attributes, and the text, of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.html = path.read_text("utf-8")
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def data(folder: Path, name: str = PUBLIC) -> Any:
    """What the script of a data set hands to the page."""
    text = (folder / "out/data" / f"{name}.js").read_text("utf-8")
    assert text.startswith("board(")
    assert text.endswith(");\n")
    return json.loads(text[len("board(") : -len(");\n")])


def shown_pictures(found: Any) -> list[dict[str, Any]]:
    """The pictures of all entries of a data set."""
    strips = [strip for entry in found["entries"] for strip in entry.get("strips", ())]
    return [picture for strip in strips for picture in strip["pictures"]]


def facts(folder: Path, entry: int = 0, name: str = PUBLIC) -> dict[str, str]:
    """What opens below a row: what is said of it, by name; "command" is the command."""
    found = data(folder, name)
    texts = found["texts"]
    chosen = found["entries"][entry]
    command = " ".join(texts[word] for word in chosen["command"])
    return {texts[what]: texts[said] for what, said, _ in chosen["facts"]} | {"command": command}


def page(runs: list[Run], folder: Path, *, with_images: bool = False, date: str = "") -> Page:
    written = write_site(runs, folder / "runs", folder / "out", with_images=with_images, date=date)
    assert written == folder.resolve() / "out" / "index.html"
    return Page(written)


def test_the_page_shows_every_run_with_its_values_in_per_cent(tmp_path: Path) -> None:
    found = page([GOOD, FAIR], tmp_path)
    assert "max_logit" in found.text
    assert "60.00" in found.text
    assert 'class="best">90.00<' in found.html
    assert 'class="second">80.00<' in found.html


def test_every_picture_is_a_file_beside_the_page(tmp_path: Path) -> None:
    page(with_pictures(tmp_path / "runs", GOOD, FAIR), tmp_path)
    found = shown_pictures(data(tmp_path))
    files = {f"pictures/{p.name}" for p in (tmp_path / "out/pictures").iterdir()}
    assert {picture["file"] for picture in found} == files
    assert all(picture["width"] == 16 and picture["height"] == 9 for picture in found)


def test_only_the_first_rows_have_pictures(tmp_path: Path) -> None:
    runs = [a_run(f"m{i}", 0.9 - i / 100, 0.5, 0.5) for i in range(PICTURED + 2)]
    page(with_pictures(tmp_path / "runs", *runs), tmp_path)
    found = data(tmp_path)["entries"]
    assert [bool(entry.get("strips")) for entry in found] == [True] * PICTURED + [False] * 2


def test_the_image_and_label_of_a_frame_are_stored_once_for_all_runs(tmp_path: Path) -> None:
    page(with_pictures(tmp_path / "runs", GOOD, FAIR), tmp_path)
    # two frames: image and label once, and a heat map for each of the two runs
    assert len(list((tmp_path / "out/pictures").iterdir())) == 2 * (2 + 2)


def test_pictures_that_may_not_be_public_are_withheld_and_the_page_says_why(
    tmp_path: Path,
) -> None:
    assert not DATASETS[PRIVATE].public_images
    found = page(with_pictures(tmp_path / "runs", a_run("msp", 0.4, dataset=PRIVATE)), tmp_path)
    assert not shown_pictures(data(tmp_path, PRIVATE))
    assert not list((tmp_path / "out/pictures").iterdir())
    assert "do not clearly allow showing them in public" in found.text


def test_with_images_shows_pictures_that_may_not_be_public(tmp_path: Path) -> None:
    runs = with_pictures(tmp_path / "runs", a_run("msp", 0.4, dataset=PRIVATE))
    page(runs, tmp_path, with_images=True)
    assert shown_pictures(data(tmp_path, PRIVATE))


@pytest.mark.parametrize(
    "run",
    [
        a_run("msp", dataset=HIDDEN),
        a_run("msp", dataset="custom", flags=("hidden labels",)),
        a_run("msp", dataset="of_another_version"),
    ],
    ids=["hidden by the catalogue", "hidden by the run", "unknown"],
)
def test_pictures_of_hidden_or_unknown_sets_are_never_shown(tmp_path: Path, run: Run) -> None:
    found = page(with_pictures(tmp_path / "runs", run), tmp_path, with_images=True)
    assert not shown_pictures(data(tmp_path, anchor(run.dataset)))
    assert not list((tmp_path / "out/pictures").iterdir())
    assert "Pictures are withheld" in found.text


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    with_pictures(tmp_path / "runs", GOOD)
    damaged = run_folder(tmp_path / "runs", GOOD) / "thumbnails" / "road.one.score.webp"
    damaged.write_bytes(b"no picture")
    with pytest.raises(RunError, match=r"road\.one\.score\.webp"):
        page([GOOD], tmp_path)


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    found = page(with_pictures(tmp_path / "runs", GOOD, FAIR), tmp_path)
    loading = [
        value
        for tag, attributes in found.tags
        for name, value in attributes.items()
        if value
        and (name in ("src", "srcset", "data", "poster") or (name, tag) == ("href", "link"))
    ]
    assert loading
    assert all(value.startswith(("data:", "pictures/")) for value in loading)
    style = (TEMPLATES / "style.css").read_text("utf-8")
    assert "url(" not in style
    assert "@import" not in style
    script = (TEMPLATES / "script.js").read_text("utf-8")
    assert not re.search(r"fetch|XMLHttp|import\(|https?:(?!\\/\\/)", script)


def test_the_script_sets_text_and_never_markup() -> None:
    script = (TEMPLATES / "script.js").read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", script)


def test_names_are_shown_as_text(tmp_path: Path) -> None:
    name = "<script>alert(1)</script><img src=x onerror=alert(1)>\u202e"
    run = a_run(
        name,
        0.5,
        id="hostile-0123456789",
        dataset=f"data{name}",
        options={"network": name, "o": name},
        flags=(name,),
        trained_on=(name,),
        undefined={"AP": name},
    )
    found = page([run, GOOD], tmp_path)
    for file in (tmp_path / "out/data").iterdir():
        assert re.fullmatch(r"[a-z0-9_-]+\.js", file.name)
        assert file.read_text("utf-8").isascii()
        assert "u202e" not in file.read_text("utf-8")
    assert len(found.all("script")) == 1
    assert not found.all("img")
    assert not any("onerror" in attributes for _, attributes in found.tags)
    assert "<script>alert(1)</script>" in found.text
    assert "\u202e" not in found.html


@pytest.mark.parametrize("paper", ["javascript:alert(1)", "data:text/html,x", " https://x.org"])
def test_only_web_addresses_become_links(tmp_path: Path, paper: str) -> None:
    found = page([a_run("msp", 0.5, paper=paper)], tmp_path)
    assert paper not in [link["href"] for link in found.all("a")]


def test_only_the_script_of_the_page_may_run(tmp_path: Path) -> None:
    (policy,) = (m for m in page([GOOD], tmp_path).all("meta") if m.get("http-equiv"))
    assert "default-src 'none'" in str(policy["content"])
    assert re.search(r"script-src 'sha256-[\w+/]{43}='", str(policy["content"]))


def test_folders_of_the_machine_are_not_published(tmp_path: Path) -> None:
    page([GOOD], tmp_path)
    for file in ("index.html", "board.csv", "board.json", f"data/{PUBLIC}.js"):
        text = (tmp_path / "out" / file).read_text("utf-8")
        assert "/home/me" not in text
        assert ("w.pth" in text) == (file != "index.html")


def test_flagged_runs_stand_apart_with_their_flag_and_its_meaning(tmp_path: Path) -> None:
    limited = a_run("energy", 0.99, 0.99, 0.01, flags=("limited",))
    found = page([GOOD, limited], tmp_path)
    assert found.text.index("Shown, not ranked") < found.text.index("energy")
    chips = [tag for tag in found.all("span") if tag.get("class") == "chip"]
    assert FLAGS["limited"] in [chip.get("title") for chip in chips]


def test_provenance_and_the_command_open_below_each_row(tmp_path: Path) -> None:
    page([GOOD], tmp_path)
    found = facts(tmp_path)
    assert found["code"] == "0123456789ab with uncommitted changes"
    assert found["weights (sha256)"] == "network fedcba987654"
    assert found["versions"] == "torch 2.15.0"
    command = "harness run --method max_logit --dataset synthroad --network tiny --weights w.pth"
    assert found["command"] == command


def test_the_command_of_a_limited_run_has_its_limit(tmp_path: Path) -> None:
    page([a_run("msp", 0.4, flags=("limited",))], tmp_path)
    assert facts(tmp_path)["command"].endswith("--limit 60")


def test_the_reason_of_a_retired_run_opens_below_it(tmp_path: Path) -> None:
    why = {"invalidated": "wrong weights"}
    page([a_run("msp", 0.4, flags=("invalidated",), provenance=why)], tmp_path)
    assert facts(tmp_path)["invalidated because"] == "wrong weights"


def test_a_text_of_many_runs_is_stored_once(tmp_path: Path) -> None:
    page([GOOD, FAIR], tmp_path)
    texts = data(tmp_path)["texts"]
    assert len(texts) == len(set(texts))


def test_intervals_stand_below_their_values(tmp_path: Path) -> None:
    run = a_run(
        "msp",
        0.4,
        0.8,
        0.3,
        0.4,
        intervals={"AP": Interval(0.5, 0.351, 0.449, 0.95, 60, 2000, 0, 0.0)},
    )
    assert "40.00 [35.1, 44.9]" in page([run], tmp_path).text
    (entry,) = data(tmp_path)["entries"]
    assert entry["values"]["AP"] == [0.4, "40.00", "", "[35.1, 44.9]", 0]


def test_an_interval_over_few_frames_is_marked_as_a_hint(tmp_path: Path) -> None:
    few = {"AP": Interval(0.4, 0.1, 0.9, 0.95, 10, 2000, 0, 0.0)}
    assert 'class="hint">[10.0, 90.0]<' in page([a_run("m", 0.4, intervals=few)], tmp_path).html
    assert data(tmp_path)["entries"][0]["values"]["AP"][4] == 1


def test_several_data_sets_get_an_overall_table_with_gaps(tmp_path: Path) -> None:
    elsewhere = a_run("max_logit", 0.5, 0.8, 0.3, dataset=PRIVATE)
    found = page([GOOD, FAIR, elsewhere], tmp_path)
    assert "1 of 2" in found.text
    (family,) = data(tmp_path, "overall")["families"]
    assert family["datasets"] == [[PUBLIC, PUBLIC], [PRIVATE, PRIVATE]]
    lines = {line["method"]: line for line in family["lines"]}
    assert lines["msp"]["cells"][3:] == [0, 0, 0]
    assert [lines[m]["standings"][0] for m in ("max_logit", "msp")] == [[1, 1.0], [None, None]]


def test_one_data_set_needs_no_overall_table(tmp_path: Path) -> None:
    assert "#overall" not in page([GOOD, FAIR], tmp_path).html
    assert not (tmp_path / "out/data/overall.js").exists()


def test_data_sets_come_in_the_order_of_the_catalogue(tmp_path: Path) -> None:
    runs = [a_run("msp", 0.1, dataset=name) for name in (HIDDEN, "zzz", PRIVATE, PUBLIC)]
    titles = [s.get("aria-labelledby") for s in page(runs, tmp_path).all("section")]
    names = ("overall", PUBLIC, PRIVATE, HIDDEN, "zzz", "reported", "how")
    assert titles == [f"{name}-title" for name in names]


def test_no_runs_give_a_page_that_says_what_to_do(tmp_path: Path) -> None:
    assert "harness run --method max_logit" in page([], tmp_path).text


def test_ids_on_the_page_are_unique_and_controls_point_to_them(tmp_path: Path) -> None:
    runs = [GOOD, FAIR, a_run("a", 0.1, flags=("limited",)), a_run("b", 0.2, fingerprint="g")]
    found = page(runs, tmp_path)
    ids = [str(attributes["id"]) for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(b["aria-controls"]) for b in found.all("button") if "aria-controls" in b} <= set(
        ids
    )
    inside = {str(a["href"])[1:] for a in found.all("a") if str(a["href"]).startswith("#")}
    assert inside <= set(ids)


def test_equal_input_gives_equal_bytes_whatever_the_order_of_runs(tmp_path: Path) -> None:
    runs = with_pictures(tmp_path / "runs", GOOD, FAIR)
    contents = []
    for order in (runs, runs[::-1]):
        page(order, tmp_path, date="2026-01-03")
        files = sorted(p for p in (tmp_path / "out").rglob("*") if p.is_file())
        contents.append({p.name: p.read_bytes() for p in files})
    assert contents[0] == contents[1]
    assert b"Made 2026-01-03" in contents[0]["index.html"]


def test_the_rows_are_also_there_as_data(tmp_path: Path) -> None:
    page([GOOD, FAIR], tmp_path)
    found = json.loads((tmp_path / "out/board.json").read_text("utf-8"))
    assert [row["run"] for row in found] == [GOOD.id, FAIR.id]


def test_a_board_is_replaced_whole(tmp_path: Path) -> None:
    page(with_pictures(tmp_path / "runs", GOOD), tmp_path)
    page([FAIR], tmp_path)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    files = {"index.html", "board.csv", "board.json", "reported.csv"}
    assert names == {*files, "data", "pictures", MARK}
    assert not list((tmp_path / "out/pictures").iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "out"}


def test_a_folder_that_is_no_board_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match="not a board of ours"):
        page([GOOD], tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "thesis.tex"]


def test_a_file_in_place_of_the_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(RunError, match="is a file"):
        page([GOOD], tmp_path)
    assert (tmp_path / "out").read_text() == "a file"


def test_a_failing_write_leaves_the_board_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = page([GOOD], tmp_path).html
    real = Path.write_text

    def full(path: Path, text: str, *rest: Any) -> int:
        if path.name == "index.html":
            raise OSError(28, "No space left on device")
        return real(path, text, *rest)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(RunError, match="No space left on device"):
        page([FAIR], tmp_path)
    assert (tmp_path / "out/index.html").read_text("utf-8") == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_legend_has_the_colours_of_the_pictures() -> None:
    style = (TEMPLATES / "style.css").read_text("utf-8")
    names = {"normal": 0, "anomaly": 1, "ignored": 255}
    for name, label in names.items():
        colour = ", ".join(map(str, pictures.LABEL_COLOURS[label]))
        assert f".{name} {{ background: rgb({colour}); }}" in style
    heat = ", ".join(f"rgb({r}, {g}, {b})" for r, g, b in pictures.HEAT)
    assert f"linear-gradient(90deg, {heat})" in style


def component(run: Run, value: float) -> Run:
    return replace(run, metrics={**run.metrics, **dict.fromkeys(("sIoU", "PPV", "F1*"), value)})


def test_each_metric_family_has_a_tab_with_its_own_order(tmp_path: Path) -> None:
    found = page([component(GOOD, 0.1), component(FAIR, 0.2)], tmp_path)
    tabs = [a["href"] for a in found.all("a") if a.get("class") == "family"]
    assert tabs == [f"#{PUBLIC}/pixel", f"#{PUBLIC}/component"]
    families = data(tmp_path)["families"]
    methods = [e["method"] for e in data(tmp_path)["entries"]]
    orders = [[methods[line[0]] for line in f["tables"][0]["lines"]] for f in families]
    assert orders == [["max_logit", "msp"], ["msp", "max_logit"]]


def test_every_rule_has_its_places_and_is_stated(tmp_path: Path) -> None:
    page([a_run("a", 0.9, 0.5, 0.5, 0.5), a_run("b", 0.5, 0.6, 0.4, 0.5)], tmp_path)
    (family,) = data(tmp_path)["families"]
    titles = [rule["title"] for rule in family["rules"]]
    assert titles == ["mean rank", "Borda points", "AP ↑", "AUROC ↑", "FPR95 ↓", "bestF1 ↑"]
    places = {line[0]: [place for place, _ in line[1]] for line in family["tables"][0]["lines"]}
    methods = [e["method"] for e in data(tmp_path)["entries"]]
    assert places[methods.index("a")] == [2, 2, 1, 2, 2, 1]
    assert places[methods.index("b")] == [1, 1, 2, 1, 1, 1]
    assert all(rule["stated"] for rule in family["rules"])


def test_several_seeds_are_one_row_that_opens_to_its_runs(tmp_path: Path) -> None:
    options = [{"network": "tiny", "seed": seed} for seed in (0, 1)]
    runs = [a_run("m", v, id=f"m-{i}", options=options[i]) for i, v in enumerate((0.5, 0.52))]
    found = page(runs, tmp_path)
    assert "2 seeds" in found.text
    assert "51.00 ± 1.41" in found.text
    (entry,) = data(tmp_path)["entries"]
    assert [(s["seed"], s["id"], s["values"]["AP"][1]) for s in entry["seeds"]] == [
        ("0", "m-0", "50.00"),
        ("1", "m-1", "52.00"),
    ]
    assert "--seed 0 --seed 1" in facts(tmp_path)["command"]


def test_derived_marks_are_chips_that_rows_can_be_hidden_by(tmp_path: Path) -> None:
    marked = a_run("m", 0.5, 0.5, 0.5, trained_on=("coco", PUBLIC))
    found = page([GOOD, marked], tmp_path)
    assert "claimed" in found.text
    buttons = [b["data-mark"] for b in found.all("button") if "data-mark" in b]
    assert {"proxy outliers", "test data seen"} <= set(buttons)
    assert "claimed" not in buttons
    entry = next(e for e in data(tmp_path)["entries"] if e["method"] == "m")
    assert [name for name, *_ in entry["marks"]] == ["proxy outliers", "test data seen", "claimed"]
    assert data(tmp_path)["families"][0]["tables"][0]["lines"][1][1][0][0] == 2


def test_reported_figures_stand_apart_and_change_no_rank(tmp_path: Path) -> None:
    run = a_run("msp", 0.4, 0.8, 0.3, dataset=PRIVATE)
    found = page([run], tmp_path)
    assert [i for i in found.all("input") if i.get("type") == "checkbox" and "checked" in i]
    (family,) = data(tmp_path, PRIVATE)["families"]
    assert {row["method"] for row in family["reported"]} >= {"MultiShiftSeg"}
    assert all(row["source"] and row["address"] and row["place"] for row in family["reported"])
    assert [line[0] for line in family["tables"][0]["lines"]] == [0]
    assert len(data(tmp_path, PRIVATE)["entries"]) == 1


def test_every_published_figure_with_a_column_is_on_the_page_once(tmp_path: Path) -> None:
    page([a_run("msp", 0.4, 0.8, 0.3, dataset=PRIVATE), GOOD], tmp_path)
    own = data(tmp_path, PRIVATE)["families"][0]["reported"]
    rest = data(tmp_path, "reported")["families"][0]["reported"]
    assert not {PRIVATE, PUBLIC} & {row["set"] for row in rest}
    found = sum(len(row["values"]) for row in (*own, *rest))
    columns = {name for names in OFFICIAL.values() for name in names}
    assert found == sum(column_of(figure.metric) in columns for figure in reported())


def test_the_page_holds_the_first_rows_and_the_script_all(tmp_path: Path) -> None:
    runs = [a_run(f"m{i:03}", 0.9 - i / 1000, 0.5, 0.5) for i in range(FIRST + 30)]
    found = page(runs, tmp_path)
    assert f"m{FIRST - 1:03}" in found.text
    assert f"m{FIRST:03}" not in found.text
    assert f"These are {FIRST} of {FIRST + 30} rows" in found.text
    assert len(data(tmp_path)["families"][0]["tables"][0]["lines"]) == FIRST + 30


def test_the_size_of_all_files_is_stated(tmp_path: Path) -> None:
    found = page(with_pictures(tmp_path / "runs", GOOD), tmp_path)
    files = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    rest = sum(p.stat().st_size for p in files if p.name not in ("index.html", MARK))
    assert f"{max(1, round(rest / 1e3))} kB of rows and pictures" in found.text


@pytest.mark.parametrize(
    "name", ["overall", "reported", "how", "filter", "../x", "A b", "ä", "", "legend"]
)
def test_odd_names_of_data_sets_get_a_plain_anchor(name: str) -> None:
    assert re.fullmatch(r"data-[0-9a-f]{8}", anchor(name))


def colours(block: str) -> dict[str, tuple[float, ...]]:
    """The colours that a block of the style defines, by name, each part from 0 to 1."""
    found = re.findall(r"--([a-z-]+): #([0-9a-f]{6});", block)
    return {name: tuple(int(c[i : i + 2], 16) / 255 for i in (0, 2, 4)) for name, c in found}


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """The contrast ratio of WCAG 2.2 between two colours."""

    def luminance(colour: tuple[float, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(scheme: str) -> None:
    style = (TEMPLATES / "style.css").read_text("utf-8")
    first = style[: style.index("* { box-sizing")]
    light, dark = first.split("@media (prefers-color-scheme: dark)")
    known = colours(light) if scheme == "light" else colours(dark)
    on = ("page", "panel", "sunk", "wash")
    pairs = [(text, ground) for text in ("text", "quiet", "accent") for ground in on]
    pairs += [("on-accent", "accent"), ("chip-text", "chip")]
    low = {pair: contrast(known[pair[0]], known[pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in low.items() if ratio < 4.5} == {}
