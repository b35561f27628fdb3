"""The records that pass between stages: frozen, strict, and JSON lines on the disk."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Language = Literal["en", "zh"]
"""That prompts are written and problems asked for in: English or Chinese (the issue's gate.language)."""

Task = Literal["problem", "solve", "chat", "variation", "innovation", "improve"]
VariationKind = Literal["context_change", "parameter_change", "practical_application"]
FinishReason = Literal["stop", "length"]


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Problem(Record):
    id: str
    statement: str = Field(min_length=1)
    answer: str | None = None
    solution: str | None = None
    topic: str | None = None
    concepts: tuple[str, ...] = ()
    difficulty: float | None = None
    """Label of the source, larger is harder: 1 − pass rate where there is one, else steps of the solution."""
    source: str
    licence: str


class Message(Record):
    role: Literal["system", "user", "assistant"]
    content: str


class Conversation(Record):
    """Messages that end with the assistant's, which is the only one trained on."""

    id: str
    task: Task
    messages: tuple[Message, ...] = Field(min_length=2)
    source_id: str
    """Id of the problem or dialogue that it was made from: a train/validation split goes by it."""


class Preference(Record):
    """Two answers to one prompt, of which one is better: what DPO learns from."""

    id: str
    messages: tuple[Message, ...] = Field(min_length=1)
    chosen: str = Field(min_length=1)
    rejected: str = Field(min_length=1)
    chosen_total: float
    rejected_total: float
    """The rewards' totals."""


class Prompt(Record):
    """What a model is asked, and what a judge needs to know about the asking."""

    id: str
    task: Task
    messages: tuple[Message, ...] = Field(min_length=1)
    topic: str | None = None
    concepts: tuple[str, ...] = ()
    original: str | None = None
    """The statement to vary, for the tasks that start from one."""
    kind: VariationKind | None = None


class Completion(Record):
    """One sampled answer: optional thinking, the problem's statement, a final line `Answer: \\boxed{…}`."""

    id: str
    prompt_id: str
    text: str
    thinking: str | None = None
    statement: str
    answer: str | None = None
    finish_reason: FinishReason
    tokens: int = Field(ge=0)
    seed: int


class Verdict(Record):
    """What the rewards say of a completion."""

    passed: bool
    reasons: tuple[str, ...] = ()
    """Why the gate is closed; empty when it passed."""
    rewards: dict[str, float | None]
    """Each reward in [0, 1]; None means "not judged"."""
    similarity: float = Field(ge=0, le=1)
    """Highest similarity to the history."""
    known_similarity: float = Field(ge=0, le=1)
    """Highest similarity to the known problems: training and evaluation."""
    total: float = Field(ge=0, le=1)


EvaluationTest = Literal["new", "variation", "own_variation", "control"]


class Evaluated(Record):
    """One completion of an evaluation with all that was asked and judged: a row of data/evaluation/<model>."""

    test: EvaluationTest
    """new: a new problem · variation: of a held-out problem · own_variation: of the model's own new problem · control:
    a text that no model wrote, through the same judge."""
    cell: str
    """What is counted together inside a test: a topic, a kind of variation, "real" or "fake"."""
    thinking: bool
    prompt: Prompt
    completion: Completion
    verdict: Verdict
    nearest: str | None
    """The known problem that the statement is most like; None where nothing is known."""
