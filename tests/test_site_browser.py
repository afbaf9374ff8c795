"""The static page in a real browser: opened from disk, as a reader would use it."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.types import Interval, Run
from leaderboard.ranks import SHOWN
from leaderboard.site import write_site

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
EXECUTABLE = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason="needs a Chromium browser")

MANY = 130
HOSTILE = "<img src=x onerror=alert(1)>\u202e</script><script>alert(1)</script>"


def a_run(method: str, *values: float, **facts: Any) -> Run:
    defaults: dict[str, Any] = {
        "id": f"{method}-0123456789",
        "kind": "run",
        "dataset": "synthroad",
        "options": {"network": "tiny"},
        "frames": 60,
        "fingerprint": "f",
        "metric_version": "1",
        "metrics": dict(zip(SHOWN, values, strict=False)),
        "paper": "https://arxiv.org/abs/1911.11132",
        "trained_on": ("cityscapes_train",),
    }
    return Run(method=method, **{**defaults, **facts})


def runs() -> list[Run]:
    many = [a_run(f"m{i:03}", 0.9 - i / 500, 0.5 + i / 500, 0.2 + i / 500) for i in range(MANY)]
    many[3] = replace(many[3], trained_on=("coco",))
    interval = {"AP": Interval(0.9, 0.85, 0.95, 0.95, 60, 2000, 0, 0.0)}
    many[0] = replace(many[0], intervals=interval)
    parts = [
        replace(run, metrics={**run.metrics, **dict.fromkeys(("sIoU", "PPV", "F1*"), i / 10)})
        for i, run in enumerate(many[:5])
    ]
    seeds = [
        a_run("s", v, 0.6, 0.4, id=f"s-{i}", dataset="road_anomaly", options={"seed": i})
        for i, v in enumerate((0.5, 0.52))
    ]
    hostile = a_run(
        HOSTILE,
        0.5,
        id=HOSTILE.replace("/", ""),
        dataset=HOSTILE,
        paper="javascript:alert(1)",
        options={"network": HOSTILE, "seed": HOSTILE},
        flags=(HOSTILE,),
        trained_on=(HOSTILE,),
        undefined={"AUROC": HOSTILE},
        provenance={"versions": {HOSTILE: HOSTILE}, "code": {"revision": HOSTILE}},
    )
    return [*parts, *many[5:], *seeds, hostile]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    return write_site(runs(), folder / "runs", folder / "out", with_images=False)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        started = playwright.chromium.launch(executable_path=EXECUTABLE, args=arguments)
        yield started
        started.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that notes what goes wrong; the test fails when anything did."""
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    opened.set_default_timeout(5000)
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("dialog", lambda dialog: (wrong.append("a dialog"), dialog.dismiss()))
    opened.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
    opened.wrong = wrong
    yield opened
    opened.close()
    assert not wrong


def look(page: Any, site: Path, fragment: str = "synthroad") -> None:
    """Opens the data set and waits until all its rows have come."""
    page.goto(f"{site.as_uri()}#{fragment}")
    page.wait_for_selector(".board:not([hidden]) button.sort")


def methods(page: Any, table: str = "table.runs") -> list[str]:
    return list(page.locator(f".board:not([hidden]) {table} tbody th bdi").all_inner_texts())


def test_rows_come_a_hundred_a_page(page: Any, site: Path) -> None:
    look(page, site)
    assert methods(page)[:2] == ["m000", "m001"]
    assert len(methods(page)) == 100
    page.get_by_role("button", name="Next").click()
    assert methods(page)[0] == "m100"
    assert len(methods(page)) == MANY - 100
    assert page.locator(".pager:visible span").inner_text() == f"rows 101–{MANY} of {MANY}"


