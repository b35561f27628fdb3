"""What the student is asked: one function a task, and the one form of a written problem.

The same words are used in training, in sampling and in evaluation. No prompt has a system turn: the base model's
chat template adds its own where it has one.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple, get_args

from questions_gen.problem import is_chinese
from questions_gen.schema import Language, Message, Problem, Prompt, VariationKind


class Words(NamedTuple):
    """What a prompt says, in one language. The parts in braces are filled in; each stands on a line of its own."""

    form: str
    """Ends every prompt whose answer is a problem."""
    problem: str
    topic: str
    concepts: str
    between: str
    """Between two concepts."""
    solve: str
    statement: str
    variations: Mapping[VariationKind, str]
    innovation: str
    neighbour: str
    improve: str
    feedback: str
    topics: Mapping[str, str]
    """Name of a topic in the data → in this language; others stay as they are."""
    answer: str
    """Begins the line with the answer."""
    seed: tuple[tuple[str, str], ...]
    """Topic and words of the three tests by inference of the document that the project starts from."""


WORDS: dict[Language, Words] = {
    "en": Words(
        form=r"State the problem only, and end with a line `Answer: \boxed{...}` unless it asks for a proof.",
        problem="Write a new problem for a mathematics competition.",
        topic="Topic: {}",
        concepts="Concepts: {}",
        between="; ",
        solve=r"Solve the problem step by step, and put the final answer in \boxed{...}.",
        statement="Problem: {}",
        variations={
            "context_change": "Change context: move the problem to another mathematical setting that keeps its key "
            "idea.",
            "parameter_change": "Change parameters: choose other numbers and conditions, and keep the structure.",
            "practical_application": "Change to an application: ask the same in a real situation.",
        },
        innovation="Innovate: write a new problem of the same topic that is solved by another key idea than these.",
        neighbour="Similar problem: {}",
        improve="Improve: {}",
        feedback="Feedback: {}",
        topics={},
        answer="Answer: ",
        seed=(
            ("calculus", "Generate a calculus competition problem:"),
            ("algebra", "Create an algebra problem:"),
            ("geometry", "Design a geometry proof:"),
        ),
    ),
    "zh": Words(
        form=r"只写题目本身，不写解答；除证明题外，最后另起一行写 `答案：\boxed{...}`。",
        problem="请写一道新的数学竞赛题。",
        topic="主题：{}",
        concepts="知识点：{}",
        between="；",
        solve=r"请逐步解答下面的题目，并把最终答案写在 \boxed{...} 中。",
        statement="题目：{}",
        variations={
            "context_change": "改变背景：把题目移到另一个数学情境中，保留其关键思路。",
            "parameter_change": "改变参数：换用其他数值和条件，保持题目的结构。",
            "practical_application": "实际应用：把同样的问题放到真实的情境中来问。",
        },
        innovation="创新：写一道同一主题的新题，其关键思路与下面各题都不相同。",
        neighbour="相近的题目：{}",
        improve="改进：{}",
        feedback="反馈：{}",
        topics={
            "algebra": "代数",
            "geometry": "几何",
            "number theory": "数论",
            "combinatorics": "组合",
            "calculus": "微积分",
            "probability": "概率",
            "inequalities": "不等式",
            "inequality": "不等式",
            "polynomial": "多项式",
            "sequence": "数列",
            "other": "其他",
        },
        answer="答案：",
        seed=(
            ("calculus", "生成一道微积分竞赛题："),
            ("algebra", "编写一道代数题："),
            ("geometry", "设计一道几何证明题："),
        ),
    ),
}
assert all(set(words.variations) == set(get_args(VariationKind)) for words in WORDS.values())


def problem_messages(topic: str | None, concepts: Sequence[str] = (), language: Language = "en") -> tuple[Message, ...]:
    """Ask for a new problem; what isn't known (no topic, no concepts) is left out."""
    words = WORDS[language]
    parts = [words.problem]
    if topic:
        parts.append(words.topic.format(words.topics.get(topic, topic)))
    if concepts:
        parts.append(words.concepts.format(words.between.join(concepts)))
    return _ask(*parts, words.form)


