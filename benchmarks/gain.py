"""What a stage gained: the evaluations of two models on the same prompts, paired by prompt (docs/evaluation.md).

    python -m benchmarks.gain data/evaluation/sft data/evaluation/grpo

For several seeds, name the folders of each after one another: before after before after … A prompt of each seed then
counts as one.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from questions_gen import files, measures
from questions_gen.measures import MEASURES, Score
from questions_gen.report.comparison import Row, show
from questions_gen.schema import Evaluated


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="BEFORE AFTER")
    folders = parser.parse_args(arguments).folders
    if len(folders) % 2:
        parser.error("name the folders in pairs: before after")
    before, after = (read(folders[side::2]) for side in (0, 1))
    title = f"{len(after)} completions, {len(folders) // 2} pair(s) of models"
    show(gains(title, before, after), (str(folders[0]), str(folders[1])))


def read(folders: Sequence[Path]) -> list[Score]:
    """The scores of each folder, a prompt of each for itself. Raises UserError without an evaluation."""
    return [
        replace(score, prompt=f"{number}/{score.prompt}")
        for number, folder in enumerate(folders)
        for score in measures.score(files.read_records(folder / "rows.jsonl", Evaluated))
    ]


def gains(title: str, before: Sequence[Score], after: Sequence[Score]) -> list[Row]:
    found = {name: measures.compare(before, after, measure) for name, measure in MEASURES.items()}
    return [
        Row(title, name, MEASURES[name].better, **told._asdict())
        for name, told in found.items()
        if told is not None and told.prompts
    ]


if __name__ == "__main__":
    main()
