"""GRPO: groups share a prompt, the reward moves the policy, an error in a reward is never a score."""

import csv
import gc
import io
import weakref
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from questions_gen import files
from questions_gen.answers import parse_completion
from questions_gen.errors import UserError
from questions_gen.history import History
from questions_gen.params import load_params
from questions_gen.rewards.combine import RewardParams, load_judge
from questions_gen.rewards.weights import DynamicWeights
from questions_gen.schema import Problem, Verdict
from questions_gen.stage import Context, Log, NoTracker, RunParams
from questions_gen.training import backend, coordinated, generate, grpo
from questions_gen.training.backend import LoraParams, ModelParams, load_model, save_adapter
from questions_gen.training.coordinated import best_problems, conversations, variation_prompts
from questions_gen.training.grpo import KINDS, GrpoParams, TaskShares, draw_prompts, train
from questions_gen.training.rollouts import GroupReward, step_numbers

from ..conftest import tiny_problems

SECTIONS = {"grpo": GrpoParams, "rewards": RewardParams, "model": ModelParams, "lora": LoraParams, "run": RunParams}


WEIGHTS = {"difficulty": 0.4, "novelty": 0.3, "rigor": 0.2, "diversity": 0.1}
DYNAMIC = DynamicWeights(window=2, enough=0.1, low=0.5, high=2.0)


class Favour:
    """A judge that likes short completions, so that a random model has something to learn."""

    weights = WEIGHTS
    language = "en"

    def judge(self, completions, prompts, weights=None) -> list[Verdict]:
        lengths = [len(completion.text) for completion in completions]
        seen = {"rewards": {"rigor": None}, "similarity": 0.0, "known_similarity": 0.0}
        return [Verdict(passed=True, total=1 / (1 + length), **seen) for length in lengths]


class Broken(Favour):
    def judge(self, completions, prompts, weights=None) -> list[Verdict]:
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
    rollouts = [row for row in files.read_rows(Path("out-history/rollouts.jsonl")) if row["phase"] == "policy"]
    assert len(rollouts) == log.metrics["completions"] == 16
    for step in range(1, 5):
        group = [row["completion"]["prompt_id"] for row in rollouts if row["step"] == step]
        assert len(group) == 4
        assert len(set(group)) == 1


def test_a_round_ends_with_its_best_problem_and_variations_of_it(workspace: Path) -> None:
    log = fit(workspace, Favour())
    rollouts = files.read_rows(Path("out-history/rollouts.jsonl"))
    coordinated = [row for row in rollouts if row["phase"] == "coordinated"]
    rounds = sorted({row["step"] for row in coordinated})
    assert set(rounds) <= {2, 4}
    for step in rounds:
        assert sorted(row["kind"] for row in coordinated if row["step"] == step) == sorted(KINDS)
    counts = log.metrics["coordinated"]
    assert counts["problems"] == len(rounds) > 0
    assert counts["variations"] == counts["variations_passed"] == 3 * len(rounds)
    assert counts["conversations"] + counts.get("too_long", 0) == 4 * len(rounds)
    assert counts["conversations"] > 0
    table = list(csv.DictReader(io.StringIO(Path("out-history/samples.csv").read_bytes().decode(), newline="")))
    assert {row["step"] for row in table} == {"1", "2", "3", "4"}
    assert sum(row["task"] in ("problem", "innovation") for row in table) > 0