def solve_messages(statement: str, language: Language = "en") -> tuple[Message, ...]:
    words = WORDS[language]
    return _ask(words.solve, words.statement.format(statement))


def variation_messages(kind: VariationKind, statement: str, language: Language = "en") -> tuple[Message, ...]:
    words = WORDS[language]
    return _ask(words.variations[kind], words.statement.format(statement), words.form)


def innovation_messages(statement: str, neighbours: Sequence[str], language: Language = "en") -> tuple[Message, ...]:
    """Ask for a problem with another key idea than `statement` and the statements that are nearest to it."""
    words = WORDS[language]
    near = [words.neighbour.format(neighbour) for neighbour in neighbours]
    return _ask(words.innovation, words.statement.format(statement), *near, words.form)


def improve_messages(statement: str, feedback: str | None, language: Language = "en") -> tuple[Message, ...]:
    words = WORDS[language]
    told = [words.feedback.format(feedback)] if feedback else []
    return _ask(words.improve.format(statement), *told, words.form)


def asks_for_answer(prompt: Prompt) -> bool:
    """Whether the prompt asks for the line with the answer, in any language."""
    return any(words.form in prompt.messages[-1].content for words in WORDS.values())


def problem_target(problem: Problem) -> str:
    """The statement and a final line `Answer: \\boxed{…}` (`答案：` after a Chinese one); no such line
    for a problem without an answer (a proof).

    It holds no thinking: chat templates delete what stands before `</think>`, so a statement must not.
    """
    return written_problem(problem.statement, problem.answer)


def written_problem(statement: str, answer: str | None) -> str:
    if answer is None:
        return statement.strip()
    line = WORDS["zh" if is_chinese(statement) else "en"].answer
    return f"{statement.strip()}\n{line}\\boxed{{{' '.join(answer.split())}}}"


def seed_prompts(language: Language = "en") -> list[Prompt]:
    words = WORDS[language]
    return [
        Prompt(id=f"seed-{topic}", task="problem", messages=_ask(asked, words.form), topic=topic)
        for topic, asked in words.seed
    ]


def topic_prompts(
    training: Sequence[Problem], held_out: Sequence[Problem], count: int, language: Language = "en"
) -> list[Prompt]:
    """Prompts for a new problem of every topic of the data, in order of their names.

    For each topic the concepts of up to `count` held-out problems; which ones goes by a hash of their ids, so that the
    order of the problems doesn't matter. A topic without held-out problems is asked for by its name alone.
    """
    asked = []
    for topic in sorted({problem.topic for problem in (*training, *held_out) if problem.topic}):
        own = in_hash_order([problem for problem in held_out if problem.topic == topic])[:count]
        named = [(f"held-out-{problem.id}", problem.concepts) for problem in own] or [(f"topic-{topic}", ())]
        asked += [
            Prompt(
                id=name,
                task="problem",
                messages=problem_messages(topic, concepts, language),
                topic=topic,
                concepts=concepts,
            )
            for name, concepts in named
        ]
    return asked


def in_hash_order(problems: Sequence[Problem]) -> list[Problem]:
    """An order that only the ids decide."""
    return sorted(problems, key=lambda problem: (hash_of(problem.id), problem.id))


def hash_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def variation_prompts(name: str, original: str, language: Language = "en") -> list[Prompt]:
    """One prompt for each kind of variation of a statement."""
    return [
        Prompt(
            id=f"{name}/{kind}",
            task="variation",
            messages=variation_messages(kind, original, language),
            original=original,
            kind=kind,
        )
        for kind in WORDS[language].variations
    ]


def _ask(*parts: str) -> tuple[Message, ...]:
    return (Message(role="user", content="\n".join(parts)),)
