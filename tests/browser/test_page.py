"""The page of a report in headless Chromium: zoomed, sorted, darkened and printed, by pointer and keys, no network.

A machine without Chromium and its driver fails these tests: it does not skip them (`make setup` installs both).
"""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from swaptrace.report import charts
from swaptrace.report.command import analyse
from swaptrace.report.html import write_html
from swaptrace.results.results import TraceResult
from tests.unit.fixtures import DATA, TRACE

PATIENCE = 600  # seconds: the machine may be busy
OVER_TIME = ("content", "policies", "pool", "map")
Browser = webdriver.Chrome


def installed(*names: str) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    assert found, f"there is no {' or '.join(names)}: make setup installs it (docs/testing.md)"
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    options = webdriver.ChromeOptions()
    options.binary_location = installed("chromium", "chromium-browser", "google-chrome")
    arguments = ["--headless=new", "--window-size=1280,1000", "--disable-dev-shm-usage", "--hide-scrollbars"]
    for argument in [*arguments, *(["--no-sandbox"] if os.geteuid() == 0 else [])]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(installed("chromedriver")))
    driver.set_script_timeout(PATIENCE)
    driver.command_executor.client_config.timeout = PATIENCE
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def result() -> TraceResult:
    """Of two areas."""
    whole = analyse(DATA / "6.12" / TRACE)
    return replace(whole, areas=whole.areas[:2])


