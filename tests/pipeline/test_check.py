"""The stage check: what it knows, what it finds, and that it finds everything at once."""

import copy
from pathlib import Path

import pytest

from questions_gen import files
from questions_gen.params import ParamsError, Told, load_yaml
from questions_gen.profiles import profiles, set_value, values_of
from questions_gen.stage import Context, NoTracker, run
from stages import check

ROOT = Path(__file__).parents[2]
DEFAULT = ROOT / "conf/smollm2-135m.yaml"


@pytest.fixture
def values() -> dict:
    return load_yaml(DEFAULT)


def changed(*changes: str) -> dict:
    text = DEFAULT.read_text()
    for change in changes:
        text = set_value(text, change)
    return values_of(text)


@pytest.mark.parametrize("name", sorted(profiles(ROOT / "conf")))
def test_every_profile_is_valid_and_bears_its_file_s_name(name):
    values = load_yaml(ROOT / "conf" / f"{name}.yaml")
    assert check.find_problems(values) == []
    assert values["profile"] == name


@pytest.mark.parametrize("name", sorted(profiles(ROOT / "conf")))
def test_dvc_reads_the_same_values(name):
    from dvc.utils.serialize import load_yaml as dvc_load_yaml

    path = ROOT / "conf" / f"{name}.yaml"
    assert repr(dvc_load_yaml(str(path))) == repr(load_yaml(path))


def test_the_committed_params_are_the_default_profile():
    assert (ROOT / "params.yaml").read_bytes() == DEFAULT.read_bytes()


def test_every_stage_is_covered():
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__", "__main__"}
    assert scripts == {stage.name for stage in check.STAGES} | {"check"}
    assert set(check.STAGE.params) | {"run"} == set(check.SECTIONS)


def test_a_section_is_the_same_to_every_stage():
    for stage in check.STAGES:
        used = {name: kind for name, kind in stage.params.items() if kind != Told}
        assert {name: check.SECTIONS[name] for name in used} == used, stage.name


def test_no_key_of_a_profile_is_without_a_stage(values):
    assert set(values) == set(check.SECTIONS)


CASES = [
    ("sft.steps='many'", ["sft.steps:"], "a wrong type"),
    ("sft.steps=0", ["sft.steps:"], "an impossible value"),
    ("mix.max_tokens=600", ["mix.max_tokens:"], "conversations longer than the model takes"),
    ("grpo.sampling.max_new_tokens=512", ["grpo.sampling.max_new_tokens:"], "no room for the prompt"),
    ("propose.sampling.max_new_tokens=600", ["propose.sampling.max_new_tokens:"], "longer than the model takes"),
    ("evaluate.sampling.max_new_tokens=512", ["evaluate.sampling.max_new_tokens:"], "no room for the prompt"),
    ("evaluate.thinking.max_new_tokens=384", ["evaluate.thinking.max_new_tokens:"], "no room for the prompt"),
    ("evaluate.sampling.thinking=true", ["evaluate:"], "it would be tested with thinking twice"),
    ("export.smoke_tokens=512", ["export.smoke_tokens:"], "no room for the prompt"),
    ("run.teacher.concurrency=0", ["run.teacher.concurrency:"], "nobody would ask"),
    ("run.teacher.timeout=0.0", ["run.teacher.timeout:"], "no answer could come"),
    ("teacher.embedded=null", ["run.teacher.base_url:"], "nobody to ask"),
    ("grpo.rollouts=vllm-server", ["run.rollouts.server:"], "no server to sample from"),
    ("fetch.evaluation_sets.0.source=chmap", ["fetch.evaluation_sets.0.source:"], "held out of nothing"),
]


@pytest.mark.parametrize(("change", "keys", "reason"), CASES)
def test_a_wrong_value_is_named(change, keys, reason):
    problems = check.find_problems(changed(change))
    assert [problem for key in keys for problem in problems if key in problem] == problems, reason
    assert problems, reason


def test_a_server_of_rollouts_takes_whole_weights_of_plain_transformers():
    served = ("grpo.rollouts=vllm-server", "run.rollouts.server=http://127.0.0.1:8000")
    assert check.find_problems(changed(*served)) == []
    problems = check.find_problems(changed(*served, "model.backend=unsloth", "model.load_in_4bit=true"))
    assert [problem.split(":")[0] for problem in problems] == ["model.backend", "model.load_in_4bit"]


def test_fsdp2_takes_neither_4_bit_weights_nor_an_8_bit_optimizer(values):
    """Seen on two GPUs: its first step ended in "mixed torch.Tensor and DTensor"."""
    values["run"]["launch"]["engine"] = "fsdp2"
    assert check.find_problems(values) == []
    values["model"]["load_in_4bit"] = True
    values["grpo"]["optimizer"] = "paged_adamw_8bit"
    assert [problem.split(":")[0] for problem in check.find_problems(values)] == [
        "model.load_in_4bit",
        "grpo.optimizer",
    ]


@pytest.mark.parametrize("group", ["problems", "evaluation_sets"])
def test_two_sources_of_one_name_are_reported(values, group):
    values["fetch"][group].append(copy.deepcopy(values["fetch"][group][0]))
    assert any(problem.startswith(f"fetch.{group}") for problem in check.find_problems(values))


@pytest.mark.parametrize("key", ["mix.max_tokens", "evaluate.sampling.max_new_tokens"])
def test_a_limit_is_silent_about_a_value_that_is_reported_already(key):
    problems = check.find_problems(changed(f"{key}=long"))
    assert len(problems) == 1
    assert problems[0].startswith(key)


def test_everything_is_found_at_once(values):
    values["sft"]["lerning_rate"] = values["sft"].pop("learning_rate")
    values["evaluate"]["prompts"] = "sixteen"
    values["rewards"]["similarity_limit"] = 1.5
    values["model"]["max_length"], values["mix"]["max_tokens"] = 512, 513
    values["exprot"] = values.pop("export")
    values["run"]["teacher"]["mode"] = "rekord"
    problems = "\n".join(check.find_problems(values))
    for part in (
        "sft.lerning_rate: unknown key; did you mean 'learning_rate'?",
        "evaluate.prompts:",
        "rewards.similarity_limit:",
        "mix.max_tokens: must be at most model.max_length, 512 (found 513)",
        "exprot: unknown section; did you mean 'export'?",
        "run.teacher.mode:",
    ):
        assert part in problems


def test_broken_shapes_are_reported_and_not_raised(values):
    for shape in (None, [], "text", 3):
        broken = {**values, "fetch": shape, "teacher": shape, "run": shape, "model": shape}
        assert {problem.partition(":")[0].partition(".")[0] for problem in check.find_problems(broken)} >= {
            "fetch", "teacher", "run", "model",
        }  # fmt: skip


def test_the_output_says_nothing_of_the_values(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = []
    for change in ("sft.steps=12", "sft.steps=13"):
        Path("params.yaml").write_text(set_value(DEFAULT.read_text(), change))
        check.work(context(tmp_path), checked=tmp_path / "checked.txt")
        written.append((tmp_path / "checked.txt").read_bytes())
    assert written == [b"params.yaml is valid\n"] * 2


def test_a_wrong_file_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.write_text(Path("params.yaml"), set_value(DEFAULT.read_text(), "mix.max_tokens=9999"))
    with pytest.raises(ParamsError, match=r"mix\.max_tokens"):
        run(check.STAGE)
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def context(folder: Path) -> Context:
    run = check.parse_params(load_yaml(DEFAULT), check.SECTIONS)["run"]
    return Context(run, NoTracker(), folder / "checkpoints", folder)
