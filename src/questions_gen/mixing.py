"""Raw rows of any source to conversations: tasks, the share of chat, what is dropped and why, the split.

Pure: rows in, records out. Every draw comes from a seed, and what is dropped keeps its row and its reason.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, get_args, overload

import numpy as np
from pydantic import ValidationError

from questions_gen.answers import boxed, split_thinking
from questions_gen.errors import UserError
from questions_gen.problem import Index, ngrams, normalise, problem_id, words
from questions_gen.prompts import problem_messages, problem_target, solve_messages, written_problem
from questions_gen.schema import Conversation, Language, Message, Problem, Task
from questions_gen.topics import classify_topic

Reason = Literal[
    "malformed",  # a row that isn't of its source's schema
    "no_statement",
    "broken_answer",  # its braces don't balance, so it can't stand in \boxed{…}
    "unfinished_solution",  # thinking that never ends, or nothing after it
    "empty_dialogue",
    "broken_dialogue",  # turns don't alternate, or the last isn't the assistant's
    "contaminated",  # shares words in a row with an evaluation problem, or nearly is one
    "too_long",  # more tokens than mix.max_tokens
    "exact_duplicate",
    "near_duplicate",
]
REASONS: tuple[Reason, ...] = get_args(Reason)

_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
_OTHER_FORMS = re.compile(r",? +or +(?:equivalently|an equivalent|approximately)\b.*", re.DOTALL)


@dataclass(frozen=True)
class Source:
    """The raw rows of one source, with what the manifest says of them."""

    group: Literal["problems", "chat", "evaluation"]
    name: str
    schema: str
    licence: str
    rows: Sequence[dict[str, Any]]

    @property
    def address(self) -> str:
        """`<group>/<name>`: where its rows are in data/raw, and unique, as a name is not."""
        return f"{self.group}/{self.name}"


@dataclass(frozen=True)
class Item:
    """A raw row on its way into the training data: a conversation, or the reason why there is none."""

    id: str
    """`<source>:<line>`, the line of the raw file, counted from 1."""
    source: str
    """Its address."""
    content: Conversation | Reason
    problem: Problem | None = None
    """What the conversation was made from; None for a dialogue."""

    @property
    def conversation(self) -> Conversation:
        """The content of an item that wasn't dropped."""
        assert isinstance(self.content, Conversation)
        return self.content


# Rows to records, by the schema of the source


def read_problem(row: Mapping[str, Any], schema: str, source: str, licence: str) -> Problem | Reason:
    """The problem of a raw row; its topic is guessed from the statement where the source names none."""
    try:
        fields = _PROBLEM_SCHEMAS[schema](row)
        statement = split_thinking(fields.pop("statement") or "")[1]
        if not statement:
            return "no_statement"
        answer = " ".join((fields.pop("answer") or "").split()) or None
        problem = Problem(
            id=problem_id(source, statement),
            statement=statement,
            answer=answer,
            topic=fields.pop("topic") or classify_topic(statement),
            source=source,
            licence=licence,
            **fields,
        )
    except (ValidationError, AttributeError, KeyError, TypeError, ValueError):
        return "malformed"
    if answer is not None and boxed(written_problem(statement, answer)) != answer:
        return "broken_answer"
    return problem


def _champ(row: Mapping[str, Any]) -> dict[str, Any]:
    steps = [step.strip() for step in row["solution_steps"] if step.strip()]
    return {
        "statement": row.get("problem"),
        "answer": _unquoted(_OTHER_FORMS.sub("", row["answer"] or "")),
        "solution": "\n".join(steps) or None,
        "topic": (row["category"] or "").replace("-", " ").lower(),
        "concepts": tuple(row["concepts"]),
        "difficulty": float(len(steps)) or None,
    }


def _openmathreasoning(row: Mapping[str, Any]) -> dict[str, Any]:
    rate = row["pass_rate_72b_tir"]
    return {
        "statement": row.get("problem"),
        "answer": _unquoted(row["expected_answer"] or ""),
        "solution": (row["generated_solution"] or "").strip() or None,
        "topic": None,
        "difficulty": None if rate in (None, "", "n/a") else 1 - _share(float(rate)),
    }


def _problems(row: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in row.items() if name in Problem.model_fields}
    missing = {"id": "-", "source": "-", "licence": "-"}  # mix gives its own
    checked = Problem.model_validate({**missing, **fields, "statement": row.get("statement") or " "})
    fields = checked.model_dump(exclude={"id", "source", "licence"})
    return {**fields, "statement": checked.statement.strip()}


