"""A judge and completions for the tests of the rewards."""

from collections.abc import Sequence

from questions_gen.answers import parse_completion
from questions_gen.history import History
from questions_gen.problem import Index
from questions_gen.rewards.combine import Judge, RewardParams
from questions_gen.rewards.difficulty import DifficultyModel, fit
from questions_gen.schema import Completion, Message, Problem, Prompt

PARAMS = RewardParams.model_validate(
    {
        "weights": {"difficulty": 0.4, "novelty": 0.3, "rigor": 0.2, "diversity": 0.1},
        "history_size": 100,
        "similarity_limit": 0.85,
        "penalty_factor": 0.3,
    }
)


def completion(text: str, *, id: str = "c", prompt_id: str = "p", finish_reason: str = "stop") -> Completion:
    return parse_completion(id=id, prompt_id=prompt_id, text=text, finish_reason=finish_reason, tokens=1, seed=0)


def prompt(**values) -> Prompt:
    return Prompt(**{"id": "p", "task": "problem", "messages": (Message(role="user", content="?"),), **values})


def no_model() -> DifficultyModel:
    """A difficulty model that knows nothing: 1/2 for every problem."""
    return fit([])


def judge(*, history: Sequence[str] = (), known: Sequence[str] = (), model: DifficultyModel | None = None) -> Judge:
    seen, index = History(PARAMS.history_size), Index()
    seen.add(history)
    index.add(known)
    return Judge(PARAMS, model or no_model(), seen, index)


def labelled(count: int) -> list[Problem]:
    """Problems whose label grows with the number of quantities in them."""
    things = ("apples", "pears", "books", "coins", "cards", "stamps", "shells", "beads")
    problems = []
    for number in range(count):
        steps = 1 + number % 8
        bought = " ".join(f"Then Anna buys {number + k + 2} {things[(number + k) % 8]} more." for k in range(steps))
        statement = f"Anna has {number + 3} boxes. {bought} How many things does Anna have in the end?"
        problems.append(Problem(id=str(number), statement=statement, difficulty=steps, source="made", licence="none"))
    return problems
