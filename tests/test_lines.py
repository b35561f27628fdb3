import pickle
from pathlib import Path

import pytest

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.lines import Lines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_bytes('{"a": 1}\n\n{"a": "é\\n"}\n  \n{"a": 3}'.encode())
    return path


def test_rows_are_those_of_a_whole_reading(path):
    rows = Lines(path)
    assert [rows[place] for place in range(len(rows))] == list(rows) == files.read_rows(path)
    assert rows[1] == {"a": "é\n"}
    assert rows.sizes.tolist() == [9, 14, 8]


def test_it_goes_to_another_process_without_its_rows(path):
    assert pickle.loads(pickle.dumps(Lines(path)))[2] == {"a": 3}


def test_an_empty_file_has_no_rows(tmp_path):
    (tmp_path / "rows.jsonl").touch()
    assert list(Lines(tmp_path / "rows.jsonl")) == []
    assert len(Lines(tmp_path / "rows.jsonl")) == 0


@pytest.mark.parametrize(("line", "reason"), [("{", "not valid JSON"), ("[]", "expected an object, found list")])
def test_a_line_that_is_no_object_is_named(path, line, reason):
    path.write_text(f'{{"a": 1}}\n{line}\n', encoding="utf-8")
    assert Lines(path)[0] == {"a": 1}
    with pytest.raises(UserError, match=f"rows.jsonl, row 2: {reason}"):
        Lines(path)[1]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="none.jsonl: no such file"):
        Lines(tmp_path / "none.jsonl")
