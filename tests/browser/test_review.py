"""Ten problems are rated by keyboard alone, and found in the data."""

import random
import threading
from pathlib import Path

import pytest

from questions_gen import files
from questions_gen.commands.review_page import ReviewServer
from questions_gen.reviews import REVIEWS, agreement, items, read_reviews
from questions_gen.schema import Evaluated
from tests.browser.chromium import Chromium
from tests.commands.evaluations import write_evaluation


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.write_text(REVIEWS, "")
    for model, texts in {
        "sft": [f"Find all integers $n$ with $n^2 < {k}$." for k in range(6)],
        "grpo": [f"How many subsets has a set of {k} elements? <b>bold</b>" for k in range(6)],
    }.items():
        write_evaluation(tmp_path, model, texts)
    rows = sorted(Path("data/evaluation").glob("*/rows.jsonl"))
    found = items({path.parent.name: files.read_records(path, Evaluated) for path in rows})
    random.Random(3).shuffle(found)
    with ReviewServer(0, found, REVIEWS, "ann") as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def test_ten_problems_are_rated_by_keyboard_alone(browser: Chromium, server: ReviewServer):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    def press(*keys: str) -> None:
        ActionChains(browser.driver, duration=0).send_keys(*keys).perform()

    def arrive(place: int) -> None:
        WebDriverWait(browser.driver, 10, poll_frequency=0.02).until(
            lambda driver: (
                driver.current_url.endswith(f"/problem/{place}")
                and driver.execute_script("return document.readyState") == "complete"
            )
        )

    browser.get(server.url)
    shown = []
    for place in range(1, 11):
        arrive(place)
        shown.append(browser.run("return document.querySelector('#statement').textContent"))
        if place == 1:  # a grade is asked for, and a valid problem isn't saved without one
            press("v", Keys.ENTER)
            assert not REVIEWS.read_bytes()
        if place % 4 == 0:
            press("x", Keys.ENTER)
            continue
        press("v", str(place % 5 + 1))
        if place % 2:
            press("l", "c", f"v12 {place}", Keys.ESCAPE)
        press(Keys.ENTER)
    arrive(11)
    press("b")
    arrive(10)
    press("5", Keys.ENTER)  # a second thought
    arrive(11)

    kept = {review.problem: review for review in read_reviews(REVIEWS)}
    rated = [kept[item.id] for item in server.items[:10]]
    assert len(kept) == 10
    assert [review.valid for review in rated] == [place % 4 != 0 for place in range(1, 11)]
    assert [review.difficulty for review in rated] == [2, 3, 4, None, 1, 2, 3, None, 5, 5]
    assert [review.liked for review in rated] == [place % 2 == 1 for place in range(1, 11)]
    assert [review.comment for review in rated] == [f"v12 {place}" if place % 2 else "" for place in range(1, 11)]
    assert {model for review in rated for model in review.models} == {"sft", "grpo"}
    assert agreement(list(kept.values()))["reviews"] == 10
    assert browser.console_errors() == []
    assert browser.requests_that_leave() == []
    assert all("<b>bold</b>" in text for text in shown if text.startswith("How many")), "text, not markup"
