"""GRPO: groups share a prompt, the reward moves the policy, an error in a reward is never a score."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from questions_gen import files
from questions_gen.history import History
from questions_gen.params import load_params
from questions_gen.rewards.combine import RewardParams, load_judge
from questions_gen.schema import Problem, Verdict
from questions_gen.stage import Context, Log, NoTracker, RunParams
from questions_gen.training import grpo as grpo_module
from questions_gen.training.backend import LoraParams, ModelParams, load_model, save_adapter
from questions_gen.training.grpo import GroupReward, GrpoParams, TaskShares, draw_prompts, summarise, train

from ..conftest import tiny_problems

SECTIONS = {"grpo": GrpoParams, "rewards": RewardParams, "model": ModelParams, "lora": LoraParams, "run": RunParams}


class Favour:
    """A judge that likes short completions, so that a random model has something to learn."""

    def judge(self, completions, prompts) -> list[Verdict]:
        lengths = [len(completion.text) for completion in completions]
        return [
            Verdict(passed=True, rewards={"rigor": None}, similarity=0.0, total=1 / (1 + length)) for length in lengths
        ]


class Broken:
    def judge(self, completions, prompts) -> list[Verdict]:
        raise ZeroDivisionError("a defect in a reward")


def fit(workspace: Path, judge, history: History | None = None, out: str = "out") -> Log:
    loaded = load_params(SECTIONS)
    base, start = Path("models/base"), Path("start")
    save_adapter(load_model(loaded["model"], base, lora=loaded["lora"], seed=3), start)
    return train(
        Context(loaded["run"], NoTracker(), workspace / "checkpoints" / out, workspace),
        loaded["grpo"].model_copy(update={"learning_rate": 1e-2}),
        loaded["model"],
        loaded["lora"],
        5,
        base=base,
        start=start,
        problems=tiny_problems(20),
        judge=judge,
        history=history or History(10),
        adapter=Path(out),
        history_out=Path(f"{out}-history"),
    )


def test_a_reward_moves_the_policy_and_every_rollout_is_kept(workspace: Path) -> None:
    log = fit(workspace, Favour())
    assert files.digest(Path("out/adapter_model.safetensors")) != files.digest(Path("start/adapter_model.safetensors"))
    assert [row["step"] for row in log.steps] == [1, 2, 3, 4]
    assert any(row["reward_std"] > 0 for row in log.steps)
    rollouts = files.read_rows(Path("out-history/rollouts.jsonl"))
    assert len(rollouts) == log.metrics["completions"] == 16
    for step in range(1, 5):
        group = [row["completion"]["prompt_id"] for row in rollouts if row["step"] == step]
        assert len(group) == 4
        assert len(set(group)) == 1


def test_the_history_keeps_the_last_problems_that_passed(workspace: Path) -> None:
    fit(workspace, Favour(), History(10))
    kept = [row["statement"] for row in files.read_rows(Path("out-history/problems.jsonl"))]
    passed = [row["completion"]["statement"] for row in files.read_rows(Path("out-history/rollouts.jsonl"))]
    assert kept == passed[-10:]


def test_an_error_in_a_reward_stops_the_run(workspace: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        fit(workspace, Broken())
    assert not Path("out").exists()


def test_the_real_judge_judges_a_random_model(workspace: Path) -> None:
    loaded = load_params(SECTIONS)
    history = History(loaded["rewards"].history_size)
    log = fit(workspace, load_judge(loaded["rewards"], Path("data/mixed"), history), history)
    assert log.metrics["gate"] == 0  # gibberish, mostly cut off
    assert log.metrics["frac_reward_zero_std"] == 1
    assert files.digest(Path("out/adapter_model.safetensors")) == files.digest(Path("start/adapter_model.safetensors"))


def test_prompts_are_drawn_by_their_shares() -> None:
    shares = TaskShares(problem=0.4, variation=0.3, innovation=0.2)
    prompts = draw_prompts(tiny_problems(6), shares, 900, seed=1)
    counts = Counter(prompt.task for prompt in prompts)
    assert len({prompt.id for prompt in prompts}) == 900
    for task, share in (("problem", 4 / 9), ("variation", 3 / 9), ("innovation", 2 / 9)):
        assert abs(counts[task] / 900 - share) < 0.05
    assert prompts == draw_prompts(tiny_problems(6), shares, 900, seed=1)
    assert {prompt.kind for prompt in prompts if prompt.task == "variation"} == set(grpo_module.KINDS)
    assert all((prompt.original is None) == (prompt.task == "problem") for prompt in prompts)


def test_an_innovation_sees_the_nearest_problems_and_not_itself() -> None:
    same = "Find the number of ways to tile a board of {n} by 2 with dominoes."
    statements = [same.format(n=3), same.format(n=7), "Compute the integral of x squared.", "Prove that 2 is prime."]
    problems = [Problem(id=str(i), statement=s, source="t", licence="MIT") for i, s in enumerate(statements)]
    prompt = draw_prompts(problems, TaskShares(problem=0, variation=0, innovation=1), 20, seed=0)
    asked = next(p for p in prompt if p.original == statements[0])
    text = asked.messages[0].content
    assert text.count(statements[0]) == 1
    assert statements[1] in text


def test_shares_that_are_all_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one share must be above 0"):
        TaskShares(problem=0, variation=0, innovation=0)


def test_a_reward_is_averaged_over_those_that_were_judged() -> None:
    verdicts = [
        Verdict(passed=True, rewards={"rigor": 0.5, "diversity": None}, similarity=0, total=0.5),
        Verdict(passed=False, reasons=("empty",), rewards={"rigor": None, "diversity": None}, similarity=0, total=0),
    ]
    assert summarise(verdicts) == {"gate": 0.5, "rigor": 0.5}


def test_rollouts_of_a_checkpoint_bring_the_history_back(tmp_path: Path) -> None:
    prompts = draw_prompts(tiny_problems(3), TaskShares(problem=1, variation=0, innovation=0), 2, seed=0)
    rewards = [GroupReward(Favour(), History(5), prompts, {2}, seed=0) for _ in range(2)]
    answers = [[{"role": "assistant", "content": f"What is {number}?"}] for number in range(4)]
    shown: list[str] = []
    rewards[0](
        completions=answers,
        completion_ids=[[5, 2]] * 4,
        prompt_id=[prompts[0].id] * 4,
        trainer_state=SimpleNamespace(global_step=0),
        log_metric=lambda name, value: shown.append(name),
    )
    rewards[0].save(tmp_path)
    rewards[1].load(tmp_path)
    assert rewards[1].rollouts == rewards[0].rollouts
    assert rewards[1].history.statements == rewards[0].history.statements == [f"What is {n}?" for n in range(4)]
    assert shown == ["gate"]
