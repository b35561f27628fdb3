"""Publishing with the real client to a Hub on loopback: whole, private, and never half without saying so."""

import json
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from questions_gen import cli, hub, publishing
from questions_gen.errors import UserError
from questions_gen.publishing import PublishError, publish
from questions_gen.stage import PublishRun
from tests import fake_hub
from tests.fake_hub import TOKEN, FakeHub, Faults

the_hub = fake_hub.hub  # the fixture

REPO = "me/tiny-distill"
COMMIT = "c" * 40
SETTINGS = PublishRun(
    namespace="me",
    model="tiny",
    private=True,
    stages=["distill"],
    artifacts=["adapter", "merged", "merged-nf4", "gguf"],
    token_variable="A_TOKEN",
)
EXPORT = {
    "README.md": b"---\nlicense: mit\n---\n\n# Tiny\n",
    "checks.json": b"{}\n",
    "adapter/adapter_config.json": b'{"r": 4}\n',
    "adapter/adapter_model.safetensors": bytes(range(256)) * 40,
    "merged/model-00001-of-00002.safetensors": bytes(range(255)) * 90,
    "merged/model-00002-of-00002.safetensors": bytes(range(254)) * 70,
    "merged/config.json": b'{"hidden_size": 8}\n',
    "merged-nf4/model.safetensors": bytes(range(253)) * 20,
    "gguf/Modelfile-q8_0": b"FROM ./model-q8_0.gguf\n",
    "gguf/model-q8_0.gguf": b"GGUF" + bytes(3000),
}


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a checkout with an export in it, and clients that wait for milliseconds only."""
    for name, content in EXPORT.items():
        path = tmp_path / "checkout/models/export/distill" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    monkeypatch.chdir(tmp_path / "checkout")
    fake_hub.hasten_clients(monkeypatch)
    return tmp_path / "checkout/models/export/distill"


def planned() -> publishing.Publication:
    (publication,) = publishing.plan(SETTINGS, COMMIT)
    return publication


def published_bytes() -> dict[str, bytes]:
    """What is to be in the repository."""
    return EXPORT | {"README.md": publishing.card_with_commit(EXPORT["README.md"].decode(), COMMIT).encode()}


def test_an_export_becomes_a_private_repository_with_the_commit_in_its_card(the_hub: FakeHub, export: Path) -> None:
    result = publish(planned(), TOKEN)
    assert the_hub.files("model", REPO) == published_bytes()
    assert the_hub.repos["model", REPO].private
    assert COMMIT in the_hub.files("model", REPO)["README.md"].decode()
    assert sorted(result.sent) == sorted(EXPORT)
    assert result.url.endswith(the_hub.repos["model", REPO].refs["main"])


def test_what_is_there_is_not_sent_again_and_what_was_dropped_goes(the_hub: FakeHub, export: Path) -> None:
    publish(planned(), TOKEN)
    the_hub.put("model", REPO, the_hub.files("model", REPO) | {"gguf/old.gguf": b"old", "NOTES.md": b"mine"})
    (export / "adapter/adapter_model.safetensors").write_bytes(b"new weights")
    the_hub.uploads.clear()
    result = publish(planned(), TOKEN)
    assert result.sent == ("adapter/adapter_model.safetensors",)
    assert result.removed == ("gguf/old.gguf",)
    assert len(the_hub.uploads) == 1
    there = the_hub.files("model", REPO)
    assert there["adapter/adapter_model.safetensors"] == b"new weights"
    assert there["NOTES.md"] == b"mine", "what others added stays"
    commits = len(the_hub.repos["model", REPO].commits)
    assert publish(planned(), TOKEN).sent == ()
    assert len(the_hub.uploads) == 1
    assert len(the_hub.repos["model", REPO].commits) == commits, "no empty commit"


def test_a_fifth_of_all_requests_fails(the_hub: FakeHub, export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each ends whole or with an error that names what is missing; no commit ever holds a part."""
    whole, faults = 0, []
    for seed in range(12):
        the_hub.repos.clear()
        the_hub.large.clear()
        the_hub.faults = Faults(seed)
        try:
            publish(planned(), TOKEN)
        except PublishError as error:
            told = str(error)
        else:
            told = None
        if told is None:
            whole += 1
            assert the_hub.files("model", REPO) == published_bytes()
        else:
            assert "files" in told
            assert "publish` again goes on" in told
        faults += the_hub.faults.injected
        held = the_hub.repos["model", REPO].commits.values() if the_hub.repos else []
        assert all(commit in ({}, published_bytes()) for commit in held), "a part of it was committed"
    assert set(faults) == {"error", "cut", "cut after", "late"}
    assert whole >= 10


