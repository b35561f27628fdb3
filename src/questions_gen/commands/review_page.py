"""The page on which a person rates problems, and the server of it: on loopback, for this machine's browser alone.

A request must name this server as its host (else another site's name, pointed at this machine, could read along), and
a rating must bring the token of the page it was written on (else another site's form could send one).
"""

import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from urllib.parse import parse_qs

from pydantic import ValidationError

from questions_gen.commands.loopback import HOST
from questions_gen.commands.output import harmless
from questions_gen.errors import UserError
from questions_gen.report.latex import formula, html
from questions_gen.reviews import Item, Review, add_review, read_reviews

MAX_BODY = 64_000
"""Bytes of a rating: a comment of MAX_COMMENT characters, each of twelve when it is sent, fits in."""
PAGE = Template(Path(__file__).with_name("review.html").read_text(encoding="utf-8"))
GRADES = ("1", "2", "3", "4", "5")


class ReviewServer(ThreadingHTTPServer):
    """Serves `items` in their order and appends the ratings of `reviewer` to the file `path`."""

    daemon_threads = True

    def __init__(self, port: int, items: Sequence[Item], path: Path, reviewer: str):
        super().__init__((HOST, port), _Handler)
        self.items = items
        self.path = path
        self.reviewer = reviewer
        self.token = secrets.token_urlsafe(32)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}/"

    @property
    def hosts(self) -> tuple[str, ...]:
        return (f"{HOST}:{self.server_port}", f"localhost:{self.server_port}")

    def rated(self) -> dict[str, Review]:
        """What the reviewer said so far, by the problem's id."""
        return {review.problem: review for review in read_reviews(self.path) if review.reviewer == self.reviewer}

    def next_place(self, after: int = 0) -> int | None:
        """The first place behind `after`, else the first of all, that isn't rated; places count from 1."""
        rated = self.rated()
        open_places = [place for place, item in enumerate(self.items, 1) if item.id not in rated]
        return next((place for place in open_places if place > after), next(iter(open_places), None))


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    protocol_version = "HTTP/1.1"
    server_version = "questions-gen"
    sys_version = ""
    timeout = 60

    def do_GET(self) -> None:
        self._told(self._get)

    def do_POST(self) -> None:
        self._told(self._post)

    def _told(self, work: Callable[[], None]) -> None:
        try:
            work()
        except UserError as error:  # of the file of reviews, which others may edit meanwhile
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))

    def _get(self) -> None:
        if not self._from_here():
            return self._refuse(HTTPStatus.FORBIDDEN, "this page is for a browser on this machine")
        if self.path == "/":
            return self._open()
        place = self._place()
        if place is None:
            return self._refuse(HTTPStatus.NOT_FOUND, "no such page")
        item = self.server.items[place - 1]
        return self._problem(place, _filled(self.server.rated().get(item.id)))

    def _post(self) -> None:
        place, length = self._place(), self.headers.get("Content-Length", "")
        if not self._from_here():
            return self._refuse(HTTPStatus.FORBIDDEN, "this page is for a browser on this machine")
        if place is None:
            return self._refuse(HTTPStatus.NOT_FOUND, "no such page")
        if not length.isdecimal() or int(length) > MAX_BODY:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too much for a rating")
        fields = {name: values[-1] for name, values in parse_qs(self.rfile.read(int(length)).decode("latin-1")).items()}
        if not hmac.compare_digest(fields.get("token", "").encode(), self.server.token.encode()):
            return self._refuse(HTTPStatus.FORBIDDEN, "the page is an old one; load it again")
        item = self.server.items[place - 1]
        try:
            review = _review(item, self.server.reviewer, fields)
        except ValidationError as error:
            wrong = error.errors()[0]["msg"].removeprefix("Value error, ")
            return self._problem(place, fields, wrong=wrong, status=HTTPStatus.BAD_REQUEST)
        add_review(self.server.path, review)
        return self._go(self.server.next_place(place))

    def _open(self) -> None:
        place = self.server.next_place()
        if place is not None:
            return self._go(place)
        return self._page("All rated", "<main>Every problem is rated. You can close this page.</main>")

    def _place(self) -> int | None:
        folder, _, number = self.path.removeprefix("/").partition("/")
        if folder != "problem" or not (number.isascii() and number.isdecimal() and len(number) < 10):
            return None
        return int(number) if 1 <= int(number) <= len(self.server.items) else None

    def _from_here(self) -> bool:
        origin = self.headers.get("Origin")
        known = origin in (None, *(f"http://{host}" for host in self.server.hosts))
        return known and self.headers.get("Host") in self.server.hosts

    def _problem(
        self, place: int, values: Mapping[str, str], *, wrong: str = "", status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        item, count = self.server.items[place - 1], len(self.server.items)
        said = f"Problem {place} of {count} · {len(self.server.rated())} rated"
        back = f'<a id="back" href="/problem/{place - 1}">back</a>' if place > 1 else ""
        self._page(said, _problem_html(item, self.server.token, values, wrong, back), status)

    def _page(self, place: str, body: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'none'"
        )
        content = PAGE.substitute(nonce=nonce, place=escape(place), body=body).encode("utf-8", "replace")
        self._send(status, content, {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy})

    def _go(self, place: int | None) -> None:
        self._send(HTTPStatus.SEE_OTHER, b"", {"Location": "/" if place is None else f"/problem/{place}"})

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self.close_connection = True  # what it may still send isn't read
        self._send(status, f"{why}\n".encode(), {"Content-Type": "text/plain; charset=utf-8", "Connection": "close"})

    def _send(self, status: HTTPStatus, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        fixed = {
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "Referrer-Policy": "same-origin",  # with no-referrer, a form says "Origin: null"
            "X-Content-Type-Options": "nosniff",
        }
        for name, value in {**fixed, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the terminal is for what the person should know."""


def _review(item: Item, reviewer: str, fields: Mapping[str, str]) -> Review:
    """Raises ValidationError for fields that aren't a rating."""
    valid = fields.get("valid")
    return Review(
        reviewer=reviewer,
        problem=item.id,
        valid={"yes": True, "no": False}.get(valid, valid),
        difficulty=fields.get("difficulty") if valid == "yes" else None,
        liked=fields.get("liked") == "yes",
        comment=harmless(fields.get("comment", "").replace("\r\n", "\n")),
        **item.model_dump(exclude={"id"}),
    )


def _filled(review: Review | None) -> dict[str, str]:
    """The form's fields as a review says them."""
    if review is None:
        return {}
    return {
        "valid": "yes" if review.valid else "no",
        "difficulty": str(review.difficulty or ""),
        "liked": "yes" if review.liked else "",
        "comment": review.comment,
    }


def _problem_html(item: Item, token: str, values: Mapping[str, str], wrong: str, back: str) -> str:
    """Statement, answer and form; nothing that tells who wrote the problem or what the rewards say of it."""

    def box(kind: str, name: str, value: str, label: str, key: str) -> str:
        checked = " checked" if values.get(name) == value else ""
        required = " required" if kind == "radio" else ""
        mark = f" <kbd>{key}</kbd>" if key != label else ""
        return f'<label><input type="{kind}" name="{name}" value="{value}"{checked}{required}> {label}{mark}</label>'

    answer = "none is given" if item.answer is None else formula(harmless(item.answer))
    valid = box("radio", "valid", "yes", "valid", "v") + box("radio", "valid", "no", "not valid", "x")
    grades = "".join(box("radio", "difficulty", grade, grade, grade) for grade in GRADES)
    error = f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""
    return f"""<main>
<div id="statement">{html(harmless(item.statement))}</div>
<p class="quiet">Answer: <span id="answer">{answer}</span></p>
</main>
{error}
<form method="post">
<input type="hidden" name="token" value="{escape(token)}">
<fieldset><legend>One well-posed problem?</legend>{valid}</fieldset>
<fieldset><legend>Difficulty, from an exercise to an olympiad's last problem</legend>{grades}</fieldset>
<div>{box("checkbox", "liked", "yes", "I like it", "l")}</div>
<textarea name="comment" rows="2" maxlength="2000" aria-label="Comment" placeholder="Comment (c)">{
        escape(harmless(values.get("comment", "")))
    }</textarea>
<button>Save and next <kbd>Enter</kbd></button>
</form>
<p class="quiet">Keys: <kbd>v</kbd> <kbd>x</kbd> valid or not, <kbd>1</kbd> to <kbd>5</kbd>, <kbd>l</kbd> like,
<kbd>c</kbd> comment (<kbd>Esc</kbd> leaves it), <kbd>Enter</kbd> save, <kbd>b</kbd> back. {back}</p>"""
