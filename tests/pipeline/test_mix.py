"""The stage mix on small sources with one row of every kind that has to be dropped."""

import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.mix import measure, shape
from benchmarks.real_schemas import write_raw as write_real_rows
from questions_gen import files, mixing, params, sifting
from questions_gen.duplicates import EXACT_UP_TO
from questions_gen.errors import UserError
from questions_gen.schema import Conversation, Problem
from questions_gen.stage import Context, DataRun, NoTracker
from questions_gen.training.lengths import token_lengths
from stages import mix
from tests.conftest import ROOT

VALUES = {
    "tasks": {"problem": 0.75, "solve": 0.25},
    "chat_share": 0.25,
    "chat_seed": 2407,
    "near_duplicate": 0.9,
    "contamination_ngram": 8,
    "max_tokens": 2000,
    "validation_share": 0.1,
}
TEMPLATE = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}<end>{% endfor %}"


def words(number: int, count: int) -> str:
    """Made-up words, others for every number: no two texts are alike."""
    generator = random.Random(number)
    return " ".join("".join(generator.choices("abcdefghijklmnoprstuvw", k=6)) for _ in range(count))


def problem_row(number: int, **values) -> dict:
    row = {
        "identifier": f"P_{number}",
        "category": "Sequence",
        "problem": f"Find the {words(number, 12)}.",
        "answer": "1",
    }
    steps = [f"Step {i}." for i in range(1 + number % 5)]
    return {**row, "solution_steps": steps, "concepts": ["sums"], "hints": [], **values}


def chat_row(number: int, answer: str | None = None) -> dict:
    turns = (("human", f"Say {words(5000 + number, 6)}"), ("gpt", answer or f"{words(9000 + number, 6)}."))
    return {"conversations": [{"from": speaker, "value": value} for speaker, value in turns]}


PROBLEMS = [
    *(problem_row(number) for number in range(60)),
    problem_row(60, problem=""),
    problem_row(61, problem=problem_row(3)["problem"].upper()),
    problem_row(62, problem=problem_row(4)["problem"].replace("Find the", "Find a")),
    problem_row(63, problem=f"Hm. Find the {words(1001, 12)}! Please."),
    problem_row(64, problem=f"Find the {words(64, 600)}."),
    problem_row(65, answer="{"),
]
CHAT = [chat_row(number) for number in range(30)]
EVALUATION = [problem_row(number) for number in range(1000, 1006)]


def write_raw(folder: Path, problems=PROBLEMS, chat=CHAT, evaluation=EVALUATION) -> Path:
    sources = [
        {"group": "chat", "name": "talk", "schema": "sharegpt", "licence": "MIT"},
        {"group": "evaluation", "name": "held-out", "schema": "champ", "licence": "MIT"},
        {"group": "model", "name": "model", "schema": None, "licence": "MIT"},
        {"group": "problems", "name": "corpus", "schema": "champ", "licence": "MIT"},
    ]
    rows = {"chat": chat, "evaluation": evaluation, "problems": problems}
    listed = [source for source in sources if rows.get(source["group"], ()) is not None]
    files.write_json(folder / "manifest.json", {"sources": listed})
    for source in listed:
        if source["group"] in rows:
            files.write_rows(folder / source["group"] / f"{source['name']}.jsonl", rows[source["group"]])
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A base model's tokenizer that counts bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = {"eos_token": "<end>", "pad_token": "<pad>"}
    folder = tmp_path_factory.mktemp("base")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=TEMPLATE, **special).save_pretrained(folder)
    files.write_json(folder / "base.json", {"kind": "local"})
    return folder


def run(folder: Path, base: Path, raw: Path, seed: int = 3407, processes: int = 1, memory: float = 3.0, **values):
    """(folder with the outputs, log) of the stage."""
    parsed = params.parse_params({"mix": {**VALUES, **values}, "seed": seed}, mix.STAGE.params)
    settings = SimpleNamespace(data=DataRun(processes=processes, memory=memory))
    context = Context(run=settings, tracker=NoTracker(), checkpoints=folder, home=folder)
    return folder, mix.work(context, **parsed, raw=raw, base=base, mixed=folder)


@pytest.fixture(scope="module")
def result(tmp_path_factory, base):
    raw = write_raw(tmp_path_factory.mktemp("raw"))
    return run(tmp_path_factory.mktemp("mixed"), base, raw)


def test_every_drop_has_its_reason_and_its_row(result):
    folder, log = result
    dropped = {row["id"]: row["reason"] for row in files.read_rows(folder / "dropped.jsonl")}
    lines = {name.removeprefix("problems/corpus:"): reason for name, reason in dropped.items()}
    certain = {"61": "no_statement", "64": "contaminated", "65": "too_long", "66": "broken_answer"}
    assert certain.items() <= lines.items()
    pairs = {reason: line for line, reason in lines.items() if line not in certain}
    assert pairs.keys() == {"exact_duplicate", "near_duplicate"}
    assert pairs["exact_duplicate"] in ("4", "62"), "one of the two equal rows"
    assert pairs["near_duplicate"] in ("5", "63"), "one of the two similar rows"
    assert log.metrics["dropped"] == dict.fromkeys([*certain.values(), *pairs], 1)


