"""A headless Chromium that reaches this machine alone, and tells what a page said and asked for."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",  # tests may run as root, where Chromium has no sandbox
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)
LOCAL = ("file:", "data:", "blob:", "about:", "http://127.0.0.1:", "http://localhost:", "ws://127.0.0.1:")
"""Beginnings of the addresses that lead nowhere else."""


def missing() -> list[str]:
    """The programs and packages that a browser test needs and doesn't find."""
    import importlib.util

    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    return absent + ([] if importlib.util.find_spec("selenium") else ["the package selenium"])


class Chromium:
    """One browser with one tab, in an empty profile.

    What the page logged and requested counts from the last `get` on.
    """

    def __init__(self, profile: Path):
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        options.ignore_local_proxy_environment_variables()
        # with its path given, selenium looks for no driver to download
        service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_page_load_timeout(60)
        self.driver.get("about:blank")  # away from the browser's own first page, and its requests
        self._logged: dict[str, list[dict[str, Any]]] = {"browser": [], "performance": []}

    def get(self, url: str) -> None:
        self._read()
        for entries in self._logged.values():
            entries.clear()
        self.driver.get(url)

    def resize(self, width: int, height: int) -> None:
        """Set the viewport, in CSS pixels: a window can't be as narrow as a phone."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def emulate(self, *, scheme: str = "light", media: str = "") -> None:
        """Prefer a colour scheme, "light" or "dark"; with `media`, lay out for "print"."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns that runs in the page."""
        return self.driver.execute_script(script, *arguments)

    def console_errors(self) -> list[str]:
        """Errors of scripts, of loading and of the content security policy."""
        self._read()
        return [entry["message"] for entry in self._logged["browser"] if entry["level"] == "SEVERE"]

    def requests(self) -> list[str]:
        """Every address that the page asked for, its own first."""
        self._read()
        events = (json.loads(entry["message"])["message"] for entry in self._logged["performance"])
        urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith("chrome:")]

    def requests_that_leave(self) -> list[str]:
        """Those that are for another machine."""
        return [url for url in self.requests() if not url.startswith(LOCAL)]

    def screenshot(self, path: Path) -> None:
        """A picture of the whole page, not of the viewport alone."""
        picture = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        path.write_bytes(base64.b64decode(picture["data"]))

    def close(self) -> None:
        self.driver.quit()

    def _read(self) -> None:
        """Take the driver's logs over: it forgets what it has told."""
        for name, entries in self._logged.items():
            entries += self.driver.get_log(name)
