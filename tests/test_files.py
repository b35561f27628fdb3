"""Atomic writing and strict reading."""

import errno
import gzip
import os
from pathlib import Path

import pytest

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.schema import Message


def test_rows_come_back_sorted_by_key(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "rows.jsonl"
    assert files.write_rows(path, [{"b": 1, "a": "é"}, Message(role="user", content="x")]) == 2
    assert path.read_text() == '{"a": "é", "b": 1}\n{"content": "x", "role": "user"}\n'
    assert files.read_rows(path) == [{"a": "é", "b": 1}, {"content": "x", "role": "user"}]


def test_an_error_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    files.write_rows(path, [{"a": 1}])

    def rows():
        yield {"a": 2}
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        files.write_rows(path, rows())
    assert files.read_rows(path) == [{"a": 1}]
    assert os.listdir(tmp_path) == ["rows.jsonl"]


def test_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"a": 1}\n{"a": \n', "line 2: not valid JSON"),
        ('{"a": 1}\n[1]\n', "line 2: expected an object, found list"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(content)
    with pytest.raises(UserError, match=expected):
        files.read_rows(path)


def test_a_gzip_file_cut_in_half_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n' * 1000)[:30])
    with pytest.raises(UserError, match=r"rows\.jsonl\.gz: a damaged gzip file"):
        files.read_rows(path)


def test_a_row_of_another_schema_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"role": "user", "content": "x"}\n{"role": "nobody", "content": "x"}\n')
    with pytest.raises(UserError, match=r"row 2: not a Message: role"):
        files.read_records(path, Message)


def test_digest_depends_on_names_and_contents_only(tmp_path: Path) -> None:
    for name in ("one", "two"):
        files.write_text(tmp_path / name / "a" / "b.txt", "text")
    assert files.digest(tmp_path / "one") == files.digest(tmp_path / "two")
    files.write_text(tmp_path / "two" / "c.txt", "")
    assert files.digest(tmp_path / "one") != files.digest(tmp_path / "two")