def test_outputs_agree_with_the_counts(result):
    folder, log = result
    train = files.read_records(folder / "train.jsonl", Conversation)
    validation = files.read_records(folder / "validation.jsonl", Conversation)
    problems = files.read_records(folder / "problems.jsonl", Problem)
    evaluation = files.read_records(folder / "evaluation.jsonl", Problem)
    assert log.metrics["rows"] == {"mixed": 66 + 22, "train": len(train), "validation": len(validation)}
    assert log.metrics["problems"] == {"training": len(problems), "evaluation": len(evaluation)}
    assert (len(problems), len(evaluation)) == (60, 6)
    assert log.metrics["tasks"] == dict(sorted(Counter(row.task for row in train + validation).items()))
    assert log.metrics["chat"]["taken"] == log.metrics["chat"]["wanted"] == 22
    assert log.metrics["chat"]["missing"] == 0
    assert log.metrics["sources"]["problems/corpus"]["kept"] == 60
    assert {problem.id for problem in problems} == {row.source_id for row in train + validation if row.task != "chat"}
    assert not {problem.id for problem in problems} & {problem.id for problem in evaluation}
    assert (folder / "difficulty.json").stat().st_size
    json.dumps(log.metrics, allow_nan=False)


def test_no_problem_and_no_dialogue_is_on_both_sides(result):
    folder, _ = result
    train, validation = (files.read_records(folder / f"{side}.jsonl", Conversation) for side in ("train", "validation"))
    assert not {row.source_id for row in train} & {row.source_id for row in validation}
    assert Counter(row.task == "chat" for row in validation) == {False: 6, True: 2}


def test_equal_seeds_give_equal_bytes_and_other_seeds_others(result, tmp_path, base):
    folder, _ = result
    raw = write_raw(tmp_path / "raw")
    again, other = run(tmp_path / "again", base, raw)[0], run(tmp_path / "other", base, raw, seed=1)[0]
    assert files.digest(again) == files.digest(folder)
    assert files.digest(other / "train.jsonl") != files.digest(folder / "train.jsonl")


def test_too_few_dialogues_are_all_taken_and_counted(tmp_path, base):
    _, log = run(tmp_path / "mixed", base, write_raw(tmp_path / "raw", chat=CHAT[:4]))
    chat = log.metrics["chat"]
    assert (chat["wanted"], chat["taken"], chat["missing"]) == (22, 4, 18)
    assert chat["share_taken"] == 4 / 70


def test_without_chat(tmp_path, base):
    _, log = run(tmp_path / "mixed", base, write_raw(tmp_path / "raw", chat=None), chat_share=0.0)
    assert log.metrics["chat"]["taken"] == 0
    assert set(log.metrics["tasks"]) == {"problem", "solve"}


@pytest.mark.parametrize(
    ("raw", "values", "message"),
    [
        ({"problems": []}, {}, "problems/corpus: 0 rows"),
        ({"chat": []}, {}, "chat/talk: 0 rows"),
        ({"problems": [{"question": "?"}] * 7}, {}, r"problems/corpus: all 7 rows .* \(malformed 7\)"),
        ({"problems": PROBLEMS[:20], "chat": [{}] * 9}, {}, r"chat/talk: all 6 rows .* \(empty_dialogue 6\)"),
        ({}, {"max_tokens": 3}, r"chat/talk: all 22 rows .* \(too_long 22\)"),
        ({"problems": EVALUATION}, {}, r"problems/corpus: all 6 rows .* \(contaminated 6\)"),
        ({"evaluation": [problem_row(1, problem="")]}, {}, r"evaluation/held-out: all 1 rows .* \(no_statement 1\)"),
        ({"evaluation": None}, {}, "fetch.evaluation_sets: there is none"),
        ({"chat": None}, {}, "mix.chat_share: 0.25 asked for, but fetch.chat is empty"),
    ],
)
def test_a_source_that_gives_nothing_is_an_error_with_its_name_and_counts(tmp_path, base, raw, values, message):
    with pytest.raises(UserError, match=message):
        run(tmp_path / "mixed", base, write_raw(tmp_path / "raw", **raw), **values)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"tasks": {"problem": 0.0, "solve": 0.0}}, "mix.tasks"),
        ({"tasks": {"problem": 0.5, "solv": 0.5}}, "mix.tasks.solv"),
        ({"chat_share": 1.0}, "mix.chat_share"),
        ({"near_duplicate": 0.0}, "mix.near_duplicate"),
        ({"contamination_ngram": 0}, "mix.contamination_ngram"),
        ({"max_tokens": 0.5}, "mix.max_tokens"),
        ({"validation_share": 0.0}, "mix.validation_share"),
    ],
)
def test_impossible_params_are_named(values, key):
    with pytest.raises(params.ParamsError, match=f"  {key}: "):
        params.parse_params({"mix": {**VALUES, **values}, "seed": 1}, mix.STAGE.params)


