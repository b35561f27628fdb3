from collections.abc import Iterator

import pytest

from tests.browser.chromium import Chromium, missing


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One headless Chromium for all tests of a process; they skip, and say why, where there is none."""
    absent = missing()
    if absent:
        pytest.skip(f"no browser: {', '.join(absent)} not found; `apt-get install chromium chromium-driver`")
    chromium = Chromium(tmp_path_factory.mktemp("chromium"))
    yield chromium
    chromium.close()
