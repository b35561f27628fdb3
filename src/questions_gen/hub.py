"""The Hugging Face Hub's client, patient for as long as it is sensible: every wait ends, every step is tried again.

`huggingface_hub` itself waits for an answer without limit, and repeats some of its requests only.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from httpx import Client
    from huggingface_hub import HfApi

Result = TypeVar("Result")

ATTEMPTS = 6
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
"""Seconds before the second attempt, doubled before each later one: half a minute in all."""
TIMEOUT = 60.0
"""Seconds without a byte from the Hub."""
PASSING = (408, 429, 500, 502, 503, 504)
"""Statuses that another attempt may change."""


def client(token: str | bool) -> "HfApi":
    """The Hub's client with `token`; False sends none, not even one that a login left in the home folder."""
    from huggingface_hub import HfApi, set_client_factory

    set_client_factory(_bounded)
    return HfApi(token=token)


def _bounded() -> "Client":
    from huggingface_hub.utils._http import default_client_factory

    session = default_client_factory()
    session.timeout = TIMEOUT
    return session


def patiently(step: Callable[[], Result]) -> Result:
    """What `step` returns, at the latest of ATTEMPTS; it must bear to be repeated after it has half happened.

    Raises what the last attempt raised, and at once what no attempt can change.
    """
    for attempt in range(ATTEMPTS):
        try:
            return step()
        except Exception as error:
            if attempt == ATTEMPTS - 1 or not is_passing(error):
                raise
        time.sleep(min(LONGEST_WAIT, FIRST_WAIT * 2**attempt))
    raise AssertionError("unreachable")


def is_passing(error: BaseException) -> bool:
    """May it go by itself: no connection, no answer, or an answer that says so?"""
    from huggingface_hub.errors import OfflineModeIsEnabled

    cause = failure(error)
    return (
        cause is not None
        and not isinstance(cause, OfflineModeIsEnabled)
        and (status(cause) is None or status(cause) in PASSING)
    )


def failure(error: BaseException | None) -> BaseException | None:
    """The failure of the Hub or of the network that `error` is, or that a library wrapped in it."""
    import httpx
    from huggingface_hub.errors import HfHubHTTPError

    while error is not None and not isinstance(error, HfHubHTTPError | httpx.TransportError | ConnectionError):
        error = error.__cause__ or error.__context__
    return error


def status(error: BaseException) -> int | None:
    """The HTTP status that the Hub answered with, if it answered."""
    response = getattr(error, "response", None)
    return None if response is None else response.status_code
