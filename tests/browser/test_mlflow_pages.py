"""MLflow's own pages, as `make ui` serves them, of runs that were tracked: what a person looks for is there."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import Chromium
from tests.tracked_runs import Tracked

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
KNOWN_ERRORS = {
    "/users/current": "asks who is logged in, and this server has no log-in",
    "get-artifact?path=MLmodel": "looks for a file of its own format beside the model, which DVC alone has",
    "ResizeObserver loop": "its charts, while they find their size",
}
"""MLflow's own, by a part of their text, with the reason."""


class Pages:
    def __init__(self, browser: Chromium, url: str, pictures: Path):
        self._browser, self._url, self._pictures = browser, url, pictures

    def open(self, path: str, *words: str, narrow: bool = False) -> None:
        """Open a page, wait for the words, and check it."""
        self._browser.get("about:blank")  # a page that differs after the # alone would not be loaded anew
        self._browser.get(f"{self._url}/#{path}")
        self.wait_for(*words)
        if narrow:
            self._make_room()
        self.check(words[0].replace("/", "-"))

    def check(self, name: str) -> None:
        """Take a picture, and look at what the page complained of and asked for."""
        self._browser.screenshot(self._pictures / f"{name}.png")
        errors = self._browser.console_errors()
        assert [error for error in errors if not any(known in error for known in KNOWN_ERRORS)] == []
        assert self._browser.requests_that_leave() == []

    def wait_for(self, *words: str) -> None:
        for _ in range(120):
            shown = self._browser.run("return document.body.innerText")
            if all(word in shown for word in words):
                return
            time.sleep(0.5)
        raise AssertionError(f"{[word for word in words if word not in shown]} not in: {shown}")

    def wait_until(self, condition: str) -> None:
        """Wait for what a script returns to be true."""
        for _ in range(120):
            if self._browser.run(f"return {condition}"):
                return
            time.sleep(0.5)
        raise AssertionError(condition)

    def click(self, selector: str) -> None:
        self._browser.run("document.querySelector(arguments[0]).click()", selector)

    def _make_room(self) -> None:
        """Close what MLflow opens beside a page, as one does on a phone; the page then has most of the width."""
        self.click('[aria-label="Toggle sidebar"]')
        assistant = '[data-component-id="mlflow.assistant.chat_panel.close"]'
        self._browser.run("document.querySelector(arguments[0])?.click()", assistant)
        self.wait_until("document.querySelector('main').clientWidth > 0.7 * innerWidth")


@pytest.fixture
def pages(browser: Chromium, mlflow_pages, tmp_path: Path) -> Iterator[Pages]:
    browser.resize(*SIZES["desktop"])
    return Pages(browser, mlflow_pages.url, tmp_path)


def test_an_experiment_shows_its_pipelines(pages: Pages, tracked: Tracked) -> None:
    pages.open("/experiments/1/runs", "questions-gen", "smollm2-135m ", f"{len(tracked.runs())} matching runs")


def test_a_run_shows_its_curves(pages: Pages, tracked: Tracked) -> None:
    run = tracked.one("distill").id
    pages.open(f"/experiments/1/runs/{run}/model-metrics", "distill (loss)", "wall_seconds")
    pages.wait_until("document.querySelectorAll('.js-plotly-plot .scatterlayer .point').length > 0")
    pages.open(f"/experiments/1/runs/{run}/system-metrics", "rss_gib", "cpu_percent")


def test_a_run_shows_its_params_tags_and_datasets(pages: Pages, tracked: Tracked) -> None:
    pages.open(
        f"/experiments/1/runs/{tracked.one('mix').id}", "mix", "Finished", "data/raw", "input_hash", "git_commit"
    )


def test_the_reports_page_opens_as_an_artifact(pages: Pages, browser: Chromium, tracked: Tracked) -> None:
    run = tracked.runs("report")[0].id
    pages.open(f"/experiments/1/runs/{run}/artifacts/report/index.html", "report/index.html", "plots", "metrics")
    drawn = "document.querySelectorAll('svg').length > 3 && document.querySelectorAll('math').length > 3"
    for _ in range(120):
        if "Passes the gate" in inside(browser) and inside(browser, drawn):
            break
        time.sleep(0.5)
    else:
        raise AssertionError(inside(browser))
    pages.check("inside")


def inside(browser: Chromium, script: str = "document.body.innerText") -> Any:
    """What a script returns in the frame of an artifact; "" without one, as MLflow loads it more than once."""
    from selenium.common.exceptions import WebDriverException

    try:
        browser.driver.switch_to.frame(browser.driver.find_element("css selector", "iframe"))
        return browser.run(f"return {script}")
    except WebDriverException:
        return ""
    finally:
        browser.driver.switch_to.default_content()


def test_a_pipeline_leads_to_the_run_that_made_what_was_skipped(
    pages: Pages, browser: Chromium, tracked: Tracked
) -> None:
    parent, maker = tracked.runs("report")[1].tags["mlflow.parentRunId"], tracked.one("mix").id
    pages.open(f"/experiments/1/runs/{parent}", "made by the run", maker[:8])
    link = browser.run("return document.querySelector(arguments[0]).href", f'a[href$="/experiments/1/runs/{maker}"]')
    browser.get(link)
    pages.wait_for("mix", maker, "Parent run")


def test_the_teachers_calls_are_among_the_traces(pages: Pages) -> None:
    pages.open("/experiments/1/traces", "Rate it.", "2.0s", "http_503")


def test_the_model_has_its_champion(pages: Pages) -> None:
    pages.open("/models/questions-gen-smollm2-135m-distill", "Version 3", "champion", "gate_pass_rate")
    pages.open("/models/questions-gen-smollm2-135m-distill/versions/3", "Source Run", "champion", "0.975")


def test_the_pages_can_be_read_on_a_phone(pages: Pages, browser: Chromium, tracked: Tracked) -> None:
    browser.resize(*SIZES["phone"])
    pages.open("/experiments/1/runs", "questions-gen", "matching runs", narrow=True)
    pages.open(f"/experiments/1/runs/{tracked.one('distill').id}", "wall_seconds", "Finished", narrow=True)
    summary = f"/experiments/1/runs/{tracked.runs('report')[0].id}/artifacts/metrics/summary.json"
    pages.open(summary, "gate_pass_rate", narrow=True)
