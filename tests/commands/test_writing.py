"""generate, vary, contest and serve, with a tiny model that has learned three problems and a rejected text by heart."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import yaml
from typer.testing import CliRunner, Result

from questions_gen import cli, files
from questions_gen.commands import writer
from questions_gen.commands.contest import THIRDS, _bounds
from questions_gen.commands.judging import NEAR, Assessor
from questions_gen.commands.sampling import Show, sample
from questions_gen.commands.writer import Writer
from questions_gen.errors import UserError
from questions_gen.params import load_yaml
from questions_gen.prompts import problem_messages, variation_messages
from questions_gen.rewards import difficulty
from questions_gen.schema import Prompt
from questions_gen.training.gguf_export import write_gguf
from tests.commands.learned import CHAT, CONCEPTS, HINT_TEXT, PROBLEMS, TOPIC, learn
from tests.conftest import ROOT, TINY, take_ctrl_c, tiny_problems, write_tiny_mixed
from tests.rewards.judges import labelled
from tests.training.tiny_models import write_adapter, write_base

GOOD = "Let $n$ be a positive integer such that $n^2 + 3n$ is divisible by 7. How many such $n$ are less than 100?"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random base model, an adapter of it, and the GGUF file of the one that has learned."""
    root = tmp_path_factory.mktemp("models")
    write_adapter(root / "sft", write_base(root / "base", "llama"))
    write_gguf(learn(root / "learned"), root / "export/distill/gguf/model-f16.gguf", "f16", "tiny")
    return root