def test_lengths_count_the_template_and_every_turn(base):
    rows = [mixing.read_dialogue(chat_row(number)) for number in range(3)]
    conversations = [Conversation(id=str(n), task="chat", messages=row, source_id=str(n)) for n, row in enumerate(rows)]
    frames = len("<user>") + len("<assistant>") + 2
    expected = [sum(len(message.content) for message in row) + frames for row in rows]
    assert token_lengths(base, conversations) == expected
    assert token_lengths(base, []) == []


def test_qwen3_template_keeps_statement_and_thinking():
    """It deletes what stands before `</think>` in earlier turns, and must find the statement behind it."""
    trl = pytest.importorskip("trl")
    from transformers.utils.chat_template_utils import render_jinja_template

    template = (Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja").read_text(encoding="utf-8")
    row = {
        "problem": "What is 2 + 2?",
        "expected_answer": "4",
        "generated_solution": "<think>\nHm.\n</think>\n\n\\boxed{4}",
    }
    problem = mixing.read_problem({**row, "pass_rate_72b_tir": "n/a"}, "openmathreasoning", "corpus", "MIT")
    for task, expected in {"problem": "What is 2 + 2?\nAnswer: \\boxed{4}", "solve": "\\boxed{4}"}.items():
        conversation = mixing.problem_conversation(problem, task)
        turns = [message.model_dump() for message in conversation.messages]
        rendered, _ = render_jinja_template(conversations=[turns], chat_template=template)
        answered = rendered[0].rpartition("<|im_start|>assistant\n")[2]
        assert answered.rpartition("</think>")[2].strip() == f"{expected}<|im_end|>"
        assert ("Hm." in answered) == (task == "solve")


# Sizes


@pytest.mark.parametrize(
    ("processes", "signed"), [(1, False), (2, False), (2, True)], ids=["batches", "processes", "signatures"]
)
def test_batches_processes_and_signatures_change_no_byte(result, tmp_path, base, monkeypatch, processes, signed):
    monkeypatch.setattr(sifting, "LARGEST_BATCH", 8_000)
    monkeypatch.setattr(mix, "EXACT_UP_TO", 10 if signed else EXACT_UP_TO)
    folder, log = run(tmp_path / "mixed", base, write_raw(tmp_path / "raw"), processes=processes, memory=2.5)
    assert files.digest(folder) == files.digest(result[0])
    assert log == result[1]
    assert {path.name for path in tmp_path.iterdir()} == {"mixed", "raw"}, "the spool was left behind"


def test_rows_that_need_more_memory_are_refused_before_the_work(tmp_path, base):
    with pytest.raises(UserError, match=r"run\.data\.memory: 1\.0 GiB, but mixing 88 rows with 2 processes needs 1\.6"):
        run(tmp_path / "mixed", base, write_raw(tmp_path / "raw"), processes=2, memory=1.0)


def test_a_batch_is_never_larger_than_asked_for_unless_it_is_one_row(tmp_path):
    raw = write_raw(tmp_path / "raw")
    mixture = mixing.mixture(
        mix.read_sources(raw, "problems"), [], tasks=VALUES["tasks"], chat_share=0.0, chat_seed=1, seed=1
    )
    sizes = mixture.sizes()
    cut = list(sifting.batches(mixture, 2_000))
    assert [place for batch in cut for place in batch] == list(range(66))
    assert all(sum(sizes[place] for place in batch) <= 2_000 or len(batch) == 1 for batch in cut)
    assert any(sizes[batch.start] > 2_000 for batch in cut), "the row of 600 words"


def test_ten_times_the_rows_take_at_most_twelve_times_the_time(tmp_path, base, monkeypatch):
    """In CPU seconds, so that what runs beside it doesn't matter; with signatures, as for millions of rows."""
    monkeypatch.setattr(mix, "EXACT_UP_TO", 10)
    seconds = {}
    for rows in (500, 1_000, 10_000):  # the first warms up
        raw = write_real_rows(tmp_path / f"raw-{rows}", *shape(rows))
        start = time.process_time()
        _, log = run(tmp_path / f"mixed-{rows}", base, raw, contamination_ngram=13)
        seconds[rows] = time.process_time() - start
        assert log.metrics["rows"]["mixed"] == shape(rows)[0] + mixing.dialogues_wanted(shape(rows)[0], 0.25)
    assert seconds[10_000] <= 12 * seconds[1_000]
    dropped = log.metrics["dropped"]
    assert dropped["near_duplicate"] > 10
    assert dropped["exact_duplicate"] > 2


def test_memory_stays_within_the_param(tmp_path, base):
    """A process of its own, with two more, and at least two batches for each of them."""
    raw = write_real_rows(tmp_path / "raw", *shape(15_000))
    options = {"--base": base, "--memory": 2.0, "--processes": 2, "--profile": ROOT / "conf/qwen3-14b.yaml"}
    listed = [str(value) for pair in options.items() for value in pair]
    work = [sys.executable, "-m", "benchmarks.mix", *listed, "--work", str(raw), str(tmp_path / "mixed")]
    assert measure(work).peak <= 2.0
    assert files.read_json(tmp_path / "log.json")["rows"]["mixed"] == 2_422 + 807
