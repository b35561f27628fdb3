"""The dataset card of data/mixed (README.md on the Hugging Face Hub), made from the run's own records.

Put beside the files of data/mixed it makes a dataset that `datasets.load_dataset` reads.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from questions_gen.training.card import file_rows, is_hub_dataset, licence_fields, place_of, table

GROUPS = {"problems": "problems", "chat": "dialogues", "evaluation": "evaluation only"}
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""Names that the Hub has for numbers of rows."""


def dataset_card(sources: Sequence[Mapping[str, Any]], mix: Mapping[str, Any], mixed: Path) -> str:
    """The card of the files in `mixed`: `sources` of data/raw/manifest.json, `mix` the metrics of logs/mix.json."""
    used = [entry for entry in sources if entry["group"] in GROUPS]
    header = yaml.safe_dump(front_matter(used, mix), sort_keys=False, allow_unicode=True)
    parts = [
        "# Questions-Gen, the mixed conversations",
        "Conversations that teach a model to write and to solve competition mathematics problems, deduplicated, "
        "decontaminated against the evaluation problems and split. Every row is "
        '`{"id", "task", "source_id", "messages"}`; the last message is the one that is trained on.',
        f"{mix['rows']['train']:,} rows to train on and {mix['rows']['validation']:,} to validate with.",
        "## Sources",
        table(("source", "used for", "from", "licence", "rows", "taken", "kept"), [_row(e, mix) for e in used]),
        "## Tasks",
        table(("task", "conversations"), [(name, f"{n:,}") for name, n in sorted(mix["tasks"].items())]),
        "`problem`: topic and concepts → a new problem. `solve`: a problem → its solution. `chat`: a dialogue.",
        "## What was dropped",
        table(("reason", "rows"), [(name, f"{n:,}") for name, n in sorted(mix["dropped"].items())]),
        "## Files",
        "`problems.jsonl` has the problems that the conversations were made of, `evaluation.jsonl` those that are held "
        "out, and `dropped.jsonl` each row that was left out with the reason; `difficulty.json` is a model of how hard "
        "a problem is, fitted to the sources' own labels.",
        table(("file", "bytes", "sha256"), file_rows(mixed)),
        "## Limits",
        "- The rows keep their sources' licences, and their sources' errors: nobody solved the problems again.\n"
        "- Contamination is looked for by words in a row; a problem told in other words is not found.",
    ]
    return f"---\n{header}---\n\n" + "\n\n".join(parts) + "\n"


def front_matter(used: Sequence[Mapping[str, Any]], mix: Mapping[str, Any]) -> dict[str, Any]:
    """The card's metadata, as the Hub's dataset cards specify it."""
    rows = mix["rows"]["train"] + mix["rows"]["validation"]
    header = {
        **licence_fields(entry["licence"] for entry in used),
        "pretty_name": "Questions-Gen, the mixed conversations",
        "task_categories": ["text-generation"],
        "size_categories": [next((name for limit, name in SIZES if rows < limit), "1M<n<10M")],
        "tags": ["mathematics", "problem-generation"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": name, "path": f"{name}.jsonl"} for name in ("train", "validation")],
            }
        ],
    }
    if named := sorted({entry["from"]["repo_id"] for entry in used if is_hub_dataset(entry)}):
        header["source_datasets"] = named
    return header


def _row(entry: Mapping[str, Any], mix: Mapping[str, Any]) -> tuple[str, ...]:
    counts = mix["sources"][f"{entry['group']}/{entry['name']}"]
    numbers = [f"{counts[key]:,}" if key in counts else "–" for key in ("rows", "taken", "kept")]
    return entry["name"], GROUPS[entry["group"]], place_of(entry), entry["licence"], *numbers
