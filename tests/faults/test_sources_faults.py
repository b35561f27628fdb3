"""Bad input, a refusing Hub, a full disk: the key, the cause and the remedy, and nothing half-written."""

import builtins
import errno
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from questions_gen import files, sources
from questions_gen.errors import UserError
from questions_gen.gguf_import import import_gguf
from questions_gen.sources import HeldOut
from tests import fake_hub
from tests.fake_hub import TOKEN, FakeHub, Faults
from tests.test_sources import ROWS, hub_source, parquet, source
from tests.tiny_gguf import install, write_gguf

hub = fake_hub.hub  # the fixture

KEY = "fetch.problems.0"
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def fetched(tmp_path: Path, item: Any) -> Path:
    """Read and write a source as the stage does; the error it ends with, or the file it wrote."""
    sources.write_source(tmp_path / "raw", "problems", item, sources.open_rows(item, KEY))
    return tmp_path / "raw/problems/rows.jsonl"


def assert_refused(tmp_path: Path, item: Any, *says: str) -> str:
    with pytest.raises(UserError) as caught:
        fetched(tmp_path, item)
    message = str(caught.value)
    assert message.startswith(KEY), message
    for part in says:
        assert part in message
    assert not [path for path in (tmp_path / "raw").rglob("*") if path.is_file() and path.stat().st_size], (
        "half-written"
    )
    return message


@pytest.mark.parametrize(
    ("name", "content", "says", "reason"),
    [
        ("rows.parquet", parquet(ROWS)[:-20], "truncated parquet", "the footer is gone"),
        ("rows.parquet", parquet(ROWS)[:200] + parquet(ROWS)[300:], "parquet", "a piece is missing in the middle"),
        ("rows.parquet", b"", "truncated parquet", "an empty file"),
        ("rows.jsonl", LINES[:-30], "line 12: not valid JSON", "cut in the last line"),
        ("rows.jsonl", LINES + b"\xff\xfe\n", "line 13: not valid JSON", "not UTF-8"),
        ("rows.jsonl", b"[1, 2]\n", "line 1: expected an object", "not an object"),
        ("rows.jsonl.gz", gzip.compress(LINES)[:-30], "damaged gzip", "cut"),
        ("rows.json", b'[{"a": 1},', "not valid JSON", "cut"),
        ("rows.json", b'{"a": 1}', "expected a list of objects", "one object"),
        ("rows.jsonl", b"", "has no rows", "an empty source"),
        ("rows.json", b"[]", "has no rows", "an empty list"),
        ("rows.json", b'[{"a": NaN}]', "a row holds what JSON can't", "no number"),
        ("rows.json", b'[{"a": "\\ud800"}]', "a row holds what JSON can't", "half a character"),
    ],
)
def test_a_damaged_file(tmp_path: Path, name, content, says, reason) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert_refused(tmp_path, source(kind="file", path=str(path)), says, "; ")


def test_a_missing_file(tmp_path: Path) -> None:
    assert_refused(tmp_path, source(kind="file", path="nowhere/rows.jsonl"), "no file nowhere/rows.jsonl; put it there")


def test_a_date_in_parquet_is_told_and_not_guessed_at(tmp_path: Path) -> None:
    import datetime

    days = [{"day": datetime.date(2026, 1, day)} for day in (1, 2)]
    held = HeldOut(name="held", kind="held_out", source="rows", rows=1)
    assert len(sources.hold_out(days, held, 1, frozenset(), KEY)) == 1
    (tmp_path / "rows.parquet").write_bytes(parquet(days))
    assert_refused(tmp_path, source(kind="file", path=str(tmp_path / "rows.parquet")), "store that column as text")


@pytest.mark.parametrize(
    "content", [b"[]", b'{"problems": {}}', b'{"problems": {"P": {}}, "concepts": {}, "hints": {}}']
)
def test_a_document_that_is_not_champ(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v0.json").write_bytes(content)
    assert_refused(
        tmp_path, source(kind="file", path=str(tmp_path / "v0.json"), schema="champ"), "not a CHAMP document"
    )


# Packages


def test_a_missing_package(tmp_path: Path) -> None:
    item = source(kind="package", package="no-such-pack", path="x/rows.jsonl")
    message = assert_refused(tmp_path, item, "'no-such-pack' isn't installed", "pip install --no-deps no-such-pack==")
    assert message.startswith(f"{KEY}.package: ")


def test_a_missing_path_in_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "a-pack", "2.0", {"rows.jsonl": LINES})
    monkeypatch.syspath_prepend(tmp_path)
    item = source(kind="package", package="a-pack", path="a_pack/row.jsonl")
    message = assert_refused(tmp_path, item, "a-pack 2.0 has no file 'a_pack/row.jsonl'", "'a_pack/rows.jsonl'?")
    assert message.startswith(f"{KEY}.path: ")


