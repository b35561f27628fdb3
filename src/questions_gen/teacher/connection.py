"""One OpenAI-compatible endpoint: sends a request once and says plainly what came of it."""

from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError

from questions_gen.errors import UserError
from questions_gen.teacher.answers import Rejected

REFUSED = (400, 413, 422)
"""The endpoint won't answer this request, and says why."""
DENIED = {
    401: "the key isn't accepted",
    402: "the account is empty",
    403: "access is denied",
    404: "no such model or address",
}
"""The endpoint won't answer any request."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Fault(Exception):
    """An attempt that failed and may be repeated, after `pause` seconds if the server says so."""

    def __init__(self, reason: str, detail: str, pause: float | None = None):
        self.reason, self.detail, self.pause = reason, detail, pause
        super().__init__(f"{reason}: {detail}")


class Message(BaseModel):
    content: str | None = None
    reasoning_content: str | None = None


class Choice(BaseModel):
    message: Message
    finish_reason: str | None = None


class Reply(BaseModel):
    """The parts of a chat completion that are used."""

    choices: list[Choice] = Field(min_length=1)
    usage: dict[str, Any] | None = None
    model: str | None = None


@dataclass(frozen=True)
class Endpoint:
    base_url: str
    key: str
    timeout: float
    """Seconds a request."""
    repeats_itself: bool
    """Whether the same request always gets the same answer: then a bad one isn't asked for again."""


class Connection:
    """One AsyncOpenAI client. It never repeats a request by itself, so that each attempt is seen here."""

    def __init__(self, endpoint: Endpoint):
        import openai

        self.repeats_itself = endpoint.repeats_itself
        self._key = endpoint.key
        local = urlsplit(endpoint.base_url).hostname in LOOPBACK  # a proxy couldn't reach it
        self._client = openai.AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=endpoint.key,
            timeout=endpoint.timeout,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(trust_env=False) if local else None,
        )

    async def close(self) -> None:
        await self._client.close()

    async def post(self, body: dict[str, Any]) -> Reply:
        """Send one request; raises Fault where a repetition may help, else Rejected or UserError."""
        import openai

        try:
            response = await self._client.chat.completions.with_raw_response.create(**body)
            return Reply.model_validate_json(response.http_response.content)
        except openai.APITimeoutError:
            raise Fault("timeout", "no answer in time") from None
        except openai.APIConnectionError as error:
            raise Fault("connection", self._redacted(error.__cause__ or error)) from None
        except openai.APIStatusError as error:
            raise self._status_error(error) from None
        except ValidationError as error:
            raise Fault("broken_body", self._redacted(error.errors()[0]["msg"])) from None

    def _status_error(self, error: Any) -> Exception:
        status, said = error.status_code, self._redacted(error)
        if status in DENIED:
            return UserError(
                f"run.teacher: {DENIED[status]} ({said}); check run.teacher.base_url, teacher.model and the key. "
                "What was answered before is stored"
            )
        if status in REFUSED:
            return Rejected("refused", said)
        return Fault(f"http_{status}", said, retry_after(error.response.headers.get("retry-after")))

    def _redacted(self, error: object) -> str:
        """A server may repeat the key in what it says."""
        return " ".join(str(error).split()).replace(self._key, "***")[:300]


def retry_after(header: str | None) -> float | None:
    """Seconds that a Retry-After header asks for: a number or a date."""
    if header is None:
        return None
    with suppress(ValueError):
        return max(0.0, float(header))
    with suppress(ValueError):
        return max(0.0, parsedate_to_datetime(header).timestamp() - time())
    return None


def shown(address: str) -> str:
    """An address without a user name or password in it.

    >>> shown("https://me:secret@example.org/v1")
    'https://example.org/v1'
    """
    scheme, slashes, rest = address.partition("//")
    return f"{scheme}{slashes}{rest.rsplit('@', 1)[-1]}" if slashes else address.rsplit("@", 1)[-1]
