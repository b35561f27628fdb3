"""`questions-gen`: choose a profile, score problems. Run it in the folder of a checkout.

    questions-gen profile list
    questions-gen profile use qwen3-14b sft.steps=200
    questions-gen score problems.jsonl --json
    questions-gen compare main [EXPERIMENT]
    questions-gen teacher plan | record | stats | verify | show KEY | seal | prune
    questions-gen track sync

Exit codes: 0 fine · 1 a problem's gate is closed, or stored answers are damaged · 2 bad input, which the error names.
"""

import typer

from questions_gen.commands import profile, teacher, track
from questions_gen.commands.compare import compare
from questions_gen.commands.score import score

app = typer.Typer(
    help="Train models that write mathematics problems, and score what they write.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(profile.app, name="profile")
app.add_typer(teacher.app, name="teacher")
app.add_typer(track.app, name="track")
app.command()(score)
app.command()(compare)
