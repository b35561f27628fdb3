"""Packages, files and the Hub give the rows that they hold, and say exactly which release they are."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from questions_gen import files, sources
from questions_gen.champ import champ_rows
from questions_gen.errors import UserError
from questions_gen.params import ParamsError, parse_params
from questions_gen.sources import HeldOut, Rows, RowSource
from stages.fetch import FetchParams
from tests import fake_hub
from tests.fake_hub import TOKEN, FakeHub
from tests.tiny_gguf import install

hub = fake_hub.hub  # the fixture

ROWS = [{"problem": f"What is $x + {n}$? ∀", "n": n, "nested": [{"b": 1, "a": None}]} for n in range(12)]

CHAMP = {
    "concepts": {
        "C_named": {"name": "rule of sum", "_raw_text": "not shown"},
        "C_unnamed": {"name": None, "_raw_text": "For real @@x@@, @@x^2≥0@@."},
    },
    "hints": {"H_1": {"_raw_text": "Look at @@x@@."}},
    "problems": {
        "P_1": {
            "identifier": "P_1",
            "_raw_text": "Find @@x@@ with @@x^2=4@@.",
            "category": "Number-Theory",
            "solution": {"steps": [{"_raw_text": "@@x=2@@"}, {"_raw_text": "Done."}]},
            "_raw_answer": "@@2@@, or equivalently @@4/2@@",
            "ch_list": ["H_1", "C_unnamed", "C_named"],
        }
    },
}


def source(**values: Any) -> Any:
    defaults = {"name": "rows", "schema": "openmathreasoning", "licence": "MIT"}
    return TypeAdapter(RowSource).validate_python({**defaults, **values})


def parquet(rows: list[dict]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink, row_group_size=5)
    return sink.getvalue().to_pybytes()


# Files


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".json", ".parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, ending: str) -> None:
    import gzip

    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    content = {
        ".jsonl": lines,
        ".jsonl.gz": gzip.compress(lines),
        ".json": json.dumps(ROWS).encode(),
        ".parquet": parquet(ROWS),
    }
    path = tmp_path / f"rows{ending}"
    path.write_bytes(content[ending])
    opened = sources.open_rows(source(kind="file", path=str(path)), "fetch.problems.0")
    assert list(opened) == ROWS
    assert list(opened) == ROWS, "held-out rows are read apart from the others"


def test_champ_becomes_rows() -> None:
    assert champ_rows(CHAMP) == [
        {
            "identifier": "P_1",
            "category": "Number-Theory",
            "problem": "Find $x$ with $x^2=4$.",
            "answer": "2, or equivalently 4/2",
            "solution_steps": ["$x=2$", "Done."],
            "concepts": ["For real $x$, $x^2≥0$.", "rule of sum"],
            "hints": ["Look at $x$."],
        }
    ]


def test_the_packaged_champ() -> None:
    pytest.importorskip("champ_dataset", reason="the package champ-dataset isn't installed")
    packaged = source(
        kind="package", package="champ-dataset", path="champ_dataset/dataset_files/v0.json", schema="champ"
    )
    opened = sources.open_rows(packaged, "fetch.problems.0")
    rows = list(opened)
    assert (len(rows), opened.version) == (270, "1.0.0")
    assert len({row["identifier"] for row in rows}) == 270
    assert all(row["problem"] and row["answer"] and row["solution_steps"] for row in rows)
    assert sum(len(row["concepts"]) for row in rows) == 382
    assert sum(len(row["hints"]) for row in rows) == 456
    assert "@@" not in json.dumps(rows)
    assert all(row["problem"].count("$") % 2 == 0 for row in rows)


# Packages


def test_a_package_is_read_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "some-pack", "1.2.3", {"rows.parquet": parquet(ROWS)})
    monkeypatch.syspath_prepend(tmp_path)
    opened = sources.open_rows(source(kind="package", package="some-pack", path="some_pack/rows.parquet"), "k")
    assert list(opened) == ROWS
    assert opened.version == "1.2.3"


# Held-out rows


def choice(rows: int = 3, name: str = "held") -> HeldOut:
    return HeldOut(name=name, kind="held_out", source="rows", rows=rows)


def picked(rows: list[dict], count: int = 3, seed: int = 1) -> list[int]:
    positions = sources.hold_out(rows, choice(count), seed, frozenset(), "fetch.evaluation_sets.0")
    return sorted(rows[position]["n"] for position in positions)


def test_held_out_rows_depend_on_the_seed_and_the_rows_alone() -> None:
    first = picked(ROWS)
    assert len(first) == 3
    assert picked(ROWS[::-1]) == first, "not on the order"
    assert len(set(picked([*ROWS, {"n": 99}])) - set(first)) <= 1, "hardly on one row more"
    assert {tuple(picked(ROWS, seed=seed)) for seed in range(8)} != {tuple(first)}


def test_a_second_set_takes_other_rows() -> None:
    first = sources.hold_out(ROWS, choice(), 1, frozenset(), "k")
    second = sources.hold_out(ROWS, choice(name="other"), 1, first, "k")
    assert len(second) == 3
    assert not first & second


def test_only_and_without_share_the_rows_out() -> None:
    rows = Rows("k", lambda: ROWS, version="1")
    assert [row["n"] for row in rows.only({1, 3})] == [1, 3]
    assert len(list(rows.without({1, 3}))) == 10
    assert rows.without({1}).version == "1"


# The Hub


def hub_source(**values: Any) -> Any:
    defaults = {"kind": "hub", "repo_id": "org/rows", "config": None, "split": "train", "revision": "main"}
    return source(**{**defaults, **values})


def test_a_hub_dataset_at_the_commit_of_a_branch(hub: FakeHub) -> None:
    old = hub.put("dataset", "org/rows", {"data/train-00000-of-00001.parquet": parquet(ROWS)})
    opened = sources.open_rows(hub_source(), "fetch.problems.0")
    assert opened.revision == old
    assert list(opened) == ROWS, "columns and rows untouched"

    new = hub.put("dataset", "org/rows", {"data/train-00000-of-00001.parquet": parquet(ROWS[:2])})
    assert sources.open_rows(hub_source(), "k").revision == new
    assert len(list(sources.open_rows(hub_source(), "k"))) == 2
    assert len(list(sources.open_rows(hub_source(revision=old), "k"))) == 12, "a pinned commit stays what it was"


def test_config_and_split_are_chosen(hub: FakeHub) -> None:
    card = "---\nconfigs:\n- config_name: hard\n  data_files: [{split: cot, path: hard.parquet}]\n"
    card += "- config_name: easy\n  data_files: [{split: cot, path: easy.parquet}]\n---\n"
    content = {"README.md": card.encode(), "hard.parquet": parquet(ROWS[:3]), "easy.parquet": parquet(ROWS[3:])}
    hub.put("dataset", "org/rows", content)
    assert list(sources.open_rows(hub_source(config="hard", split="cot"), "k")) == ROWS[:3]


def test_only_the_token_of_the_environment_is_sent(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.put("dataset", "org/rows", {"train.parquet": parquet(ROWS)})
    files.write_text(Path(os.environ["HF_HOME"]) / "token", "hf_left_by_a_login")
    sources.open_rows(hub_source(), "k")
    assert {request.token for request in hub.requests} == {None}
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.requests.clear()
    hub.put("dataset", "org/gated", {"train.parquet": parquet(ROWS)}, gated=True)
    assert len(list(sources.open_rows(hub_source(repo_id="org/gated"), "k"))) == 12
    assert TOKEN in {request.token for request in hub.requests}


def test_a_hub_model_is_a_commit(hub: FakeHub) -> None:
    commit = hub.put("model", "org/model", {"config.json": b"{}", "model.safetensors": b"weights"})
    assert sources.hub_revision("model", "org/model", "main", "fetch.model") == commit
    assert not any("safetensors" in request.path for request in hub.requests), "nothing is copied"


# Params


def fetch_values(**changes: Any) -> dict[str, Any]:
    package = {"kind": "package", "package": "p", "path": "rows.jsonl"}
    row = {"name": "rows", "schema": "problems", "licence": "MIT", **package}
    values = {
        "model": {"kind": "hub", "repo_id": "org/model", "revision": "main", "licence": "MIT"},
        "problems": [row],
        "chat": [{**row, "name": "talk", "schema": "sharegpt"}],
        "evaluation_sets": [{"name": "held", "kind": "held_out", "source": "rows", "rows": 3}],
    }
    for key, value in changes.items():
        place, last = values, key.split("__")
        for part in last[:-1]:
            place = place[int(part) if part.isdigit() else part]
        place[last[-1]] = value
    return values


def test_every_kind_of_source_is_read() -> None:
    params = parse_params({"fetch": fetch_values()}, {"fetch": FetchParams})["fetch"]
    assert [type(item).__name__ for item in (params.model, *params.problems, *params.evaluation_sets)] == [
        "HubModel", "PackageSource", "HeldOut",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "says", "reason"),
    [
        ({"problems__0__kind": "pakage"}, "fetch.problems.0.kind: input should be 'package', 'hub' or 'file'", "typo"),
        ({"model__kind": ["hub"]}, "fetch.model.kind: input should be 'package' or 'hub'", "not even a word"),
        ({"problems__0__pth": "x"}, "fetch.problems.0.pth: unknown key; did you mean 'path'?", "typo in a key"),
        ({"problems__0__path": "rows.csv"}, "fetch.problems.0.path: the file must end in", "no reader for it"),
        ({"problems__0__schema": "champs"}, "fetch.problems.0.schema: input should be 'champ'", "unknown schema"),
        ({"problems__0__name": "../x"}, "fetch.problems.0.name: string should match", "it names a file"),
        ({"problems": ["rows.jsonl"]}, "fetch.problems.0: expected keys", "not a section"),
        ({"problems": []}, "problems: at least one source", "nothing to train on"),
        ({"problems__0__schema": "sharegpt"}, "problems.0.schema: dialogues are sharegpt", "dialogues as problems"),
        ({"chat__0__schema": "champ"}, "chat.0.schema: dialogues are sharegpt", "problems as dialogues"),
        ({"evaluation_sets__0__rows": 0}, "fetch.evaluation_sets.0.rows: input should be greater", "nothing held out"),
        ({"model__kind": "held_out"}, "fetch.model.kind: input should be 'package' or 'hub'", "not a kind of model"),
        ({"model__revision": ""}, "fetch.model.revision: string should have at least 1", "no revision"),
    ],
)
def test_a_wrong_value_is_named(changes, says, reason) -> None:
    with pytest.raises(ParamsError) as caught:
        parse_params({"fetch": fetch_values(**changes)}, {"fetch": FetchParams})
    assert says in str(caught.value), reason
    assert len(caught.value.problems) == 1


# The manifest


def test_the_manifest_tells_nothing_of_this_machine(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    files.write_rows(path, ROWS)
    item = source(kind="file", path=str(path))
    entry = sources.write_source(tmp_path / "raw", "problems", item, sources.open_rows(item, "k"))
    assert entry == {
        "name": "rows", "group": "problems", "kind": "file", "from": {"path": "rows.jsonl"},
        "schema": "openmathreasoning", "licence": "MIT", "version": None, "revision": None, "rows": 12,
        "sha256": files.digest(tmp_path / "raw/problems/rows.jsonl"),
    }  # fmt: skip
    assert files.read_rows(tmp_path / "raw/problems/rows.jsonl") == ROWS


def test_a_held_out_set_says_what_it_is_of(tmp_path: Path) -> None:
    item = source(kind="hub", repo_id="org/rows", config=None, split="cot", revision="main")
    rows = Rows("k", lambda: ROWS, revision="a" * 40)
    entry = sources.write_source(tmp_path, "evaluation", item, rows, held_out=choice())
    assert entry["from"] == {"source": "rows", "repo_id": "org/rows", "config": None, "split": "cot"}
    assert (entry["name"], entry["kind"], entry["revision"]) == ("held", "held_out", "a" * 40)
    assert (tmp_path / "evaluation/held.jsonl").exists()


def test_too_few_rows_to_hold_out_is_an_error() -> None:
    with pytest.raises(UserError, match=r"^fetch\.evaluation_sets\.0\.rows: rows has 12 rows left"):
        picked(ROWS, count=12)