def test_a_hub_that_dies_at_any_request(the_hub: FakeHub, export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what is missing; the next time goes on, and sends no large file twice."""
    monkeypatch.setattr(hub, "ATTEMPTS", 2)
    publish(planned(), TOKEN)
    requests = len(the_hub.requests)
    half = 0
    for spared in range(0, requests, 2):
        the_hub.repos.clear()
        the_hub.large.clear()
        the_hub.faults = Faults(spared, share=1.0, late=0.0, after=spared)
        the_hub.faults.draw = lambda draw=the_hub.faults.draw: draw() and "error"  # type: ignore[method-assign]
        the_hub.uploads.clear()
        with pytest.raises(PublishError, match=r"^me/tiny-distill: the Hub failed 2 times in a row \(HTTP 500\); of"):
            publish(planned(), TOKEN)
        half += bool(the_hub.large)
        the_hub.faults = None
        publish(planned(), TOKEN)
        assert the_hub.files("model", REPO) == published_bytes()
        assert len(the_hub.uploads) == len(set(the_hub.uploads)) == 5
    assert half >= 3


def test_bytes_that_were_damaged_on_the_way_are_found(
    the_hub: FakeHub, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = FakeHub.put

    def damaging(self: FakeHub, kind: str, repo_id: str, content: dict, **more: object) -> str:
        name = "merged/model-00002-of-00002.safetensors"
        return put(self, kind, repo_id, content | ({name: b"x"} if name in content else {}), **more)

    monkeypatch.setattr(FakeHub, "put", damaging)
    with pytest.raises(PublishError, match="holds other bytes than were sent: merged/model-00002"):
        publish(planned(), TOKEN)


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda hub: None, "the Hub refused (HTTP 401); the token must be one that may write there"),
        (lambda hub: hub.put("model", REPO, {}), "anybody can read it, and run.publish.private is true"),
    ],
    ids=["a refused token", "a repository that is public"],
)
def test_what_the_hub_does_not_allow(the_hub: FakeHub, export: Path, prepare, says: str) -> None:
    prepare(the_hub)
    token = TOKEN if the_hub.repos else "hf_of_another"
    with pytest.raises(UserError) as caught:
        publish(planned(), token)
    assert says in str(caught.value)
    assert token not in str(caught.value)
    assert not the_hub.large


def test_an_unreachable_hub_is_told(the_hub: FakeHub, export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(PublishError, match=r"failed 6 times in a row \(ConnectError\); of its 10 files 10 were not"):
        publish(planned(), TOKEN)


def test_what_was_not_exported_is_said(export: Path) -> None:
    for path in (export / "gguf").iterdir():
        path.unlink()
    (export / "gguf").rmdir()
    with pytest.raises(UserError, match=r"^run.publish.artifacts: the export of distill has no gguf \(.*adapter, mer"):
        planned()
    with pytest.raises(UserError, match="the export of sft has no adapter, merged, merged-nf4, gguf .* holds nothing"):
        publishing.plan(SETTINGS.model_copy(update={"stages": ["sft"]}), COMMIT)


# The command


@pytest.fixture
def checkout(export: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the export as its stage made it, and no change that isn't committed."""
    from dvc.cli import main

    root = export.parents[2]
    params = (Path(__file__).parents[1] / "params.yaml").read_text()
    params = params.replace("namespace: null", "namespace: me").replace("questions-gen-smollm2-135m ", "tiny ")
    (root / "params.yaml").write_text(params)
    (root / "dvc.yaml").write_text("stages: {export: {cmd: 'false', outs: [models/export]}}\n")
    git("init", "-q")
    assert main(["init", "-q"]) == main(["commit", "-q", "-f"]) == 0
    git("add", "params.yaml", "dvc.yaml", "dvc.lock")
    git("commit", "-qm", "first")
    return root


def git(*arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@b", *arguments], check=True)


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["publish", *arguments])
    return result.exit_code, result.output


def test_a_dry_run_lists_all_and_contacts_nobody(the_hub: FakeHub, checkout: Path) -> None:
    code, shown = invoke("--dry-run")
    assert code == 0, shown
    assert "me/tiny-distill (private)" in shown
    assert "nothing was sent" in shown
    for path in EXPORT:
        assert path in shown
    code, shown = invoke("--dry-run", "--json")
    (row,) = json.loads(shown)["repositories"]
    assert [item["path"] for item in row["files"]] == [item.path for item in planned().items]
    assert row["published"] is None
    assert not the_hub.requests


def test_the_command_publishes_and_shows_no_token(
    the_hub: FakeHub, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, shown = invoke()
    assert (code, "HF_TOKEN: not set" in shown) == (2, True), shown
    assert not the_hub.requests
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    code, shown = invoke()
    assert (code, "me/tiny-distill: whole, 10 files sent, 0 were there" in shown) == (0, True), shown
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert commit in the_hub.files("model", REPO)["README.md"].decode()
    code, again = invoke("--json")
    assert json.loads(again)["repositories"][0]["published"]["sent"] == []
    assert TOKEN not in shown + again
    (checkout / "params.yaml").write_text((checkout / "params.yaml").read_text() + "\n")
    code, shown = invoke()
    assert (code, "params.yaml: not as in the commit" in shown) == (2, True), shown


def test_an_export_of_another_commit_is_refused(the_hub: FakeHub, checkout: Path, export: Path) -> None:
    (export / "merged/config.json").write_bytes(b"{}")
    code, shown = invoke("--dry-run")
    assert (code, "models/export: modified, so the commit doesn't tell" in shown) == (2, True), shown
    shutil.rmtree(export.parent)
    code, shown = invoke("--dry-run")
    assert (code, "models/export: deleted, so" in shown) == (2, True), shown


def test_without_a_namespace_nothing_is_published(the_hub: FakeHub, checkout: Path) -> None:
    text = (checkout / "params.yaml").read_text().replace("namespace: me", "namespace: null")
    (checkout / "params.yaml").write_text(text)
    git("commit", "-qam", "none")
    code, shown = invoke("--dry-run")
    assert (code, "run.publish.namespace: null" in shown) == (2, True), shown


def test_the_client_is_not_left_to_wait_for_ever(the_hub: FakeHub, export: Path) -> None:
    from huggingface_hub.utils import get_session

    hub.client(TOKEN)
    assert get_session().timeout == httpx.Timeout(hub.TIMEOUT)