def test_no_model_stays_while_the_next_is_loaded(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Python's collector at rest: on a card, the next model would stand beside the last until it came round."""
    loaded: list[weakref.ref] = []
    sizes: list[int] = []

    def load(*given, **named):
        assert all(weight() is None for weight in loaded), f"of {len(loaded)} models"
        model = backend.load_model(*given, **named)
        layer = next(module for module in model.modules() if hasattr(module, "lora_A"))
        loaded.append(weakref.ref(layer.base_layer.weight))
        return model

    def sample(*given, batch_size: int, **named):
        sizes.append(batch_size)
        return generate.generate(*given, batch_size=batch_size, **named)

    for module in (grpo, coordinated):
        monkeypatch.setattr(module, "load_model", load)
    monkeypatch.setattr(coordinated, "generate", sample)
    gc.disable()
    try:
        fit(workspace, Favour())
    finally:
        gc.enable()
    assert len(loaded) == 6, "in each of two rounds: the policy, what samples the variations, what learns them"
    assert sizes == [4, 4], "as many at once as in the rollouts"


def test_the_history_keeps_the_last_problems_that_passed(workspace: Path) -> None:
    fit(workspace, Favour(), History(10))
    kept = [row["statement"] for row in files.read_rows(Path("out-history/problems.jsonl"))]
    passed = [row["completion"]["statement"] for row in files.read_rows(Path("out-history/rollouts.jsonl"))]
    assert kept == passed[-10:]


def test_an_error_in_a_reward_stops_the_run_and_keeps_the_completions(workspace: Path) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        fit(workspace, Broken())
    assert not Path("out").exists()
    kept = workspace / "checkpoints/out/failed.jsonl"
    assert caught.value.__notes__ == [f"a reward broke at step 1; the completions it was given are in {kept}"]
    assert len(files.read_rows(kept)) == 4


def test_groups_without_spread_teach_nothing_and_are_counted(workspace: Path, capsys) -> None:
    loaded = load_params(SECTIONS)
    history = History(loaded["rewards"].history_size)
    log = fit(workspace, load_judge(loaded["rewards"], Path("data/mixed"), history), history)
    assert log.metrics["gate"] == 0  # gibberish, mostly cut off
    assert log.metrics["groups"] == log.metrics["groups_without_spread"] == 4
    assert files.digest(Path("out/adapter_model.safetensors")) == files.digest(Path("start/adapter_model.safetensors"))
    printed = capsys.readouterr().out
    assert "4 of 4 groups had no spread" in printed
    assert "the coordinated step has nothing to train on" in printed
    names = ("conversations", "problems", "too_long", "variations", "variations_passed")
    assert log.metrics["coordinated"] == dict.fromkeys(names, 0)


def test_prompts_are_drawn_by_their_shares() -> None:
    shares = TaskShares(problem=0.4, variation=0.3, innovation=0.2)
    prompts, _ = draw_prompts(tiny_problems(6), shares, 900, seed=1)
    counts = Counter(prompt.task for prompt in prompts)
    assert len({prompt.id for prompt in prompts}) == 900
    for task, share in (("problem", 4 / 9), ("variation", 3 / 9), ("innovation", 2 / 9)):
        assert abs(counts[task] / 900 - share) < 0.05
    assert (prompts, 0) == draw_prompts(tiny_problems(6), shares, 900, seed=1)
    assert {prompt.kind for prompt in prompts if prompt.task == "variation"} == set(KINDS)
    assert all((prompt.original is None) == (prompt.task == "problem") for prompt in prompts)


def test_an_innovation_sees_the_nearest_problems_and_not_itself() -> None:
    same = "Find the number of ways to tile a board of {n} by 2 with dominoes."
    statements = [same.format(n=3), same.format(n=7), "Compute the integral of x squared.", "Prove that 2 is prime."]
    problems = [Problem(id=str(i), statement=s, source="t", licence="MIT") for i, s in enumerate(statements)]
    drawn, _ = draw_prompts(problems, TaskShares(problem=0, variation=0, innovation=1), 20, seed=0)
    asked = next(p for p in drawn if p.original == statements[0])
    text = asked.messages[0].content
    assert text.count(statements[0]) == 1
    assert statements[1] in text


def test_a_prompt_that_is_too_long_is_cut_down_or_drawn_anew() -> None:
    problems = tiny_problems(20)
    shares = TaskShares(problem=0.4, variation=0.3, innovation=0.2)

    def length(messages) -> int:
        return sum(len(message.content) for message in messages)

    free, none = draw_prompts(problems, shares, 300, seed=1)
    most = {task: max(length(p.messages) for p in free if p.task == task) for task in ("variation", "innovation")}
    fewer, none_too = draw_prompts(problems, shares, 300, 1, fits=lambda asked: length(asked) < most["innovation"] - 40)
    assert none == none_too == 0
    assert [p.task for p in fewer] == [p.task for p in free], "an innovation has fewer neighbours, and all else stays"
    cut = [before != after for before, after in zip(free, fewer, strict=True)]
    assert {p.task for p, changed in zip(free, cut, strict=True) if changed} == {"innovation"}
    short, too_long = draw_prompts(problems, shares, 300, 1, fits=lambda asked: length(asked) < most["variation"] - 10)
    assert too_long > 0
    assert len(short) == 300
    assert max(length(p.messages) for p in short) < most["variation"] - 10
    with pytest.raises(UserError, match="leave no room in model.max_length"):
        draw_prompts(problems, shares, 3, 1, fits=lambda asked: False)


def test_shares_that_are_all_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one share must be above 0"):
        TaskShares(problem=0, variation=0, innovation=0)


def rollout(step: int, prompt_id: str, total: float, rigor: float | None, task: str = "problem", statement="x") -> dict:
    completion = parse_completion(
        id=f"{prompt_id}/{statement}", prompt_id=prompt_id, text=statement, finish_reason="stop", tokens=1, seed=0
    )
    passed = total > 0
    verdict = Verdict(
        passed=passed,
        reasons=() if passed else ("empty",),
        rewards={"rigor": rigor, "diversity": None},
        similarity=0,
        known_similarity=0,
        total=total,
    )
    return {
        "step": step,
        "phase": "policy",
        "task": task,
        "kind": None,
        "completion": completion.model_dump(mode="json"),
        "verdict": verdict.model_dump(mode="json"),
    }


def test_the_numbers_of_a_step() -> None:
    rows = [
        *(rollout(1, "a", total, rigor) for total, rigor in ((0.5, 0.2), (0.3, 0.6), (0.0, None))),
        *(rollout(1, "b", 0.0, None, "variation") for _ in range(3)),
    ]
    numbers = step_numbers(rows, WEIGHTS)
    assert numbers["gate"] == pytest.approx(2 / 6)
    assert numbers["rigor"] == pytest.approx(0.4)
    assert numbers["spread"] == {"rigor": pytest.approx(0.2)}
    assert numbers["histogram"]["rigor"] == [0, 0, 1, 0, 0, 0, 1, 0, 0, 0]
    assert numbers["reasons"] == {"empty": 4}
    assert numbers["tasks"] == {"problem": 3, "variation": 3}
    assert (numbers["groups"], numbers["groups_without_spread"]) == (2, 1)
    assert numbers["weights"] == WEIGHTS
    assert "diversity" not in numbers, "what wasn't judged has no mean"


def test_the_best_problems_are_new_problems_once_each() -> None:
    rows = [
        rollout(1, "a", 0.5, 0.5, statement="good"),
        rollout(1, "a", 0.9, 0.5, "variation", "a variation"),
        rollout(2, "b", 0.8, 0.5, "innovation", "best"),
        rollout(2, "b", 0.8, 0.5, statement="best"),
        rollout(2, "b", 0.0, None, statement="refused"),
    ]
    assert [row["completion"]["statement"] for row in best_problems(rows, 5)] == ["best", "good"]
    assert len(best_problems(rows, 1)) == 1
    assert best_problems(rows[-1:], 3) == []


def test_only_what_passed_is_learnt() -> None:
    best = [rollout(1, "a", 0.5, 0.5, statement="Find x.\nAnswer: \\boxed{3}")]
    asked = variation_prompts(best)
    varied = [
        {**rollout(1, prompt.id, total, 0.5, "variation", f"Vary {total}."), "kind": prompt.kind}
        for prompt, total in zip(asked, (0.4, 0.0, 0.2), strict=True)
    ]
    known = {prompt.id: prompt for prompt in asked} | {"a": asked[0].model_copy(update={"task": "problem"})}
    made = conversations([*best, *varied], known)
    assert [row.messages[-1].content for row in made] == ["Find x.\nAnswer: \\boxed{3}", "Vary 0.4.", "Vary 0.2."]
    assert all("Find x." in prompt.messages[0].content for prompt in asked)
    assert [prompt.kind for prompt in asked] == list(KINDS)


def test_rollouts_of_a_checkpoint_bring_the_history_and_the_weights_back(tmp_path: Path) -> None:
    prompts, _ = draw_prompts(tiny_problems(3), TaskShares(problem=1, variation=0, innovation=0), 2, seed=0)

    def reward() -> GroupReward:
        return GroupReward(Favour(), History(5), prompts, 0, base=WEIGHTS, dynamic=DYNAMIC, failed=tmp_path / "failed")

    first, second = reward(), reward()
    first.ends = {2}
    answers = [[{"role": "assistant", "content": f"What is {number}?"}] for number in range(4)]
    shown: list[str] = []
    first(
        completions=answers,
        completion_ids=[[5, 2]] * 4,
        prompt_id=[prompts[0].id] * 4,
        trainer_state=SimpleNamespace(global_step=0),
        log_metric=lambda name, value: shown.append(name),
    )
    first.save(tmp_path)
    second.load(tmp_path)
    second.load(tmp_path)
    assert second.rollouts == first.rollouts
    assert second.history.statements == first.history.statements == [f"What is {n}?" for n in range(4)]
    assert second.weights(2) == first.weights(2)
    assert {"gate", "groups_without_spread", "weights/rigor", "tasks/problem"} <= set(shown)
    assert not any(name.startswith("histogram") for name in shown)
