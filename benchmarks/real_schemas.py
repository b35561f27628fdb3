"""Raw rows of any number in the two real schemas, OpenMathReasoning-mini's and FineTome's, of realistic lengths.

The words are CHAMP's (package champ-dataset), in runs of a few that are put together anew: no statement is like
another, save for the copies that are planted. A solution has some 6,000 characters, a dialogue some 2,000.
"""

import importlib.metadata
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from questions_gen import files
from questions_gen.champ import champ_rows

PROBLEMS, DIALOGUES = 19_252, 100_000
"""Rows of the two real data sets."""
HELD_OUT = 200
NEAR, EXACT, CONTAMINATED = 0.05, 0.01, 0.005
"""Shares of the statements that are an earlier one with other numbers, an earlier one, and a held-out one."""
SOLUTION, TURN = (5_000, 0.6), (600, 0.7)
"""Characters: median, and standard deviation of the logarithm."""
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]


def write_raw(raw: Path, problems: int, dialogues: int, seed: int = 1) -> Path:
    """data/raw as fetch leaves it: problems, dialogues and HELD_OUT held-out problems."""
    texts = champ_texts()
    writer, apart = Writer(seed, texts[::2]), Writer(seed + 1, texts[1::2])
    held_out = [apart.statement() for _ in range(HELD_OUT)]
    groups = {
        "evaluation": ("held-out", "openmathreasoning", map(apart.problem, held_out)),
        "problems": (
            "openmathreasoning",
            "openmathreasoning",
            map(writer.problem, writer.statements(problems, held_out)),
        ),
        "chat": ("finetome", "sharegpt", (writer.dialogue() for _ in range(dialogues))),
    }
    entries = []
    for group, (name, schema, rows) in groups.items():
        files.write_rows(raw / group / f"{name}.jsonl", rows)
        entries.append({"group": group, "name": name, "schema": schema, "licence": "MIT"})
    files.write_json(raw / "manifest.json", {"sources": entries})
    return raw


def champ_texts() -> list[str]:
    path = importlib.metadata.distribution("champ-dataset").locate_file("champ_dataset/dataset_files/v0.json")
    rows = champ_rows(json.loads(Path(str(path)).read_bytes()))
    return [text for row in rows for text in (row["problem"], *row["solution_steps"], *row["hints"])]


class Writer:
    """Makes rows of texts that it puts together of passages of `texts`."""

    def __init__(self, seed: int, texts: Sequence[str]) -> None:
        self._text = " ".join(texts)
        self._starts = np.array([0, *(match.end() for match in re.finditer(r"\s+", self._text))])
        self._draw = np.random.default_rng(seed)

    def run(self, words: int) -> str:
        """Words in a row, from anywhere."""
        first = int(self._draw.integers(0, len(self._starts) - words - 1))
        return self._text[self._starts[first] : self._starts[first + words]].strip()

    def text(self, characters: tuple[int, float]) -> str:
        """A passage of a length drawn from a lognormal distribution."""
        median, spread = characters
        left = int(min(median * np.exp(spread * self._draw.standard_normal()), len(self._text) // 2))
        first = int(self._starts[self._draw.integers(0, len(self._starts) // 2 - 1)])
        return self._text[first : first + max(left, 20)].strip()

    def statement(self) -> str:
        """Some 300 characters. Invented words stand for the many rare ones that a small text lacks."""
        runs = self._draw.integers(2, 6, size=int(self._draw.integers(7, 15)))
        return f"Find {' '.join(f'{self.run(int(words))} {self.invented()}' for words in runs)}."

    def invented(self) -> str:
        return "".join(SYLLABLES[place] for place in self._draw.integers(len(SYLLABLES), size=3))

    def statements(self, count: int, held_out: Sequence[str]) -> Iterator[str]:
        """New ones, and the planted copies."""
        made: list[str] = []
        for chance in self._draw.random(count):
            if chance < CONTAMINATED:
                yield held_out[int(self._draw.integers(len(held_out)))]
            elif chance < CONTAMINATED + EXACT + NEAR and made:
                earlier = made[int(self._draw.integers(len(made)))]
                yield earlier if chance < CONTAMINATED + EXACT else "Now " + _other_numbers(earlier)
            else:
                made.append(self.statement())
                yield made[-1]

    def problem(self, statement: str) -> dict:
        answer, thought = str(int(self._draw.integers(1, 10_000))), self.text(SOLUTION)
        solution = f"<think>\n{thought}\n</think>\n\n{self.text(TURN)}\n\n$\\boxed{{{answer}}}$"
        return {
            "expected_answer": answer,
            "problem_type": "has_answer_extracted",
            "problem_source": "aops_c6_high_school_olympiads",
            "generation_model": "DeepSeek-R1",
            "pass_rate_72b_tir": f"{int(self._draw.integers(0, 33)) / 32:.4f}",
            "problem": statement,
            "generated_solution": solution,
            "inference_mode": "cot",
        }

    def dialogue(self) -> dict:
        turns = int(self._draw.integers(1, 3))
        said = [(speaker, self.text(TURN)) for _ in range(turns) for speaker in ("human", "gpt")]
        spoken = [{"from": speaker, "value": value} for speaker, value in said]
        return {"conversations": spoken, "source": "infini-instruct-top-500k", "score": 5.2}


def _other_numbers(statement: str) -> str:
    return re.sub(r"\d+", lambda match: str(int(match.group()) + 3), statement)