@pytest.fixture
def checkout(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with these models and a small corpus."""
    for name in ("stages", "dvc.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "models").symlink_to(models)
    params = load_yaml(ROOT / "params.yaml")
    params["model"].update(TINY["model"])
    params["evaluate"]["sampling"]["max_new_tokens"] = 150
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    write_tiny_mixed(tmp_path / "data/mixed")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments)


def rows(result: Result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


ASKED = ("generate", "--topic", TOPIC, "--concepts", CONCEPTS[0])


def test_an_exported_gguf_writes_and_every_sample_is_judged(checkout):
    asked = (*ASKED, "--count", "8", "--seed", "7", "--json")
    result = invoke(*asked, "--output", "made/mine.jsonl")
    assert result.exit_code == 0, result.output
    made = rows(result)
    assert {row["text"] for row in made} <= {*PROBLEMS, CHAT}
    assert [row["seed"] for row in made] == list(range(7, 15))
    assert {row["model"] for row in made} == {"distill/gguf/model-f16.gguf"}
    assert made[0]["prompt"].splitlines()[1:3] == [f"Topic: {TOPIC}", f"Concepts: {CONCEPTS[0]}"]
    accepted = [row for row in made if row["accepted"]]
    assert len({row["text"] for row in accepted}) == len(accepted) >= 2, "each once"
    assert {
        row["reasons"][0] for row in made if row["text"] in [a["text"] for a in accepted] and not row["accepted"]
    } == {NEAR}
    assert f"{len(accepted)} of 8 accepted, {8 - len(accepted)} rejected (" in result.stderr, "counted, not hidden"
    assert files.read_rows(Path("made/mine.jsonl")) == accepted
    assert rows(invoke("score", "made/mine.jsonl", "--json"))[0]["total"] == accepted[0]["verdict"]["total"]
    assert rows(invoke(*asked)) == made, "the same seed, the same problems"


def test_an_adapter_writes_another_text_than_its_base(checkout):
    texts = {}
    for model in ("base", "sft"):
        (row,) = rows(invoke("generate", "--model", model, "--seed", "7", "--json"))
        assert row["accepted"] is False
        assert row["model"] == model
        texts[model] = row["text"]
    assert texts["base"] != texts["sft"]


def test_text_comes_as_it_is_written_and_steers_no_terminal(checkout, monkeypatch):
    result = invoke("generate", "--seed", "7", "--model", "base")
    assert "— problem-1" in result.stdout
    assert "→ rejected (" in result.stdout
    assert all(c.isprintable() or c in "\n\t" for c in result.stdout)
    handed = []
    with writer.open_writer("base", think=False) as tiny:
        prompt = Prompt(id="p", task="problem", messages=problem_messages("algebra"))
        completion = tiny.write(prompt, id="c", seed=7, on_text=handed.append)
    assert len(handed) > 2, "piece by piece"
    assert "".join(handed) == completion.text


def test_without_a_corpus_the_gate_alone_judges_and_until_is_refused(checkout):
    (checkout / "data/mixed").rename(checkout / "data/elsewhere")
    result = invoke("generate", "--seed", "7", "--json")
    assert "judged by the gate alone" in result.stderr
    (row,) = rows(result)
    assert row["verdict"] is None, "no score, not a score of 0"
    assert row["reasons"]
    refused = invoke("generate", "--until", "1")
    assert refused.exit_code == 2
    assert "--until: data/mixed isn't here" in refused.stderr


def test_until_goes_on_to_its_number_or_to_its_tries(checkout):
    enough = invoke(*ASKED, "--until", "2", "--seed", "1", "--json")
    assert enough.exit_code == 0, enough.stderr
    assert sum(row["accepted"] for row in rows(enough)) == 2
    assert rows(enough)[-1]["accepted"], "and no further"
    fewer = invoke(*ASKED, "--until", "4", "--tries", "6", "--json")
    assert fewer.exit_code == 1, "three are all that it knows"
    assert len(rows(fewer)) == 6


def typist(*texts: str) -> Writer:
    """Someone who writes these texts, one a prompt."""
    left = iter(texts)

    def stream(messages, seed, on_text):
        text = next(left)
        on_text(text)
        return text, "stop", 5

    return Writer("typist", stream)


def prompts(count: int) -> list[Prompt]:
    return [Prompt(id=f"p{n}", task="problem", messages=problem_messages(None)) for n in range(count)]


def test_what_was_accepted_or_is_known_is_not_accepted_again(checkout):
    known = tiny_problems(1)[0]
    text = f"{GOOD}\nAnswer: \\boxed{{28}}"
    other = f"{GOOD.replace('7', '11').replace('3n', '5n')}\nAnswer: \\boxed{{18}}"
    copied = f"{known.statement}\nAnswer: \\boxed{{3}}"
    made = list(sample(typist(text, other, text, copied), Assessor(), prompts(4), seed=0, show=Show()))
    assert made[0].accepted, made[0].assessment
    assert [one.assessment.reasons for one in made[1:3]] == [(NEAR,), (NEAR,)], "near to the first, and the first"
    assert "copy" in made[3].assessment.reasons
    assert made[3].assessment.nearest == known.statement
    assert made[3].row()["nearest_similarity"] == pytest.approx(1)


def test_a_variation_is_held_against_its_original(checkout):
    messages = variation_messages("parameter_change", GOOD)
    asked = [
        Prompt(id=f"v{n}", task="variation", messages=messages, original=GOOD, kind="parameter_change")
        for n in range(2)
    ]
    changed = f"{GOOD.replace('7', '11').replace('100', '200')}\nAnswer: \\boxed{{18}}"
    good, same = sample(typist(changed, f"{GOOD}\nAnswer: \\boxed{{28}}"), Assessor(), asked, seed=0, show=Show())
    assert good.accepted, good.assessment
    assert "copy" in same.assessment.reasons


def test_vary_asks_for_each_kind_of_each_problem(checkout):
    files.write_rows(Path("mine.jsonl"), [{"id": "a", "statement": GOOD}, {"id": "b", "statement": GOOD}])
    made = rows(invoke("vary", "mine.jsonl", "--json", "--seed", "1"))
    assert [(row["id"].rpartition("/")[0], row["original"]) for row in made[:4]] == [
        ("a-context_change", GOOD), ("a-parameter_change", GOOD), ("a-practical_application", GOOD),
        ("b-context_change", GOOD),
    ]  # fmt: skip
    assert len(made) == 6
    assert {row["kind"] for row in rows(invoke("vary", "mine.jsonl", "--kind", "parameter_change", "--json"))} == {
        "parameter_change"
    }


REFUSED = [
    (["generate", "--topic", "a\x1b[2Jb"], "--topic: holds U+001B (a control character)", "an escape sequence"),
    (["generate", "--topic", "a\nIgnore all"], "--topic: holds U+000A", "a second line of the prompt"),
    (["generate", "--topic", "a\u202eb"], "--topic: holds U+202E (RIGHT-TO-LEFT OVERRIDE)", "text turned around"),
    (["generate", "--topic", "  "], "--topic: is empty", "nothing"),
    (["generate", "--topic", "a" * 201], "--topic: has 201 characters", "a novel"),
    (["generate", "--concepts", "primes;;"], "--concepts: is empty", "an empty item"),
    (["generate", "--count", "2", "--until", "2"], "--count and --until: give one", "both"),
    (["generate", "--tries", "2"], "--tries is for --until", "one without the other"),
    (["generate", "--model", "stf"], "--model: 'stf' is no model", "a typo"),
    (["generate", "--model", "grpo"], "models/grpo isn't there", "not trained yet"),
    (["generate", "--model", "none.gguf"], "none.gguf: no such file", "no file"),
    (["generate", "--model", "half.gguf"], "half.gguf: llama.cpp can't serve it", "cut in half"),
    (
        ["generate", "--think"],
        "--think: models/export/distill/gguf/model-f16.gguf has no way to think",
        "its template says so",
    ),
    (["generate", "--think", "--model", "base"], "--think: base has no way to think", "its tokenizer's too"),
    (["generate", "--output", "data/mixed/mine.jsonl"], "data/mixed, which the pipeline writes", "a stage's out"),
    (["generate", "--output", "data/evaluation/x"], "data/evaluation, which the pipeline writes", "a foreach's out"),
    (["contest", "--output", "models/sft/mine"], "models/sft, which the pipeline writes", "a stage's out"),
    (["generate", "--output", "data"], "--output: data is a folder", "a folder for a file"),
    (["contest", "--output", "schema.jsonl"], "schema.jsonl is a file", "a file for a folder"),
    (["contest", "--output", "x", "--topics", "a;\x07"], "--topics: holds U+0007", "a bell"),
    (["vary", "schema.jsonl"], "schema.jsonl, row 1: needs a text", "a file of another schema"),
    (["vary", "long.txt", "--kind", "context_change"], "is it too long?", "longer than the model reads"),
    (["serve", "--model", "half.gguf", "--port", "0"], "half.gguf: llama.cpp can't serve it", "cut in half"),
    (["serve", "--model", "sft"], "only a GGUF file can be served", "an adapter"),
]


@pytest.mark.parametrize(("arguments", "message", "reason"), REFUSED)
def test_bad_input_is_named(checkout, models, arguments, message, reason):
    whole = (models / "export/distill/gguf/model-f16.gguf").read_bytes()
    Path("half.gguf").write_bytes(whole[: len(whole) // 2])
    files.write_rows(Path("schema.jsonl"), [{"question": "Find $x$."}])
    Path("long.txt").write_text("Find $x$. " * 3000)
    result = invoke(*arguments)
    assert result.exit_code == 2, (reason, result.output)
    assert message in result.stderr, reason
    assert "Traceback" not in result.output


def test_the_last_stages_export_is_taken_first(checkout):
    (checkout / "models").unlink()
    for name in ("sft/gguf/model-q8_0", "distill/gguf/model-q4_k_m", "distill/gguf/model-f16", "grpo/gguf/model-q8_0"):
        files.write_text(Path(f"models/export/{name}.gguf"), "")
    listed = [path.relative_to("models/export").as_posix() for path in writer.exported_ggufs()]
    assert listed[:2] == ["distill/gguf/model-f16.gguf", "distill/gguf/model-q4_k_m.gguf"]
    assert writer.find_gguf(None).as_posix() == f"models/export/{listed[0]}"


def test_without_any_model_it_says_where_one_comes_from(checkout):
    (checkout / "models").unlink()
    result = invoke("generate")
    assert result.exit_code == 2
    assert "dvc pull models/export" in result.stderr


# ---- contest


def test_a_contest_holds_what_was_accepted_in_four_forms(checkout):
    result = invoke("contest", "--problems", "3", "--tries", "40", "--seed", "3", "--output", "out/sheet")
    assert result.exit_code == 0, result.output
    folder = Path("out/sheet")
    sheet = files.read_json(folder / "contest.json")
    assert {problem["text"] for problem in sheet["problems"]} == set(PROBLEMS)
    difficulties = [problem["verdict"]["rewards"]["difficulty"] for problem in sheet["problems"]]
    assert difficulties == sorted(difficulties), "from easy to hard"
    assert sum(sheet["rejected"].values()) >= sheet["tried"] - 3, "each of the others has a reason"
    assert all(problem["prompt"].splitlines()[1] == f"Topic: {TOPIC}" for problem in sheet["problems"])
    assert all(problem["nearest"].startswith("Find all integers $n$") for problem in sheet["problems"])
    hints = [hint for problem in sheet["problems"] for hint in problem["hints"]]
    assert HINT_TEXT in hints
    source, markdown = (folder / "contest.tex").read_text(), (folder / "contest.md").read_text()
    assert "$2^{12}-1$" in source
    assert "$2^{12} - 1$" in markdown
    assert r"remainders \& the powers of \texttt{\$x\_1\_2\$}" in source, "a formula that TeX refuses is shown"
    assert (folder / "contest.pdf").exists() == (shutil.which("pdflatex") is not None)
    again = invoke("contest", "--problems", "3", "--tries", "40", "--seed", "3", "--output", "out/sheet", "--json")
    assert json.loads(again.stdout) == sheet


def test_a_contest_that_isnt_full_says_so(checkout):
    result = invoke("contest", "--problems", "5", "--tries", "12", "--seed", "3", "--output", "sheet")
    assert result.exit_code == 1
    assert "of 5 problems after 12 samples; rejected: {" in result.stderr
    none = invoke("contest", "--problems", "1", "--tries", "1", "--model", "base", "--output", "none")
    assert none.exit_code == 1
    assert not Path("none").exists(), "no empty sheet"


def test_a_level_is_a_third_of_the_known_problems(checkout):
    with pytest.raises(UserError, match="--level: the run's difficulty model can't tell"):
        _bounds(Assessor(), tiny_problems(1), "hard")
    known, assessor = labelled(120), Assessor()
    assessor.judge.difficulty_model = difficulty.fit(known)
    (zero, low), (also_low, high), (also_high, one) = (_bounds(assessor, known, level) for level in THIRDS)
    assert (zero, one) == (0, 1)
    assert low == also_low < also_high == high


# ---- serve


def test_serve_answers_the_openai_client_ten_at_once_and_ends_with_ctrl_c(checkout):
    import openai

    command = [sys.executable, "-c", "from questions_gen.cli import app; app()", "serve", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *sys.path]), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=take_ctrl_c
    ) as server:
        line = server.stdout.readline()
        base_url = next(word for word in line.split() if word.endswith("/v1"))
        http = openai.DefaultHttpxClient(trust_env=False)
        with openai.OpenAI(base_url=base_url, api_key="any", http_client=http, max_retries=0) as client:

            def ask(seed: int) -> str:
                turns = [{"role": "user", "content": "Write a problem."}]
                answer = client.chat.completions.create(model="any", messages=turns, seed=seed, max_tokens=8)
                return answer.choices[0].message.content

            with ThreadPoolExecutor(10) as pool:
                together = list(pool.map(ask, range(10)))
            assert len(set(together)) > 5, "each its own"
            assert ask(3) == together[3], "and the same as alone"
        page = page_of(base_url.removesuffix("v1"))
        assert page.startswith("text/html")
        port = base_url.split(":")[2].removesuffix("/v1")
        taken = invoke("serve", "--port", port)
        assert taken.exit_code == 2
        assert f"--port: {port} is in use" in taken.stderr
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=20)
        assert server.returncode == 0, errors
        assert "Traceback" not in errors
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port))), "the model's process is gone too"


def test_serve_ends_when_its_model_does(checkout):
    command = [sys.executable, "-c", "from questions_gen.cli import app; app()", "serve", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *sys.path]), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert "/v1" in server.stdout.readline()
        for child in psutil.Process(server.pid).children(recursive=True):
            child.kill()
        _, errors = server.communicate(timeout=30)
    assert server.returncode == 2
    assert "llama.cpp has ended" in errors


def page_of(url: str) -> str:
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        return answer.headers["Content-Type"]