@pytest.fixture(scope="module")
def file(result: TraceResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_html(result, tmp_path_factory.mktemp("page"))


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Browser]:
    """The page, newly loaded, with its charts. Whatever is done with it: it asks no host, and nothing goes wrong."""
    browser.get("about:blank")
    browser.get_log("performance"), browser.get_log("browser")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get(file.as_uri())
    wait(browser, "document.documentElement.dataset.drawn !== undefined")
    yield browser
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    assert file.as_uri() in asked
    assert [url[:60] for url in asked if url != file.as_uri() and not url.startswith(("data:", "blob:"))] == []
    assert [entry["message"] for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []


def wait(page: Browser, condition: str) -> None:
    WebDriverWait(page, PATIENCE).until(lambda driver: driver.execute_script(f"return {condition}"), condition)


def press(page: Browser, name: str) -> None:
    page.find_element(By.XPATH, f"//button[text()='{name}']").click()


def ranges(page: Browser) -> dict[str, list[float]]:
    """What of its x axis each chart shows, by the id of its place."""
    found = page.execute_script(
        "return Bokeh.documents[0].roots().map((root) => [root.id, root.x_range.start, root.x_range.end])"
    )
    places = page.execute_script(
        "return [...document.querySelectorAll('.chart')].map((place) => place.id)"
    )  # in the order of the roots
    assert len(places) == len(found) > 10
    return {place: [start, end] for place, (_, start, end) in zip(places, found, strict=True)}


def over_time(place: str) -> bool:
    return place.split("-")[-2] in OVER_TIME


def image(data: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float)


def looks(page: Browser, place: str) -> np.ndarray[Any, Any]:
    """The pixels of a chart, once it has come to rest."""
    page.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    return image(page.find_element(By.ID, place).screenshot_as_png)


# ----------------------------------------------------------------------------------------------------------- the charts


def test_buttons_zoom_and_pan_all_charts_over_time(page: Browser) -> None:
    before, seen = ranges(page), looks(page, "zram0-pool-0") if "zram0-pool-0" in ranges(page) else None
    end = before["zram0-content-0"][1]
    moves = [
        ("Zoom in", [0.25 * end, 0.75 * end]), ("Later", [0.5 * end, end]), ("Later", [0.5 * end, end]),
        ("Earlier", [0.25 * end, 0.75 * end]), ("Zoom out", [0, end]), ("Zoom in", [0.25 * end, 0.75 * end]),
    ]  # fmt: skip
    for name, expected in moves:
        press(page, name)
        for place, shown in ranges(page).items():
            assert shown == pytest.approx(expected if over_time(place) else before[place]), (name, place)
    said = page.find_element(By.CSS_SELECTOR, ".times output").text
    assert said == f"{0.25 * end:.0f} to {0.75 * end:.0f} seconds"
    assert seen is None or not np.array_equal(looks(page, "zram0-pool-0"), seen)
    press(page, "All")
    assert ranges(page) == before
    assert sum(map(over_time, before)) >= 4 and not all(map(over_time, before))


def test_dragging_in_one_chart_zooms_all(page: Browser) -> None:
    before, chart = ranges(page), page.find_element(By.ID, "zram0-content-0")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    hand = ActionChains(page).move_to_element_with_offset(chart, -100, 0)
    hand.click_and_hold().move_by_offset(100, 5).move_by_offset(100, 5).release().perform()
    end = before["zram0-content-0"][1]
    wait(page, f"Bokeh.documents[0].roots()[0].x_range.end < {0.9 * end}")
    after = ranges(page)
    start, stop = after["zram0-content-0"]
    assert 0.2 * end < start < 0.5 * end < stop < 0.8 * end
    for place, shown in after.items():
        assert shown == ([start, stop] if over_time(place) else before[place]), place


def tip(page: Browser) -> dict[str, str]:
    """What is told below the pointer, by name; they are within shadows."""
    return dict(
        page.execute_script(
            """
            const found = [];
            const look = (node) => {
              for (const each of node.querySelectorAll("*")) {
                if (each.classList.contains("bk-tooltip-row-label"))
                  found.push([each.textContent, each.nextElementSibling.textContent]);
                if (each.shadowRoot) look(each.shadowRoot);
              }
            };
            look(document);
            return found.map(([name, value]) => [name.replace(/: *$/, ""), value.trim()]);
            """
        )
    )


def test_the_pointer_is_told_values(page: Browser, result: TraceResult) -> None:
    readings = charts.content(result.areas[0]).panels[0].readings
    assert readings
    chart = page.find_element(By.ID, "zram0-content-0")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    seen = []
    for offset in (-200, 150):
        ActionChains(page).move_to_element_with_offset(chart, offset, 20).perform()
        WebDriverWait(page, PATIENCE).until(lambda driver: tip(driver) and tip(driver) not in seen)
        seen.append(tip(page))
    for told in seen:
        at = readings.columns["until"].index(told["until"])
        assert told == {name: values[at] for name, values in readings.columns.items()}


# --------------------------------------------------------------------------------------------------------------- tables


def column(table: WebElement, name: str) -> list[str]:
    names = [cell.text for cell in table.find_elements(By.CSS_SELECTOR, "thead th")]
    return [row.find_elements(By.CSS_SELECTOR, "th, td")[names.index(name)].text
            for row in table.find_elements(By.CSS_SELECTOR, "tbody tr")]  # fmt: skip


@pytest.mark.parametrize("by", ["pointer", "keys"])
def test_tables_sort(page: Browser, by: str) -> None:
    table = page.find_element(By.XPATH, "//h3[text()='What happened']/following-sibling::table")
    button = table.find_element(By.XPATH, ".//button[text()='count']")
    before = column(table, "count")
    values = [int(text.replace(",", "")) for text in before]
    assert len(set(values)) > 4 and values != sorted(values, reverse=True)
    for direction, expected in (("descending", sorted(values, reverse=True)), ("ascending", sorted(values)),
                                (None, values)):  # fmt: skip
        button.click() if by == "pointer" else button.send_keys(Keys.ENTER)
        assert [int(text.replace(",", "")) for text in column(table, "count")] == expected
        assert button.find_element(By.XPATH, "./ancestor::th").get_attribute("aria-sort") == direction
    names = dict(zip(column(table, ""), before, strict=True))
    assert names["stores"] == before[0]  # rows stay whole


def test_sorting_by_another_column_begins_anew(page: Browser) -> None:
    table = page.find_element(By.XPATH, "//h3[text()='What happened']/following-sibling::table")
    for name in ("count", "rate"):
        table.find_element(By.XPATH, f".//button[text()='{name}']").click()
    assert [cell.get_attribute("aria-sort") for cell in table.find_elements(By.CSS_SELECTOR, "thead th")] == [
        None, None, "descending", None,
    ]  # fmt: skip
    rates = column(table, "rate")
    known = [float(text.replace(",", "").removesuffix("/s")) for text in rates if text]
    assert known == sorted(known, reverse=True) and rates[: len(known)] == [text for text in rates if text]


# ----------------------------------------------------------------------------------------------- light, dark, and paper


def test_dark_as_the_system_has_it_and_by_the_button(page: Browser) -> None:
    def brightness() -> tuple[float, float]:
        """Of the paper, and of the ink of a chart's axis: what differs most from the paper."""
        pixels = looks(page, "zram0-lifetimes-0").mean(axis=2)
        paper = float(np.median(pixels))
        return paper, float(pixels.max() if paper < 128 else pixels.min())

    def said() -> str | None:
        return page.find_element(By.ID, "theme").get_attribute("aria-pressed")

    paper, ink = brightness()
    assert paper > 250 and ink < 60 and said() == "false"
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    wait(page, "document.getElementById('theme').getAttribute('aria-pressed') === 'true'")
    paper, ink = brightness()
    assert paper < 50 and ink > 200
    press(page, "Dark")
    paper, ink = brightness()
    assert paper > 250 and ink < 60 and said() == "false"
    page.find_element(By.ID, "theme").send_keys(Keys.SPACE)
    paper, ink = brightness()
    assert paper < 50 and ink > 200 and said() == "true"


def test_printed_it_is_light_and_its_charts_are_pictures(page: Browser) -> None:
    press(page, "Dark")
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    sources = page.execute_script("return [...document.querySelectorAll('.chart img')].map((one) => one.src)")
    assert len(sources) == len(ranges(page))
    for source in sources:
        picture = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
        pixels = np.asarray(picture.convert("RGBA"), float)
        drawn = pixels[pixels[..., 3] > 250][:, :3].mean(axis=1)
        assert len(drawn) > 100 and drawn.min() < 45  # dark ink on no paper
    page.execute_script("dispatchEvent(new Event('afterprint'))")
    assert page.find_elements(By.CSS_SELECTOR, ".chart img") == []
    printed = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF") and printed.count(b"/Subtype /Image") >= len(sources)


# ------------------------------------------------------------------------------------------------- keys, and small ones


def test_keys_reach_all_buttons_in_order(page: Browser) -> None:
    """From the top: light and dark, the buttons of time, then what is in the page."""
    body, reached = page.find_element(By.TAG_NAME, "body"), []
    body.send_keys(Keys.TAB)
    for _ in range(12):
        active = page.switch_to.active_element
        reached.append(active.text or active.get_attribute("class"))
        active.send_keys(Keys.TAB)
    links = [link.text for link in page.find_elements(By.CSS_SELECTOR, "nav a")]
    assert reached[: 6 + len(links)] == ["Dark", *links, "Zoom in", "Zoom out", "Earlier", "Later", "All"]
    page.find_element(By.XPATH, "//button[text()='Zoom in']").send_keys(Keys.ENTER)
    start, end = ranges(page)["zram0-content-0"]
    assert start > 0 and end > start


def test_a_phone_shows_all_of_it(page: Browser) -> None:
    """Nothing is wider than the screen; tables scroll by themselves. A finger on a chart scrolls the page."""
    metrics = {"width": 380, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        page.refresh()
        wait(page, "document.documentElement.dataset.drawn !== undefined")
        wait(page, "document.documentElement.scrollWidth <= 380")
        width = page.execute_script("return document.getElementById('zram0-content-0').getBoundingClientRect().width")
        assert 280 < width < 380
        assert page.execute_script(
            "return Bokeh.documents[0].roots().every((root) => root.toolbar.tools.every("
            "(tool) => !(tool.type === 'BoxZoomTool' && tool.active)))"
        )
    finally:
        page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
