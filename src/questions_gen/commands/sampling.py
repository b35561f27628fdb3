"""The one loop of the commands that write: sample, judge, show, count. What is rejected is counted with its reasons."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from questions_gen.commands.output import harmless

if TYPE_CHECKING:
    from questions_gen.commands.judging import Assessment, Assessor
    from questions_gen.commands.writer import Writer
    from questions_gen.schema import Completion, Prompt

    OnText = Callable[[str], None]


@dataclass(frozen=True)
class Sample:
    model: str
    prompt: "Prompt"
    completion: "Completion"
    assessment: "Assessment"

    @property
    def accepted(self) -> bool:
        return not self.assessment.reasons

    def row(self) -> dict[str, Any]:
        """What is written of it: a file that `score`, `vary` and a person can read."""
        verdict = self.assessment.verdict
        return {
            **self.completion.model_dump(include={"id", "statement", "answer", "thinking", "text", "finish_reason"}),
            "seed": self.completion.seed,
            "model": self.model,
            **self.prompt.model_dump(mode="json", include={"task", "topic", "concepts", "original", "kind"}),
            "prompt": self.prompt.messages[-1].content,
            "accepted": self.accepted,
            "reasons": list(self.assessment.reasons),
            "verdict": verdict and verdict.model_dump(mode="json"),
            "nearest": self.assessment.nearest,
            "nearest_similarity": self.assessment.similarity,
        }


def sample(
    writer: "Writer", assessor: "Assessor", prompts: "Iterable[Prompt]", *, seed: int, show: "Show"
) -> Iterator[Sample]:
    """A judged sample a prompt; sample i is drawn with seed + i."""
    for number, prompt in enumerate(prompts):
        show.begin(prompt)
        completion = writer.write(prompt, id=f"{prompt.id}/{seed + number}", seed=seed + number, on_text=show.text)
        made = Sample(writer.name, prompt, completion, assessor.assess(prompt, completion))
        show.end(made)
        yield made


class Show:
    """Shows nothing: the samples' fate is told by whoever asked for them."""

    def begin(self, prompt: "Prompt") -> None: ...

    def text(self, text: str) -> None: ...

    def end(self, made: Sample) -> None: ...


class ShowJson(Show):
    """One JSON object a sample, also of the rejected ones."""

    def end(self, made: Sample) -> None:
        from questions_gen.files import to_json

        typer.echo(to_json(made.row()))
        sys.stdout.flush()


class ShowText(Show):
    """The text as it comes, then the verdict; in colours on a terminal, plain in a pipe."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)

    def begin(self, prompt: "Prompt") -> None:
        self._print(f"— {prompt.id}\n", style="bold")

    def text(self, text: str) -> None:
        self._print(harmless(text))

    def end(self, made: Sample) -> None:
        from questions_gen.commands.score import verdict_text

        told = "accepted" if made.accepted else f"rejected ({', '.join(made.assessment.reasons)})"
        verdict = made.assessment.verdict
        numbers = f"  {verdict_text(verdict)}" if verdict else ""
        self._print(f"\n→ {told}{numbers}\n\n", style="green" if made.accepted else "red")

    def _print(self, text: str, style: str | None = None) -> None:
        self._console.print(text, end="", style=style)
        self._console.file.flush()


def tell_counts(samples: "list[Sample]", model: str, seed: int) -> None:
    """On stderr: how many were accepted, and why the others weren't."""
    accepted = sum(made.accepted for made in samples)
    reasons = Counter(reason for made in samples for reason in made.assessment.reasons)
    why = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    rejected = f", {len(samples) - accepted} rejected ({why})" if why else ""
    typer.echo(f"{model}, seed {seed}: {accepted} of {len(samples)} accepted{rejected}", err=True)


def write_accepted(output: Path | None, samples: "list[Sample]") -> None:
    from questions_gen import files

    if output is not None:
        files.write_rows(output, (made.row() for made in samples if made.accepted))
