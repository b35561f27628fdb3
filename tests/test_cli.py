"""The command questions-gen: profiles and scores."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from questions_gen import cli, files
from questions_gen.errors import UserError
from questions_gen.params import load_yaml
from questions_gen.profiles import find_profile, set_value, summary, values_of
from questions_gen.rewards import difficulty
from questions_gen.schema import Completion, Problem, Prompt
from stages.evaluate import Asked, judged
from tests.conftest import write_tiny_mixed
from tests.evaluations import the_judge
from tests.fake_teacher import FakeTeacher
from tests.pipeline.test_teach import write_proposals

ROOT = Path(__file__).parents[1]
DEFAULT = (ROOT / "conf/smollm2-135m.yaml").read_text()


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments)


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A folder with the profiles and stages of this one."""
    for name in ("conf", "stages"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "params.yaml").write_text(DEFAULT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_list_marks_the_current_profile(checkout):
    lines = invoke("profile", "list").stdout.splitlines()
    assert [line.split()[:2] for line in lines if "smollm2" in line] == [["*", "smollm2-135m"]]
    assert [line[0] for line in lines if line.split()[:1] == ["qwen3-14b"]] == [" "]
    assert all(len(line.split()) > 4 for line in lines), "each says what it is"
    told = [json.loads(line) for line in invoke("profile", "list", "--json").stdout.splitlines()]
    assert [row["name"] for row in told if row["current"]] == ["smollm2-135m"]


def test_use_copies_the_profile_to_the_byte(checkout):
    result = invoke("profile", "use", "qwen3-14b")
    assert result.exit_code == 0, result.output
    assert (checkout / "params.yaml").read_bytes() == (ROOT / "conf/qwen3-14b.yaml").read_bytes()


def test_use_changes_values_and_keeps_comments(checkout):
    result = invoke("profile", "use", "smollm2-135m", "sft.steps=7", "sft.learning_rate=1e-5", "model.threads=1")
    assert result.exit_code == 0, result.output
    text = (checkout / "params.yaml").read_text()
    changed = [(a, b) for a, b in zip(DEFAULT.splitlines(), text.splitlines(), strict=True) if a != b]
    assert len(changed) == 3
    assert ["#" in a for a, _ in changed] == ["#" in b for _, b in changed]
    assert values_of(text)["sft"]["learning_rate"] == 1e-5


REFUSED = [
    (["smolm2-135m"], "did you mean 'smollm2-135m'", "a typo in the name"),
    (["../conf/qwen3-14b"], "no such profile", "a path is no name"),
    (["smollm2-135m", "sft.step=3"], "sft.step: unknown key; did you mean 'sft.steps'?", "a typo in a key"),
    (["smollm2-135m", "learning_rate=3"], "unknown key", "half a key"),
    (["smollm2-135m", "sft.steps"], "expected key=value", "no value"),
    (["smollm2-135m", "sft.steps=[1"], "isn't YAML", "a bracket left open"),
    (["smollm2-135m", "sft.steps=many"], "sft.steps:", "a wrong type"),
    (["smollm2-135m", "sft.steps=0", "mix.max_tokens=9999"], "2 problems", "impossible, and against another section"),
    (["smollm2-135m", "sft.learning_rate=.nan"], "sft.learning_rate:", "not a number"),
]


@pytest.mark.parametrize(("arguments", "message", "reason"), REFUSED)
def test_use_refuses_and_writes_nothing(checkout, arguments, message, reason):
    result = invoke("profile", "use", *arguments)
    assert result.exit_code == 2, reason
    assert message in result.stderr, reason
    assert "Traceback" not in result.output
    assert (checkout / "params.yaml").read_text() == DEFAULT, reason


def test_outside_of_a_checkout_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke("profile", "list")
    assert result.exit_code == 2
    assert "checkout" in result.stderr


VALUES = [
    ("a.b=2e-5", 2e-5, "a float without a dot"),
    ("a.b='text'", "text", "a quoted text"),
    ("a.b='2'", "2", "a text that looks like a number"),
    ("a.b=null", None, "null"),
    ("a.b=", None, "nothing is null"),
    ("a.b=true", True, "a truth value"),
    ("a.b=1 # why", 1, "a comment of its own"),
    ("a.flow={x: 1}", {"x": 1}, "a whole section in one line"),
    ("a.flow.y=[1, 2]", [1, 2], "inside of a line"),
    ("a.flow.y=1 # why", 1, "a comment inside of a line would swallow its rest"),
    ("a.list.1.name=z", "z", "inside of a list"),
    ("a.list=[{name: q}]", [{"name": "q"}], "a whole list"),
    ("a.b=x: y", {"x": "y"}, "a section where a value stood"),
    ("a.b=line\n\nline", "line\nline", "several lines"),
    ("a.b=# no", None, "only a comment"),
]
TEXT = """# head
a:
  b: 1                         # of b
  flow: {x: 0, y: 2}           # of flow
  list:
    - name: one                # of one
    - name: two                # of two
  # before last
  last: end
"""


@pytest.mark.parametrize(("change", "value", "reason"), VALUES)
def test_set_value_changes_that_value_alone(change, value, reason):
    edited = set_value(TEXT, change)
    expected, found = values_of(TEXT), values_of(edited)
    path = change.partition("=")[0].split(".")
    for inner in (expected, found):
        for part in path[:-1]:
            inner = inner[int(part) if isinstance(inner, list) else part]
        last = inner[path[-1]]
        inner[path[-1]] = None
        if inner is not expected:
            result = last
    assert repr(result) == repr(value), reason
    assert found == expected, reason
    assert "# head" in edited
    assert "# before last\n  last: end\n" in edited


def test_a_profile_is_found_by_its_name_alone():
    assert find_profile("qwen3-14b", ROOT / "conf") == ROOT / "conf/qwen3-14b.yaml"
    with pytest.raises(UserError, match="there are"):
        find_profile("zzz", ROOT / "conf")


def test_summary_is_the_first_sentence():
    assert summary("# Profile x: what it\n# is. More.\n\na: 1\n") == "what it is"


# ---- score

TRAINING = [
    f"Find the number of ordered pairs $(a, b)$ of positive integers such that $a + b = {n}$ and $a b$ is even."
    for n in range(20, 40)
]
GOOD = "Let $n$ be a positive integer such that $n^2 + 3n$ is divisible by 7. How many such $n$ are less than 100?"


@pytest.fixture
def mixed(checkout) -> Path:
    """data/mixed of a small corpus."""
    problems = [
        Problem(id=f"p{n}", statement=text, answer="4", difficulty=float(n % 5), source="made", licence="Apache-2.0")
        for n, text in enumerate(TRAINING)
    ]
    folder = checkout / "data/mixed"
    files.write_rows(folder / "problems.jsonl", problems)
    files.write_rows(folder / "evaluation.jsonl", problems[:1])
    difficulty.fit(problems).save(folder / "difficulty.json")
    return folder


def test_score_prints_a_verdict_a_problem(mixed, tmp_path):
    file = tmp_path / "some.jsonl"
    files.write_rows(
        file,
        [
            {"statement": GOOD, "answer": 28},
            {"problem": TRAINING[3]},
            {"id": "mine", "text": f"<think>well</think>{GOOD}\nAnswer: \\boxed{{28}}"},
        ],
    )
    result = invoke("score", str(file), "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1, "a copy is among them"
    assert [row["id"] for row in rows] == ["1", "2", "mine"]
    assert [row["passed"] for row in rows] == [True, False, True]
    assert rows[0]["total"] == rows[2]["total"], "the same problem, whichever way it is given"
    assert rows[1]["reasons"]
    assert rows[0]["rewards"]["diversity"] is None, "each is a group of its own"


def test_score_of_a_good_plain_text_ends_well(mixed, tmp_path):
    file = tmp_path / "one.txt"
    file.write_text(f"{GOOD}\nAnswer: \\boxed{{28}}\n")
    result = invoke("score", str(file))
    assert result.exit_code == 0, result.output
    assert "one.txt: total 0." in result.stdout
    assert "gate passed" in result.stdout


def test_score_of_a_closed_gate_names_the_reasons(mixed, tmp_path):
    (tmp_path / "bad.txt").write_text("Hello there.")
    result = invoke("score", str(tmp_path / "bad.txt"))
    assert result.exit_code == 1
    assert "gate closed (" in result.stdout


BAD = [
    ("none.jsonl", None, "no such file", "it isn't there"),
    ("none.txt", None, "can't be read", "it isn't there"),
    ("empty.jsonl", b"", "no problem in it", "nothing in it"),
    ("blank.txt", b" \n", "no problem in it", "only space"),
    ("torn.jsonl", b'{"statement": "x"', "line 1: not valid JSON", "cut off"),
    ("keys.jsonl", b'{"question": "x"}', "row 1: needs a text under one of the keys", "another schema"),
    ("type.jsonl", b'{"statement": 3}', "row 1: needs a text", "a number for a text"),
    ("bytes.txt", b"\xff\xfe\x00", "can't be read", "not UTF-8"),
]


@pytest.mark.parametrize(("name", "content", "message", "reason"), BAD)
def test_score_names_bad_input(mixed, tmp_path, name, content, message, reason):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result = invoke("score", str(tmp_path / name))
    assert result.exit_code == 2, reason
    assert message in result.stderr, reason
    assert "Traceback" not in result.output


def test_score_without_a_corpus_says_what_to_run(checkout, tmp_path):
    (tmp_path / "one.txt").write_text(GOOD)
    result = invoke("score", str(tmp_path / "one.txt"))
    assert result.exit_code == 2
    assert "dvc repro mix" in result.stderr


@pytest.fixture
def asked(checkout, monkeypatch) -> FakeTeacher:
    """A checkout whose teacher is a server on loopback, with proposals and one model's evaluation."""
    write_tiny_mixed(Path("data/mixed"))
    write_proposals(checkout / "data/proposals")
    asked = files.read_records(checkout / "data/proposals/prompts.jsonl", Prompt)
    written = files.read_records(checkout / "data/proposals/completions.jsonl", Completion)
    rows = judged(the_judge(), [Asked("new", "x", prompt) for prompt in asked], written, thinking=False)
    files.write_rows(checkout / "data/evaluation/base/rows.jsonl", rows)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    with FakeTeacher() as server:
        params = load_yaml(checkout / "params.yaml")
        params["run"]["teacher"] |= {"base_url": server.base_url, "prices": {"prompt": 1.0, "completion": 2.0}}
        (checkout / "params.yaml").write_text(yaml.safe_dump(params))
        yield server


def test_teacher_plan_asks_nobody_and_record_asks_for_the_rest_once(asked):
    result = invoke("teacher", "plan")
    assert result.exit_code == 0, result.output
    assert "teach            0 answers stored, 18 to ask for (36 if answers have the wrong form)" in result.stdout
    assert "cost at most 0." in result.stdout
    assert "judge@sft        can't be told" in result.stderr
    assert asked.bodies == []
    recorded = invoke("teacher", "record")
    assert recorded.exit_code == 0, recorded.output
    assert "teach            0 answers stored before, 18 asked for" in recorded.stdout
    assert "judge@base       2 answers stored before, 0 asked for" in recorded.stdout, "the same questions"
    assert len(asked.bodies) == 18
    assert "teach            18 answers stored, 0 to ask for" in invoke("teacher", "plan").stdout
    assert "0 rows are gone" in invoke("teacher", "prune").stdout
    plan = json.loads(invoke("teacher", "plan", "--json").stdout.splitlines()[0])
    assert (plan["stage"], plan["stored"], plan["requests"]) == ("teach", 18, 0)
    assert plan["tokens"] == {"prompt": 0, "completion": 0}
    assert json.loads(invoke("teacher", "stats", "--json").stdout)["answers"] == 18
    assert json.loads(invoke("teacher", "verify", "--json").stdout) == {"whole": 18, "damaged": []}


def test_the_shell_completes_names():
    asked = {
        "_QUESTIONS_GEN_COMPLETE": "complete_bash",
        "COMP_WORDS": "questions-gen profile use sm",
        "COMP_CWORD": "3",
    }
    done = CliRunner().invoke(cli.app, [], prog_name="questions-gen", env=asked)
    assert done.stdout.split() == ["smollm2-135m"]


def test_the_command_line_is_light():
    heavy = "torch transformers trl peft datasets mlflow openai sklearn".split()
    code = f"import sys, questions_gen.cli; sys.exit(' '.join(set(sys.modules) & set({heavy})) or 0)"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT / "src")}, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr.decode()
