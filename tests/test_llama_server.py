"""The server child: it answers, it ends with its parent, and what it can't load is a clear error."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from questions_gen.errors import UserError
from questions_gen.llama_server import serve
from questions_gen.training.gguf_export import write_gguf
from tests.training.tiny_models import write_base

HOLDER = """
import sys, time
from pathlib import Path
from questions_gen.llama_server import serve
with serve(Path(sys.argv[1]), threads=1, context=64) as base_url:
    print(base_url, flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("gguf")
    write_gguf(write_base(root / "base", "llama"), root / "tiny.gguf", "f16", "tiny")
    return root / "tiny.gguf"


def ask(base_url: str) -> dict:
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3, "temperature": 0}
    request = urllib.request.Request(f"{base_url}/chat/completions", json.dumps(body).encode())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as response:
        return json.loads(response.read())


def answers(base_url: str) -> bool:
    try:
        return bool(ask(base_url))
    except OSError:
        return False


def test_it_answers_the_same_every_time_and_ends_with_the_block(gguf):
    with serve(gguf, threads=1, context=64, parallel=2) as base_url:
        assert base_url.startswith("http://127.0.0.1:")
        first, second = ask(base_url), ask(base_url)
        assert first["choices"] == second["choices"]
        assert first["usage"]["completion_tokens"] == 3
        assert first["model"] == "tiny.gguf", "no folder of this machine in an answer"
    assert not answers(base_url)


def test_it_ends_with_a_parent_that_is_killed(gguf):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLDER, str(gguf)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        base_url = parent.stdout.readline().strip()
        assert answers(base_url)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 10
    while answers(base_url) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not answers(base_url)


def test_an_error_in_the_block_ends_it(gguf):
    with pytest.raises(RuntimeError, match="ours"), serve(gguf, threads=1, context=64) as base_url:  # noqa: PT012
        raise RuntimeError("ours")
    assert not answers(base_url)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "no such file"),
        (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "llama.cpp can't serve it"),
        (lambda path: path.write_bytes(b"not a model"), "llama.cpp can't serve it"),
    ],
)
def test_a_file_that_cant_be_served_is_a_clear_error(tmp_path, gguf, damage, message):
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf.read_bytes())
    damage(path)
    with pytest.raises(UserError, match=f"model.gguf: {message}"), serve(path, threads=1, context=64):
        pytest.fail("it was served")


def test_without_the_package_it_says_so(gguf, tmp_path, monkeypatch):
    (tmp_path / "xllamacpp.py").write_text("raise ModuleNotFoundError(\"No module named 'xllamacpp'\")")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    with pytest.raises(UserError, match="xllamacpp isn't installed"), serve(gguf, threads=1, context=64):
        pytest.fail("it was served")