_PROBLEM_SCHEMAS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "champ": _champ,
    "openmathreasoning": _openmathreasoning,
    "problems": _problems,
}


def _unquoted(answer: str) -> str:
    """`$x$` → `x`: the answer stands inside \\boxed{…}, which is mathematics already."""
    answer = answer.strip()
    whole = len(answer) > 2 and answer[0] == answer[-1] == "$" and answer.count("$") == 2
    return answer[1:-1].strip() if whole else answer


def _share(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"a rate must be in [0, 1], found {value}")
    return value


def read_dialogue(row: Mapping[str, Any]) -> tuple[Message, ...] | Reason:
    """The turns of a ShareGPT row: a system turn or none, then user and assistant in turn, the assistant last."""
    turns = row.get("conversations")
    if not turns:
        return "empty_dialogue"
    try:
        pairs = [(turn["from"], turn["value"].strip()) for turn in turns]
    except (AttributeError, KeyError, TypeError):
        return "malformed"
    pairs = [(speaker, text) for speaker, text in pairs if text or speaker != "system"]
    if not pairs or not all(text for _, text in pairs):
        return "empty_dialogue"
    roles = [_ROLES.get(speaker) if isinstance(speaker, str) else None for speaker, _ in pairs]
    spoken = roles[1:] if roles[0] == "system" else roles
    if not spoken or spoken != ["user", "assistant"] * (len(spoken) // 2):
        return "broken_dialogue"
    return tuple(Message(role=role, content=text) for role, (_, text) in zip(roles, pairs, strict=True))


def read_evaluation(sources: Sequence[Source]) -> tuple[list[Problem], list[tuple[str, Reason]]]:
    """The problems of the evaluation sets, and the id and reason of each row that isn't one or repeats one.

    Raises UserError for a set of which none is left.
    """
    problems: dict[str, Problem] = {}
    dropped: list[tuple[str, Reason]] = []
    for source in sources:
        reasons: list[tuple[str, Reason]] = []
        for number, row in enumerate(source.rows, 1):
            problem = read_problem(row, source.schema, source.name, source.licence)
            if isinstance(problem, Problem) and problem.id not in problems:
                problems[problem.id] = problem
            else:
                reason = "exact_duplicate" if isinstance(problem, Problem) else problem
                reasons.append((f"{source.address}:{number}", reason))
        if len(reasons) == len(source.rows):
            raise _nothing_left(source.address, [reason for _, reason in reasons])
        dropped += reasons
    return list(problems.values()), dropped


# The mixture


@dataclass(frozen=True)
class Mixture(Sequence[Item]):
    """Items that are made of their raw rows when they are asked for."""

    sources: tuple[Source, ...]
    owners: np.ndarray
    numbers: np.ndarray
    """Of each item the place of its source, and the line of its row, from 0."""
    tasks: Sequence[Task]
    language: Language = "en"
    """Of the prompts."""

    def __len__(self) -> int:
        return len(self.owners)

    def taken(self) -> Counter[str]:
        """How many items are of each source, by its address."""
        counts = np.bincount(self.owners, minlength=len(self.sources)).tolist()
        return Counter({source.address: count for source, count in zip(self.sources, counts, strict=True)})

    def sizes(self) -> np.ndarray:
        """Bytes of each item's raw line (int64); of sources that are files."""
        sizes = np.zeros(len(self), dtype=np.int64)
        for place, source in enumerate(self.sources):
            own = self.owners == place
            sizes[own] = source.rows.sizes[self.numbers[own]]
        return sizes

    @overload
    def __getitem__(self, place: int) -> Item: ...
    @overload
    def __getitem__(self, place: slice) -> list[Item]: ...
    def __getitem__(self, place: int | slice) -> Item | list[Item]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        source, number, task = self.sources[self.owners[place]], int(self.numbers[place]), self.tasks[place]
        row = source.rows[number]
        if task == "chat":
            return _chat_item(source, number + 1, row)
        return _problem_item(source, number + 1, row, task, self.language)


def mixture(
    problems: Sequence[Source],
    chat: Sequence[Source],
    *,
    tasks: Mapping[Task, float],
    chat_share: float,
    chat_seed: int,
    seed: int,
    language: Language = "en",
) -> Mixture:
    """One item a row of problems, and the dialogues that the rule asks for, shuffled; nothing is dropped yet."""
    rows, dialogues = _places(problems, 0), _places(chat, len(problems))
    wanted = dialogues_wanted(len(rows), chat_share)
    dialogues = dialogues[sample(len(dialogues), wanted, chat_seed)]
    everything = np.concatenate([rows, dialogues])
    drawn = [*draw_tasks(len(rows), tasks, seed), *["chat"] * len(dialogues)]
    order = np.random.default_rng(seed).permutation(len(everything))
    owners, numbers = everything[order].T
    return Mixture((*problems, *chat), owners, numbers, [drawn[place] for place in order], language)


def _places(sources: Sequence[Source], first: int) -> np.ndarray:
    """int64 of shape (rows, 2): the place of the source, counted from `first`, and the line, of every row."""
    counts = [len(source.rows) for source in sources]
    owners = np.repeat(np.arange(first, first + len(sources)), counts)
    numbers = np.concatenate([np.arange(count) for count in counts]) if counts else owners
    return np.stack([owners, numbers], axis=1)


def dialogues_wanted(problems: int, share: float) -> int:
    """int(n × s / (1 − s)), so that dialogues are `share` of everything; exact, without a float's last bit."""
    exact = Fraction(str(share))
    return int(problems * exact / (1 - exact))


def draw_tasks(count: int, shares: Mapping[Task, float], seed: int) -> list[Task]:
    """A task for each of `count` rows: each task has its share of them, to within a row; which rows, is drawn."""
    names = sorted(shares)
    ends = np.cumsum([shares[name] for name in names])
    edges = np.concatenate([[0], np.round(ends / ends[-1] * count)]).astype(int)
    places = np.repeat(np.arange(len(names)), np.diff(edges))
    return [names[place] for place in np.random.default_rng([seed, count]).permutation(places)]


def sample(available: int, wanted: int, seed: int) -> list[int]:
    """`wanted` different positions, all of them when there are fewer.

    The same as pandas' `sample(n=wanted, random_state=seed)`, by which unsloth's notebook takes its dialogues.
    """
    generator = np.random.RandomState(seed)
    return generator.choice(available, size=min(wanted, available), replace=False).tolist() if available else []


def _problem_item(source: Source, number: int, row: Mapping[str, Any], task: Task, language: Language) -> Item:
    name = f"{source.address}:{number}"
    problem = read_problem(row, source.schema, source.name, source.licence)
    if not isinstance(problem, Problem):
        return Item(name, source.address, problem)
    return Item(name, source.address, problem_conversation(problem, task, language), problem)


def problem_conversation(problem: Problem, task: Task, language: Language = "en") -> Conversation | Reason:
    """The conversation of a `problem` or `solve` task; a problem without a solution is always one to write."""
    if task == "problem" or problem.solution is None:
        asked, target = problem_messages(problem.topic, problem.concepts, language), problem_target(problem)
        task = "problem"
    else:
        asked, target = solve_messages(problem.statement, language), _solve_target(problem.solution, problem.answer)
        if target is None:
            return "unfinished_solution"
    messages = (*asked, Message(role="assistant", content=target))
    return Conversation(id=f"{task}-{problem.id}", task=task, messages=messages, source_id=problem.id)


def _solve_target(solution: str, answer: str | None) -> str | None:
    """The solution with its thinking, the answer boxed after it; None if the thinking never ends."""
    text = split_thinking(solution)[1]
    if not text:
        return None
    return solution.strip() if boxed(text) is not None else written_problem(solution, answer)


def _chat_item(source: Source, number: int, row: Mapping[str, Any]) -> Item:
    name = f"{source.address}:{number}"
    messages = read_dialogue(row)
    if not isinstance(messages, tuple):
        return Item(name, source.address, messages)
    text = "\0".join(f"{message.role}\0{message.content}" for message in messages)
    key = f"{source.name}-{_hash(text)[:12]}"
    return Item(name, source.address, Conversation(id=f"chat-{key}", task="chat", messages=messages, source_id=key))


# Drops: the reason of what doesn't stay


def unusable(items: Sequence[Item]) -> list[Reason | None]:
    return [item.content if not isinstance(item.content, Conversation) else None for item in items]


class Contamination:
    """What no row may share with the problems of the evaluation sets."""

    def __init__(self, evaluation: Sequence[Problem], n: int, limit: float) -> None:
        """`n` words in a row, or a similarity of at least `limit`."""
        statements = [problem.statement for problem in evaluation]
        self._n, self._limit = n, limit
        self._known = {gram for statement in statements for gram in ngrams(words(statement), n)}
        self._index = Index()
        self._index.add(statements)

    def reasons(self, items: Sequence[Item]) -> list[Reason | None]:
        """Looks at the statement of a problem, and at every turn of a dialogue."""
        return ["contaminated" if self._shares_words(item) or self._is_near(item) else None for item in items]

    def _shares_words(self, item: Item) -> bool:
        turns = item.conversation.messages
        texts = [item.problem.statement] if item.problem else [message.content for message in turns]
        return any(not self._known.isdisjoint(ngrams(words(text), self._n)) for text in texts)

    def _is_near(self, item: Item) -> bool:
        asked = [message.content for message in item.conversation.messages if message.role == "user"]
        similarities, positions = self._index.nearest([item.problem.statement] if item.problem else asked)
        return bool(np.any((similarities >= self._limit) & (positions >= 0)))


def identity(item: Item) -> str:
    """Equal for two items of which the second is an exact duplicate."""
    return normalise(item.problem.statement) if item.problem else item.conversation.source_id


def count_reasons(reasons: Iterable[Reason]) -> dict[str, int]:
    """How often each reason occurred, in the order of the closed list."""
    counts = Counter(reasons)
    return {reason: counts[reason] for reason in REASONS if counts[reason]}


def address(name: str) -> str:
    """The address of the source of an item, by its id."""
    return name.rpartition(":")[0]


def check_kept(kept: Collection[str], dropped: Sequence[tuple[str, Reason]]) -> None:
    """`kept`: addresses of the sources of what is left; `dropped`: ids with their reasons.

    Raises UserError for a source of which nothing is left, with the counts.
    """
    for name in sorted({address(item) for item, _ in dropped} - set(kept)):
        raise _nothing_left(name, [reason for item, reason in dropped if address(item) == name])


def _nothing_left(source: str, reasons: Sequence[Reason]) -> UserError:
    told = ", ".join(f"{reason} {count}" for reason, count in count_reasons(reasons).items())
    return UserError(
        f"the source {source}: all {len(reasons)} rows taken from it were dropped ({told}); "
        "check its schema in the section fetch and the limits in the section mix, or remove it there"
    )


def summary(
    sources: Sequence[Source], taken: Mapping[str, int], kept: Mapping[str, int], dropped: Sequence[tuple[str, Reason]]
) -> dict[str, Any]:
    """Counts of each source's rows, and of the reasons; `taken` and `kept` count by address, `dropped` are ids."""
    counts: dict[str, Any] = {}
    for source in sources:
        reasons = [reason for name, reason in dropped if address(name) == source.address]
        rows = {"rows": len(source.rows), "dropped": count_reasons(reasons)}
        if source.group == "evaluation":
            counts[source.address] = {**rows, "kept": len(source.rows) - len(reasons)}
        else:
            counts[source.address] = {**rows, "taken": taken[source.address], "kept": kept[source.address]}
    return {"sources": counts, "dropped": count_reasons(reason for _, reason in dropped)}


def chat_summary(taken: Mapping[str, int], kept: Mapping[str, int], share: float) -> dict[str, float]:
    """The share of dialogues asked for and reached, and how many dialogues were missing for it."""
    chosen, left = (
        sum(count for source, count in counts.items() if source.startswith("chat/")) for counts in (taken, kept)
    )
    total = sum(taken.values())
    wanted = dialogues_wanted(total - chosen, share)
    reached = {"share_taken": chosen / total, "share_kept": left / sum(kept.values())}
    return {"share_asked": share, "wanted": wanted, "taken": chosen, "missing": wanted - chosen, **reached}


# The split


def held_out(chat: Iterable[str], problems: Iterable[str], share: float, seed: int) -> set[str]:
    """Source ids that go to validation: `share` of those of dialogues and of problems, at least one of each.

    It goes by a hash of the source id, so that all conversations of one problem are on one side, and so that
    more data moves few of them.
    """
    return _lowest(set(chat), share, seed) | _lowest(set(problems), share, seed)


def _lowest(ids: set[str], share: float, seed: int) -> set[str]:
    count = max(round(share * len(ids)), 1) if share > 0 and len(ids) > 1 else 0
    return set(sorted(ids, key=lambda name: (_hash(f"{seed}\0{name}"), name))[:count])


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