def test_a_damaged_file_in_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "b-pack", "2.0", {"rows.jsonl": LINES[:-30]})
    monkeypatch.syspath_prepend(tmp_path)
    item = source(kind="package", package="b-pack", path="b_pack/rows.jsonl")
    assert_refused(tmp_path, item, "line 12", "install the package again")


# The Hub


@pytest.mark.parametrize(
    ("changes", "says", "reason"),
    [
        ({"repo_id": "org/none"}, ".repo_id: the Hub has no dataset org/none, or a private one: mend", "missing"),
        ({"repo_id": "org/gated"}, ".repo_id: the dataset org/gated is gated; accept its terms", "gated"),
        ({"revision": "v9"}, ".revision: the dataset org/rows has no such branch", "no such revision"),
        ({"repo_id": "a/b/c"}, ".repo_id: ", "no repository's name"),
        ({"split": "trian"}, ": the dataset org/rows can't be read as config None, split 'trian'", "no such split"),
        ({"config": "hard"}, ": the dataset org/rows can't be read as config hard", "no such config"),
        ({"repo_id": "org/torn"}, ": the dataset org/torn can't be read", "a truncated parquet"),
        ({"repo_id": "org/empty"}, ": the dataset org/empty can't be read", "a repository without data"),
    ],
)
def test_what_the_hub_does_not_have(tmp_path: Path, hub: FakeHub, changes, says, reason) -> None:
    hub.put("dataset", "org/rows", {"data/train.parquet": parquet(ROWS)})
    hub.put("dataset", "org/gated", {"data/train.parquet": parquet(ROWS)}, gated=True)
    hub.put("dataset", "org/torn", {"data/train.parquet": parquet(ROWS)[:-20]})
    hub.put("dataset", "org/empty", {"README.md": b"nothing\n"})
    message = assert_refused(tmp_path, hub_source(**changes), says)
    assert ";" in message or ":" in message.removeprefix(KEY), reason


def test_a_token_that_may_not_read_is_said_and_not_shown(
    tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.put("dataset", "org/gated", {"data/train.parquet": parquet(ROWS)}, gated=True)
    assert "set HF_TOKEN" in assert_refused(tmp_path, hub_source(repo_id="org/gated"))
    monkeypatch.setenv("HF_TOKEN", TOKEN + "_of_another")
    message = assert_refused(tmp_path, hub_source(repo_id="org/gated"), "HF_TOKEN's token may not read it")
    assert TOKEN not in message


def test_a_failing_hub(tmp_path: Path, hub: FakeHub) -> None:
    hub.put("dataset", "org/rows", {"data/train.parquet": parquet(ROWS)})
    hub.failing = 403
    assert_refused(tmp_path, hub_source(), "the Hub refused the dataset org/rows (HTTP 403)")


def test_an_unreachable_hub(tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    fake_hub.hasten_clients(monkeypatch)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert_refused(tmp_path, hub_source(), "the Hub can't be reached for the dataset org/rows", "HF_HUB_OFFLINE")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert_refused(tmp_path, hub_source(), "the Hub can't be reached", "use a package or file source")


OPENMATHREASONING = [
    {
        "expected_answer": str(n), "problem_type": "has_answer_extracted", "problem_source": "aops_c4_high_school",
        "generation_model": "DeepSeek-R1", "pass_rate_72b_tir": ["0.5", "n/a"][n % 2], "problem": f"Find ${n}x$.",
        "generated_solution": f"<think>\nHm.\n</think>\n$\\boxed{{{n}}}$", "inference_mode": "cot",
    }
    for n in range(30)
]  # fmt: skip
SHAREGPT = [
    {
        "conversations": [{"from": "human", "value": f"Why {n}?"}, {"from": "gpt", "value": "Because."}],
        "source": "infini-instruct", "score": 5.25,
    }
    for n in range(30)
]  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "rows", "split"),
    [("openmathreasoning", OPENMATHREASONING, "cot"), ("sharegpt", SHAREGPT, "train")],
    ids=["OpenMathReasoning", "FineTome"],
)
def test_a_fifth_of_all_requests_fails(
    tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch, schema: str, rows: list[dict], split: str
) -> None:
    """Every fetch ends with all rows, of one commit, or with an error that names the key and the cause."""
    import datasets

    fake_hub.hasten_clients(monkeypatch)
    commit = hub.put("dataset", "org/rows", {f"data/{split}-00000-of-00001.parquet": parquet(rows)})
    whole, injected = 0, []
    for seed in range(6):
        hub.faults = Faults(seed)
        fake_hub.point_clients_at(hub.url, tmp_path / f"hf-{seed}", monkeypatch)
        item = hub_source(schema=schema, split=split, revision="main")
        try:
            opened = sources.open_rows(item, KEY)
        except UserError as error:
            told = str(error)
        else:
            assert (list(opened), opened.revision) == (rows, commit)
            whole += 1
            continue
        finally:
            injected += hub.faults.injected
        assert told.startswith(KEY)
        assert "the Hub" in told or "the dataset" in told
    assert set(injected) == {"error", "cut", "cut after", "late"}
    assert whole >= 4
    assert not datasets.config.HF_HUB_OFFLINE


