"""The pages in a real browser: wide and narrow, light and dark, without any network; axe finds nothing."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from factorylm_twin.cli import main
from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking".split()


def missing(what: str) -> NoReturn:
    """Skipped without it; failed where everything must be there."""
    if os.environ.get("FACTORYLM_REQUIRE_SERVERS"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        missing("needs Chromium; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory, plants, write_csv) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    data = write_csv(folder / "history.csv", plants.station(1))
    fit = ["fit", "--data", str(data), "--inputs", "speed,valve", "--outputs", "flow,power"]
    assert main([*fit, "--out", str(folder / "s.twin"), "--report", str(folder / "model.html")]) == 0
    ask = ["whatif", "--model", str(folder / "s.twin"), "--limit", "flow=:40"]
    assert (
        main([*ask, "--change", "speed=1350", "--change", "valve=0.9@60", "--report", str(folder / "change.html")]) == 0
    )
    assert main([*ask, "--change", "speed=3000", "--report", str(folder / "refused.html")]) == 0
    return {name: folder / f"{name}.html" for name in ("model", "change", "refused")}


def opened(browser: Browser, page_file: Path, **options: object) -> tuple[Page, list[str]]:
    """The page, and everything it asked for or complained about."""
    page, seen = browser.new_context(**options).new_page(), []
    page.on("request", lambda request: seen.append(request.url))
    page.on("console", lambda message: seen.append(message.text))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.goto(page_file.as_uri())
    return page, [entry for entry in seen if entry != page_file.as_uri()]


@pytest.fixture(scope="module")
def axe() -> str:
    found = next((Path(__file__).parents[3] / ".cache" / "npm").glob("*/node_modules/axe-core/axe.min.js"), None)
    if found is None:
        missing("axe-core is not there; ./run test fetches it (npm/package.json)")
    return found.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["model", "change", "refused"])
def test_a_page_fits_every_screen_asks_for_nothing_and_axe_is_content(width, scheme, name, browser, pages, axe):
    size = {"width": width, "height": 800}
    page, seen = opened(browser, pages[name], viewport=size, color_scheme=scheme, bypass_csp=True)
    assert seen == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate(axe)
    found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})")
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []
    page.context.close()


def test_the_model_page_shows_measured_simulated_and_where_the_inputs_were(browser, pages):
    page, _ = opened(browser, pages["model"])
    labels = page.locator("svg").evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
    assert labels == [
        "flow, measured and simulated",
        "power, measured and simulated",
        "speed: where it was",
        "valve: where it was",
    ]
    for kind in ("line", "other"):
        assert len(page.locator(f"svg .{kind}").first.get_attribute("points").split()) > 100
    assert page.locator("svg .dots circle").count() > 100
    assert page.locator("h1").inner_text() == "Twin of flow, power: grade A"


def test_the_change_page_shows_the_fan_its_limit_and_where_the_inputs_go(browser, pages):
    page, _ = opened(browser, pages["change"])
    assert page.locator("svg .band").count() == 2
    assert page.locator("svg .limit").count() == 1
    assert page.locator("svg .asked").count() == 2
    assert "high limit after" in page.locator(".told").inner_text()


def test_the_refused_page_says_why_and_draws_no_fan(browser, pages):
    page, _ = opened(browser, pages["refused"])
    assert "speed = 3000" in page.locator(".told").first.inner_text()
    assert page.locator("svg .line").count() == 0


def test_a_column_s_name_is_shown_and_never_run(browser, tmp_path, plants, write_csv):
    named = "<script>document.title='owned'</script>"
    columns = plants.station(2)
    data = write_csv(tmp_path / "h.csv", {named: columns["speed"], "flow": columns["flow"]})
    words = ["fit", "--data", str(data), "--inputs", named, "--outputs", "flow", "--out", str(tmp_path / "m.twin")]
    assert main([*words, "--report", str(tmp_path / "m.html")]) == 0
    page, seen = opened(browser, tmp_path / "m.html", bypass_csp=True)
    assert (page.title(), seen, page.locator("script").count()) == ("Twin", [], 0)
