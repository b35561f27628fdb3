"""The dialogues that are shipped with the project."""

from collections import Counter
from pathlib import Path

from questions_gen.files import read_rows
from questions_gen.mixing import read_dialogue

ROWS = read_rows(Path(__file__).parents[1] / "data/sources/dialogues.jsonl")


def test_there_are_120_of_the_sharegpt_schema():
    assert [row["id"] for row in ROWS] == [f"dialogue-{number:03d}" for number in range(1, 121)]
    assert {tuple(sorted(row)) for row in ROWS} == {("conversations", "id", "score", "source")}
    assert all(isinstance(read_dialogue(row), tuple) for row in ROWS), "mix reads every one"


def test_most_have_one_turn_and_some_have_two():
    turns = Counter(len(row["conversations"]) // 2 for row in ROWS)
    assert set(turns) == {1, 2}
    assert turns[1] > turns[2] >= 10


def test_none_stands_twice():
    texts = [turn["value"] for row in ROWS for turn in row["conversations"]]
    assert len(set(texts)) == len(texts)


def test_they_are_short():
    words = [sum(len(turn["value"].split()) for turn in row["conversations"]) for row in ROWS]
    assert max(words) <= 110
