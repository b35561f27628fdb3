"""An OpenAI-compatible server on loopback that answers at once, or misbehaves on request.

with FakeTeacher(faults=["http_503", None]) as server:   # the first request fails, all others are answered
    openai.OpenAI(base_url=server.base_url, api_key="any")
"""

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from typing import Any

from questions_gen.stage import Budget

UNLIMITED = {
    "requests_per_minute": None,
    "tokens_per_minute": None,
    "budget": Budget(requests=None, tokens=None, cost=None),
    "prices": None,
}
"""Values of run.teacher."""

STATUS_FAULTS = {
    "http_400": 400,
    "http_401": 401,
    "http_402": 402,
    "http_403": 403,
    "http_404": 404,
    "http_422": 422,
    "http_429": 429,
    "http_429_retry_after": 429,
    "http_500": 500,
    "http_503": 503,
}
BODY_FAULTS = ("timeout", "reset", "half_body", "no_choices")
ANSWER_FAULTS = ("half_json", "wrong_schema", "score_of_9", "empty", "length")
PASSING_FAULTS = ("http_429", "http_429_retry_after", "http_500", "http_503", *BODY_FAULTS, *ANSWER_FAULTS)
"""Faults after which the same request may be answered."""


def asks_for_evaluation(body: dict[str, Any]) -> bool:
    return body["messages"][0]["content"].startswith(("You judge", "你评审"))


def good_answer(body: dict[str, Any]) -> str:
    """Valid for the question, and always the same for it."""
    number = int(hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()[:6], 16)
    if asks_for_evaluation(body):
        names = ("rigor", "difficulty", "innovation", "clarity", "educational_value")
        scores = {name: 1 + (number >> place) % 5 for place, name in enumerate(names)}
        return json.dumps({"feedback": f"Say which numbers are meant, and ask for {number}.", **scores})
    question = body["messages"][-1]["content"]
    if body["messages"][0]["content"].startswith("You compare"):
        better = "second" if question.startswith("First: Find the sum of the roots") else "first"
        return json.dumps({"feedback": f"It asks for {number}.", "better": better})
    return json.dumps({"problem": written(question, number), "answer": str(number // 3 - number // 9)})


def written(question: str, number: int) -> str:
    """An improvement, or the variation that was asked for of "Find the sum of the roots of $…$."."""
    original = question.rsplit(": ", 1)[-1]
    formula = re.search(r"\$(.+?)\$", original)
    if question.startswith("Change parameters"):
        return re.sub(r"\d+", lambda found: str(int(found[0]) + 2 + number % 7), original)
    if question.startswith("Change context") and formula:
        return f"Two vertices of a square lie where ${formula[1]}$ on the line of $x$. What is the area of the square?"
    if question.startswith("Change to an application") and formula:
        return (
            f"A farmer has a fence of $x$ meters, where ${formula[1]}$. How many meters of fence does the farmer need?"
        )
    return f"How many integers from 1 to {number} are divisible by 3 but not by 9?"


def with_fault(fault: str, body: dict[str, Any]) -> tuple[str, str]:
    """The content and the finish reason of an answer that isn't what was asked for."""
    good = good_answer(body)
    if fault == "half_json":
        return good[: len(good) // 2], "stop"
    if fault == "wrong_schema":
        return json.dumps({"verdict": "good"}), "stop"
    if fault == "score_of_9":
        return json.dumps(json.loads(good) | {"rigor": 9}), "stop"
    if fault == "empty":
        return "", "stop"
    return good[: len(good) // 2], "length"


class FakeTeacher:
    def __init__(
        self,
        faults: Iterable[str | None] = (),
        *,
        answer: Callable[[dict[str, Any]], str] = good_answer,
        latency: float = 0.0,
    ):
        """`faults` go to the requests in their order of arrival; then none. `latency` is in seconds."""
        self.bodies: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.most_at_once = 0
        self._faults = chain(faults, repeat(None))
        self._answer, self._latency = answer, latency
        self._now = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> "FakeTeacher":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        with self._lock:
            self.bodies.append(body)
            self.keys.add(request.headers["Authorization"].removeprefix("Bearer "))
            fault = next(self._faults)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            time.sleep(self._latency)
            self._respond(request, body, fault)
        finally:
            with self._lock:
                self._now -= 1

    def _respond(self, request: BaseHTTPRequestHandler, body: dict[str, Any], fault: str | None) -> None:
        if fault in STATUS_FAULTS:
            key = request.headers["Authorization"]
            headers = {"Retry-After": "0"} if fault == "http_429_retry_after" else {}
            _send(request, STATUS_FAULTS[fault], {"error": {"message": f"{fault}: bad luck with {key}"}}, headers)
            return
        if fault == "timeout":
            self._stopped.wait(5)
            request.close_connection = True
            return
        content, finish = with_fault(fault, body) if fault in ANSWER_FAULTS else (self._answer(body), "stop")
        reply: dict[str, Any] = {
            "id": f"chatcmpl-{time.time_ns()}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": f"{body['model']}-served",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }
        if fault == "no_choices":
            reply["choices"] = []
        if fault == "reset":
            _send(request, 200, reply, {}, cut=True)
        elif fault == "half_body":
            text = json.dumps(reply)
            _send(request, 200, text[: len(text) // 2], {})
        else:
            _send(request, 200, reply, {})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no news."""


def _handler(teacher: FakeTeacher) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            teacher.respond(self)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    return Handler


def _send(
    request: BaseHTTPRequestHandler, status: int, content: Any, headers: dict[str, str], *, cut: bool = False
) -> None:
    raw = (content if isinstance(content, str) else json.dumps(content)).encode()
    request.send_response(status)
    for name, value in {"Content-Type": "application/json", "Content-Length": str(len(raw)), **headers}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(raw[: len(raw) // 2] if cut else raw)
    request.wfile.flush()
    if cut:
        request.close_connection = True
        request.connection.close()