def test_a_branch_that_moves_while_it_is_read(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are those of the commit that the manifest names."""
    old = hub.put("dataset", "org/rows", {"data/train.parquet": parquet(ROWS)})
    revision = sources.hub_revision

    def moving(*arguments: Any) -> str:
        commit = revision(*arguments)
        hub.put("dataset", "org/rows", {"data/train.parquet": parquet(ROWS[:3])})
        return commit

    monkeypatch.setattr(sources, "hub_revision", moving)
    opened = sources.open_rows(hub_source(), KEY)
    assert (list(opened), opened.revision) == (ROWS, old)


@pytest.mark.parametrize(
    ("repo_id", "says"),
    [
        ("org/none", "the Hub has no model org/none"),
        ("org/gated", "the model org/gated is gated"),
        ("org/weights", "org/weights has no config.json"),
    ],
)
def test_a_hub_model_that_could_not_be_loaded_later(hub: FakeHub, repo_id: str, says: str) -> None:
    hub.put("model", "org/gated", {"config.json": b"{}"}, gated=True)
    hub.put("model", "org/weights", {"weights.gguf": b""})
    with pytest.raises(UserError, match=r"^fetch\.model\.repo_id: ") as caught:
        sources.hub_revision("model", repo_id, "main", "fetch.model")
    assert says in str(caught.value)


# The model


@pytest.mark.parametrize("share", [0, 0.0001, 0.01, 0.3, 0.6, 0.99])
def test_a_truncated_gguf(tmp_path: Path, share: float) -> None:
    write_gguf(tmp_path / "tiny.gguf")
    content = (tmp_path / "tiny.gguf").read_bytes()
    (tmp_path / "tiny.gguf").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match=r"^tiny\.gguf: not a whole GGUF file .*; install or download it again$"):
        import_gguf(tmp_path / "tiny.gguf", tmp_path / "base")
    assert not (tmp_path / "base").exists()


# The disk


class FullDisk(io.FileIO):
    """A file that takes 2,000 bytes and then finds the disk full."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > 2000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        return FullDisk(path, mode) if mode == "wb" else builtins.open(path, mode, *arguments, **options)

    monkeypatch.setattr(files, "open", opened, raising=False)


@pytest.mark.usefixtures("full_disk")
def test_a_disk_that_fills_while_rows_are_written(tmp_path: Path) -> None:
    old = tmp_path / "raw/problems/rows.jsonl"
    old.parent.mkdir(parents=True)
    old.write_text('{"old": true}\n')
    (tmp_path / "rows.jsonl").write_bytes(LINES * 10)
    item = source(kind="file", path=str(tmp_path / "rows.jsonl"))
    with (
        pytest.raises(UserError, match=r"^data/raw: No space left on device; free some space"),
        files.disk_errors("data/raw"),
    ):
        fetched(tmp_path, item)
    assert [path.name for path in old.parent.iterdir()] == ["rows.jsonl"]
    assert old.read_text() == '{"old": true}\n'


@pytest.mark.usefixtures("full_disk")
def test_a_disk_that_fills_while_the_model_is_converted(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf")
    with pytest.raises(UserError, match="No space left"), files.disk_errors("models/base"):
        import_gguf(tmp_path / "tiny.gguf", tmp_path / "base")
    assert list((tmp_path / "base").iterdir()) == []


def test_other_errors_of_the_system_stay_what_they_are() -> None:
    with pytest.raises(PermissionError), files.disk_errors("data/raw"):
        raise PermissionError(errno.EACCES, "Permission denied")
