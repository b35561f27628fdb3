"""What the gate and the rewards say of a sample, judged as `evaluate` judges, against data/mixed where that is."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from questions_gen.errors import UserError

if TYPE_CHECKING:
    from questions_gen.rewards.combine import Judge, RewardParams
    from questions_gen.schema import Completion, Language, Prompt, Verdict

MIXED = Path("data/mixed")
NEAR = "near_to_known"
"""The reason of a problem that passes the gate and is nearer than `rewards.similarity_limit` to a known one."""


class Assessment(NamedTuple):
    reasons: tuple[str, ...]
    """Why the sample is rejected: the gate's reasons, or that it isn't new; empty if it is accepted."""
    verdict: "Verdict | None"
    """None where there is no data/mixed, and so nothing but the gate."""
    nearest: str | None
    """The known problem that it is most like."""
    similarity: float | None
    """To that one."""


def reward_params() -> "RewardParams":
    from questions_gen.params import load_params
    from questions_gen.rewards.combine import RewardParams

    return load_params({"rewards": RewardParams})["rewards"]


def asked_language() -> "Language":
    """The language of the run: of its prompts, and of what the gate asks for."""
    from questions_gen.params import load_params
    from questions_gen.schema import Language

    return load_params({"language": Language})["language"]


def load_run_judge(params: "RewardParams") -> "Judge":
    """The judge of the run, whose history is the training problems. Raises UserError without data/mixed."""
    from questions_gen.files import read_records
    from questions_gen.history import History
    from questions_gen.rewards.combine import load_judge
    from questions_gen.schema import Problem

    if not MIXED.exists():
        raise UserError(f"{MIXED}: no such folder, and problems are judged against it; `dvc repro mix` makes it")
    known = History(params.history_size)
    known.add(problem.statement for problem in read_records(MIXED / "problems.jsonl", Problem))
    return load_judge(params, MIXED, known, language=asked_language())


def _gate_alone(params: "RewardParams") -> "Judge":
    """A judge that knows no problem: of its verdicts the gate's reasons are worth something, the numbers aren't."""
    from questions_gen.history import History
    from questions_gen.problem import Index
    from questions_gen.rewards import difficulty
    from questions_gen.rewards.combine import Judge

    return Judge(params, difficulty.fit([]), History(params.history_size), Index(), asked_language())


class Assessor:
    """Judges samples one by one, each also against those that were accepted before it."""

    def __init__(self) -> None:
        self.params = reward_params()
        self.knows = MIXED.exists()
        self.judge = load_run_judge(self.params) if self.knows else _gate_alone(self.params)

    def assess(self, prompt: "Prompt", completion: "Completion") -> Assessment:
        (verdict,) = self.judge.judge([completion], [prompt])
        reasons = verdict.reasons
        # a variation is near to what it starts from, and the gate holds it against that one
        if not reasons and prompt.original is None and self._nearness(verdict) > self.params.similarity_limit:
            reasons = (NEAR,)
        if not reasons:
            self.judge.history.add([completion.statement])
        if not self.knows:
            return Assessment(reasons, None, None, None)
        values, places = self.judge.known.nearest([completion.statement])
        nearest = self.judge.known.statement(int(places[0])) if places[0] >= 0 else None
        return Assessment(reasons, verdict, nearest, float(values[0]) if nearest is not None else None)

    @staticmethod
    def _nearness(verdict: "Verdict") -> float:
        return max(verdict.similarity, verdict.known_similarity)