def test_a_header_sorts_all_rows_and_says_so(page: Any, site: Path) -> None:
    look(page, site)
    head = page.locator(".board:not([hidden]) th", has_text="AP").first
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    head.get_by_role("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert methods(page)[0] == f"m{MANY - 1}"


def test_the_filter_keeps_rows_with_every_word_and_without_the_negated(
    page: Any, site: Path
) -> None:
    look(page, site)
    page.locator("#filter").fill("m00 tiny -proxy")
    sync_api.expect(page.locator("#filtered")).to_have_text(f"9 of {MANY}")
    assert methods(page) == [f"m00{i}" for i in range(10) if i != 3]


def test_a_mark_hides_its_rows_and_changes_no_rank(page: Any, site: Path) -> None:
    look(page, site)
    button = page.locator(".board:not([hidden]) .hide-mark", has_text="proxy outliers")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert "m003" not in methods(page)
    assert page.locator(".board:not([hidden]) .place").nth(3).inner_text() == "5"


def test_the_rule_can_be_chosen_and_is_stated(page: Any, site: Path) -> None:
    look(page, site)
    page.locator(".board:not([hidden]) .ruled").select_option(label="AUROC ↑")
    assert methods(page)[0] == f"m{MANY - 1}"
    assert (
        page.locator(".board:not([hidden]) .stated").inner_text().startswith("Ordered by AUROC ↑")
    )


def test_the_address_opens_a_metric_family(page: Any, site: Path) -> None:
    look(page, site, "synthroad/component")
    assert methods(page)[0] == "m004"
    page.locator(".board:not([hidden]) .family", has_text="Pixels").click()
    assert page.url.endswith("#synthroad/pixel")
    assert methods(page)[0] == "m000"


def test_a_row_opens_by_keyboard_and_tells_how_it_was_made(page: Any, site: Path) -> None:
    look(page, site)
    button = page.locator(".board:not([hidden]) button.open").first
    button.press("Enter")
    assert button.get_attribute("aria-expanded") == "true"
    opened = page.locator(f"#{button.get_attribute('aria-controls')}")
    assert "harness run --method m000" in opened.inner_text()
    button.press("Enter")
    assert not opened.is_visible()


def test_seeds_open_to_their_runs(page: Any, site: Path) -> None:
    look(page, site, "road_anomaly")
    line = page.locator(".board:not([hidden]) table.runs .line").first
    assert "51.00" in line.inner_text()
    assert "± 1.41" in line.inner_text()
    line.locator("button.open").click()
    assert page.locator(".seeds tbody tr").count() == 2


def test_reported_rows_can_be_hidden(page: Any, site: Path) -> None:
    look(page, site, "road_anomaly")
    assert "MultiShiftSeg" in methods(page, "table.reported")
    assert methods(page) == ["s"]
    page.get_by_label("reported numbers").uncheck()
    assert not methods(page, "table.reported")


def test_figures_on_data_sets_without_runs_have_a_tab(page: Any, site: Path) -> None:
    look(page, site, "reported")
    page.locator("#filter").fill("fs_static_test pebal")
    sync_api.expect(page.locator("#reported tbody")).to_have_count(1)
    assert methods(page, "table.reported") == ["PEBAL"]


def test_the_tabs_move_by_arrow_keys(page: Any, site: Path) -> None:
    look(page, site)
    page.locator(".tab", has_text="synthroad").press("ArrowRight")
    page.wait_for_selector("#road_anomaly:not([hidden]) button.sort")
    assert page.url.endswith("#road_anomaly")


def test_the_overall_table_loads_its_rows(page: Any, site: Path) -> None:
    look(page, site, "overall")
    assert page.locator("#overall table .group a").first.inner_text() == "synthroad"


def test_hostile_names_are_text_wherever_they_stand(page: Any, site: Path) -> None:
    page.goto(f"{site.as_uri()}")
    page.locator(".tab", has_text="onerror").click()
    page.wait_for_selector(".board:not([hidden]) button.sort")
    page.locator(".board:not([hidden]) button.open").first.click()
    assert page.locator("img").count() == 0
    text = page.locator(".board:not([hidden]) .more").first.inner_text()
    assert "<img src=x onerror=alert(1)>" in text
    assert "javascript:alert(1)" in text
    assert page.locator("a[href^='javascript' i]").count() == 0
    assert "\u202e" not in page.content()


def test_without_its_rows_file_the_page_says_so_and_keeps_the_first_rows(
    browser: Any, site: Path, tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_bytes(site.read_bytes())
    page = browser.new_page()
    page.goto(f"{(tmp_path / 'index.html').as_uri()}#synthroad")
    page.wait_for_selector("[role=alert]")
    assert "data/synthroad.js is missing" in page.locator("[role=alert]").inner_text()
    assert methods(page)[0] == "m000"
    page.close()


def test_without_scripts_the_first_rows_are_there(browser: Any, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site.as_uri())
    assert page.locator("#synthroad tbody").count() == 25
    context.close()


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_runs_over_the_edge(browser: Any, site: Path, width: int, scheme: Any) -> None:
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    look(page, site)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.close()


def test_the_first_rows_stay_in_place_while_the_rest_loads(browser: Any, site: Path) -> None:
    tops = []
    for scripts in (False, True):
        context = browser.new_context(
            java_script_enabled=scripts, viewport={"width": 1440, "height": 900}
        )
        page = context.new_page()
        page.goto(f"{site.as_uri()}#synthroad")
        if scripts:
            page.wait_for_selector(".board:not([hidden]) button.sort")
        tops.append(
            page.evaluate(
                "(() => { const s = document.getElementById('synthroad');"
                " const t = s.querySelector('tbody').getBoundingClientRect();"
                " const c = s.querySelector('.controls').getBoundingClientRect().height;"
                " return [t.height, t.top - s.getBoundingClientRect().top, c]; })()"
            )
        )
        context.close()
    (plain, top, _), (drawn, moved, controls) = tops
    assert drawn == pytest.approx(plain, abs=1)
    assert moved - controls == pytest.approx(top, abs=12)  # the controls' margin
