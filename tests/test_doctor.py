"""Each check finds what it is for, and says how to mend it. The objects' checks: pipeline/test_remotes.py."""

import json
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from questions_gen import cli, doctor
from questions_gen.doctor import Finding
from questions_gen.params import load_params
from questions_gen.stage import RunParams
from questions_gen.teacher.store import ANSWERS, SEALED
from questions_gen.training.backend import ModelParams
from stages.fetch import FetchParams
from tests import fake_hub
from tests.fake_hub import TOKEN, FakeHub

hub = fake_hub.hub  # the fixture

ROOT = Path(__file__).parents[1]
RUN = load_params({"run": RunParams}, ROOT / "params.yaml")["run"]
MODEL = load_params({"model": ModelParams}, ROOT / "params.yaml")["model"]
REAL_FETCH = load_params({"fetch": FetchParams}, ROOT / "conf/qwen3-14b.yaml")["fetch"]
KEY = "sk-of-the-tests"


@contextmanager
def service(status: int) -> Iterator[str]:
    """A service on loopback that answers everything with `status` if the key is right, else with 401."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.headers.get("Authorization") in (None, f"Bearer {KEY}") else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_this_python_is_new_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.python().state == "ok"
    monkeypatch.setattr(doctor, "OLDEST_PYTHON", (3, 99))
    assert doctor.python().state == "broken"


@pytest.mark.parametrize(
    ("lines", "state", "says"),
    [
        ("# a comment\npytest==0.1\n", "warn", "1 of another release: pytest"),
        ("transformers==0.1\n", "warn", "1 of another release and outputs may differ: transformers"),
        ("no-such-package==1.0\n", "broken", "1 locked packages aren't installed: no-such-package"),
        ("", "ok", "0 as in"),
    ],
)
def test_packages_against_the_lock(tmp_path: Path, lines: str, state: str, says: str) -> None:
    (tmp_path / "lock").write_text(lines)
    (finding,) = doctor.packages(tmp_path / "lock")
    assert (finding.state, says in finding.cause) == (state, True), finding


def test_a_torn_row_of_the_teacher_store(tmp_path: Path) -> None:
    assert doctor.teacher_store(tmp_path).state == "ok"
    (tmp_path / ANSWERS).parent.mkdir()
    (tmp_path / ANSWERS).write_text('{"entry": {"key"\n')
    finding = doctor.teacher_store(tmp_path)
    assert finding.state == "broken"
    assert "answers.jsonl, line 1: not a whole entry" in finding.cause
    (tmp_path / SEALED).mkdir(parents=True)
    (tmp_path / SEALED / "0.jsonl").write_text('{"key"\n')
    assert "0.jsonl, line 1: not valid JSON" in doctor.teacher_store(tmp_path).cause


def test_mlflow(tmp_path: Path) -> None:
    tracking = RUN.tracking
    assert doctor.mlflow(tracking, tmp_path).cause == "mlflow.db isn't there yet; the first stage makes it"
    sqlite3.connect(tmp_path / "mlflow.db").execute("CREATE TABLE runs (id)")
    assert doctor.mlflow(tracking, tmp_path) == Finding("mlflow", "ok", "mlflow.db is whole")
    (tmp_path / "mlflow.db").write_bytes(b"no database at all" * 100)
    assert doctor.mlflow(tracking, tmp_path).state == "warn"
    assert doctor.mlflow(tracking.model_copy(update={"enabled": False}), tmp_path).state == "ok"
    with service(200) as url:
        assert doctor.mlflow(tracking.model_copy(update={"uri": url}), tmp_path).state == "ok"
    finding = doctor.mlflow(tracking.model_copy(update={"uri": url.replace("//", "//me:secret@")}), tmp_path)
    assert "secret" not in finding.cause
    assert (finding.state, "ConnectError; runs wouldn't be shown" in finding.cause) == ("warn", True)


def test_the_teachers_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RUN.teacher.key_variable, raising=False)
    assert doctor.teacher_key(RUN.teacher).state == "ok", "the embedded server needs none"
    away = RUN.teacher.model_copy(update={"base_url": "https://me:secret@teacher.invalid/v1"})
    assert doctor.teacher_key(away).remedy == f"export {away.key_variable}=…"
    assert "secret" not in str(doctor.teacher_key(away))
    with service(404) as url:
        assert doctor.teacher_key(away.model_copy(update={"base_url": url})).state == "warn", "that tells nothing"
    with service(200) as url:
        teacher = RUN.teacher.model_copy(update={"base_url": url})
        assert doctor.teacher_key(teacher).state == "ok", "a server of this machine may need none"
        monkeypatch.setenv(teacher.key_variable, "sk-of-another")
        refused = doctor.teacher_key(teacher)
        assert (refused.state, "doesn't accept the key" in refused.cause) == ("broken", True)
        assert "sk-of-another" not in str(refused)
        monkeypatch.setenv(teacher.key_variable, KEY)
        assert doctor.teacher_key(teacher).state == "ok"
    assert doctor.teacher_key(teacher).state == "broken", "it is gone"


def test_the_hubs_repositories_are_looked_up(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch = REAL_FETCH
    hub.put("model", fetch.model.repo_id, {"config.json": b"{}"}, ref=fetch.model.revision)
    for source in (*fetch.problems, *fetch.chat):
        hub.put("dataset", source.repo_id, {"README.md": b""}, ref=source.revision, gated=source in fetch.chat)
    found = {finding.cause.split(":")[0]: finding for finding in doctor.hub_sources(fetch)}
    assert found["fetch.model"].state == found["fetch.problems.0"].state == "ok"
    gated = found["fetch.chat.0.repo_id"]
    assert (gated.state, "accept its terms" in gated.remedy) == ("broken", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert {finding.state for finding in doctor.hub_sources(fetch)} == {"ok"}


def test_disk_space(tmp_path: Path, hub: FakeHub) -> None:
    assert doctor.disk(tmp_path, 1).state == "ok"
    assert doctor.disk(tmp_path, 1 << 60).state == "broken"
    assert doctor.weights_of(REAL_FETCH.model, tmp_path) is None, "the Hub doesn't know the model"
    assert doctor.disk(tmp_path, None).state == "warn"
    hub.put("model", REAL_FETCH.model.repo_id, {"a.safetensors": bytes(70), "b.bin": bytes(9)}, ref="main")
    model = REAL_FETCH.model.model_copy(update={"revision": "main"})
    assert doctor.weights_of(model, tmp_path) == 70
    (tmp_path / "models/base").mkdir(parents=True)
    (tmp_path / "models/base/model.safetensors").write_bytes(bytes(50))
    assert doctor.weights_of(model, tmp_path) == 50, "what is on the disk needs no asking"


def test_the_gpu() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert doctor.gpu(MODEL).state == "ok"
    assert doctor.gpu(MODEL.model_copy(update={"dtype": "bfloat16"})).state == "warn"
    assert doctor.gpu(MODEL.model_copy(update={"backend": "unsloth"})).state == "broken"


def test_the_token_to_publish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert doctor.publish_token(RUN.publish).state == "ok"
    publish = RUN.publish.model_copy(update={"namespace": "me"})
    assert doctor.publish_token(publish).state == "warn"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert doctor.publish_token(publish) == Finding("publish", "ok", "HF_TOKEN is set")


# The command


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with this one's stages and params, before its first run."""
    from dvc.cli import main

    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    assert main(["init", "-q"]) == 0
    for name in ("stages", "conf"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("dvc.yaml", "params.yaml", "requirements.lock", ".dvc/config"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


def test_a_new_checkout_is_not_broken(checkout: Path) -> None:
    result = CliRunner().invoke(cli.app, ["doctor", "--before-run", "--json"])
    found = {row["check"]: row for row in json.loads(result.stdout)["findings"]}
    assert result.exit_code == 0, result.output
    assert found["dvc.lock"]["remedy"] == "dvc repro"
    assert found["params"]["state"] == "ok"
    assert {"python", "packages", "cache", "remote", "teacher store", "mlflow", "gpu", "disk", "teacher"} < set(found)


def test_what_is_broken_ends_with_code_1(checkout: Path) -> None:
    text = (checkout / "params.yaml").read_text().replace("seed: 3407\n", "sede: 3407\n", 1)
    (checkout / "params.yaml").write_text(text)
    result = CliRunner().invoke(cli.app, ["doctor"])
    assert result.exit_code == 1
    assert "broken" in result.stdout
    assert "mend params.yaml" in " ".join(result.stdout.split())
