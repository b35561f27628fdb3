"""The server of the rating page: whom it answers, what it shows, what it keeps."""

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlencode

import pytest
from typer.testing import CliRunner

from questions_gen import cli, files
from questions_gen.commands.review_page import ReviewServer
from questions_gen.reviews import REVIEWS, items, read_reviews
from tests.commands.evaluations import evaluated, write_evaluation
from tests.conftest import take_ctrl_c

HOSTILE = 'Find $x$.</main><script>alert(1)</script><img src=x onerror="alert(2)">\x00\x1b[2J ${nonce} $body'


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.write_text(REVIEWS, "")
    statements = ["Find all primes $p$.", HOSTILE, "How many sheep?"]
    found = items({"secretmodel": [evaluated("secretmodel", n, text) for n, text in enumerate(statements)]})
    found.sort(key=lambda item: statements.index(item.statement))
    with ReviewServer(0, found, REVIEWS, "ann") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def ask(server: ReviewServer, method: str, path: str, body: str | None = None, **headers: str):
    return ask_port(server.server_port, method, path, body, **headers)


def ask_port(port: int, method: str, path: str, body: str | None = None, **headers: str):
    """(status, headers, text) of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, text


def rating(server: ReviewServer, **fields: str) -> str:
    return urlencode({"token": server.token, "valid": "yes", "difficulty": "4", **fields})


def test_a_rating_is_kept_and_leads_to_the_next(server):
    assert ask(server, "GET", "/")[1]["Location"] == "/problem/1"
    body = rating(server, comment="nice — «zwei»\r\nlines", liked="yes")
    status, headers, _ = ask(server, "POST", "/problem/1", body)
    assert (status, headers["Location"]) == (303, "/problem/2")
    (kept,) = read_reviews(REVIEWS)
    assert (kept.reviewer, kept.valid, kept.difficulty, kept.liked) == ("ann", True, 4, True)
    assert (kept.comment, kept.models, kept.passed) == ("nice — «zwei»\nlines", ("secretmodel",), False)
    assert ask(server, "GET", "/")[1]["Location"] == "/problem/2", "goes on where one stopped"
    assert 'value="4" checked' in ask(server, "GET", "/problem/1")[2], "what was said is shown again"
    ask(server, "POST", "/problem/3", rating(server, valid="no"))
    assert [r.difficulty for r in read_reviews(REVIEWS)] == [4, None], "an invalid problem has no difficulty"
    assert ask(server, "POST", "/problem/2", rating(server))[1]["Location"] == "/"
    assert "Every problem is rated" in ask(server, "GET", "/")[2]


def test_neither_the_model_nor_the_verdict_is_shown(server):
    text = "".join(ask(server, "GET", f"/problem/{place}")[2] for place in (1, 2, 3))
    assert "How many sheep?" in text
    assert not re.search(r"secretmodel|no_question|total|passed", text)


def test_a_models_text_is_text(server):
    _, headers, text = ask(server, "GET", "/problem/2")
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "&lt;/main&gt;&lt;script&gt;" in text
    assert "\x00" not in text
    assert "\x1b" not in text
    assert "$body" in text, "the page's own places are filled once"
    assert re.match(r"default-src 'none'; style-src 'nonce-[\w-]+'", headers["Content-Security-Policy"])


FORBIDDEN = [
    ("GET", "/problem/1", None, {"Host": "evil.example:80"}, 403, "a name that someone pointed at this machine"),
    ("POST", "/problem/1", "good", {"Origin": "http://evil.example"}, 403, "another site's form"),
    ("POST", "/problem/1", "valid=yes&difficulty=3", {}, 403, "no token"),
    ("POST", "/problem/1", "token=%ff%00&valid=yes", {}, 403, "a token of its own"),
    ("POST", "/problem/1", "x" * 70_000, {}, 413, "more than a rating"),
    ("POST", "/problem/9", "good", {}, 404, "no such problem"),
    ("GET", "/problem/../../etc/passwd", None, {}, 404, "a path that climbs"),
    ("GET", "/problem/²", None, {}, 404, "a digit that is no number"),
    ("POST", "/problem/1", "good&difficulty=9", {}, 400, "no such grade"),
    ("POST", "/problem/1", "good&valid=perhaps", {}, 400, "neither yes nor no"),
    ("POST", "/problem/1", "good&comment=" + "x" * 3000, {}, 400, "a novel"),
]


@pytest.mark.parametrize(("method", "path", "body", "headers", "status", "reason"), FORBIDDEN)
def test_what_is_refused_leaves_no_rating(server, method, path, body, headers, status, reason):
    sent = body and body.replace("good", rating(server))
    assert ask(server, method, path.replace("²", "%C2%B2"), sent, **headers)[0] == status, reason
    assert not REVIEWS.read_bytes()


def test_a_file_of_reviews_that_someone_broke_is_named(server):
    files.write_text(REVIEWS, "{")
    status, _, text = ask(server, "GET", "/problem/1")
    assert status == 500
    assert "reviews.jsonl, line 1: not valid JSON" in text
    assert ask(server, "POST", "/problem/1", rating(server))[0] == 500


def invoke(*arguments: str):
    return CliRunner().invoke(cli.app, ["review", *arguments])


def test_bad_input_is_a_clear_error(server):
    assert "data/evaluation has no rows.jsonl" in invoke().stderr
    write_evaluation(Path(), "sft", ["Find $x$."])
    taken = invoke("--port", str(server.server_port))
    assert taken.exit_code == 2
    assert f"--port: {server.server_port} is in use" in taken.stderr
    assert "--reviewer: holds U+001B" in invoke("--reviewer", "a\x1bb").stderr
    files.write_rows(REVIEWS, [{"liked": True}])
    files.write_rows(Path("data/evaluation/sft/rows.jsonl"), [{"id": "another schema"}])
    wrong = invoke()
    assert wrong.exit_code == 2
    assert "data/evaluation/sft/rows.jsonl, row 1: not a Evaluated" in wrong.stderr


def test_the_command_prints_its_address_and_ends_with_ctrl_c(tmp_path):
    write_evaluation(tmp_path, "sft", ["Find $x$.", "Find $y$."])
    write_evaluation(tmp_path, "grpo", ["Find $x$.", "Find $z$."])
    command = [sys.executable, "-c", "from questions_gen.cli import app; app()", "review", "--reviewer", "ann"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment, preexec_fn=take_ctrl_c
    ) as process:
        said = process.stdout.readline()
        assert said.startswith("3 problems, 0 rated by ann: http://127.0.0.1:")
        port = int(said.rstrip("/\n").rpartition(":")[2])
        token = re.search(r'name="token" value="([^"]+)"', ask_port(port, "GET", "/problem/1")[2])[1]
        ask_port(port, "POST", "/problem/1", urlencode({"token": token, "valid": "no"}))
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "1 of 3 are rated in data/reviews/reviews.jsonl" in rest
    assert [r.valid for r in read_reviews(tmp_path / REVIEWS)] == [False]
