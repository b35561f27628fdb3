"""`questions-gen`: choose a profile, write, judge, rate and serve problems. Run it in the folder of a checkout.

    questions-gen profile list | use qwen3-14b sft.steps=200
    questions-gen generate --topic algebra --until 3
    questions-gen vary problems.jsonl --kind parameter_change
    questions-gen score problems.jsonl --json
    questions-gen contest --problems 6 --output sheet
    questions-gen review
    questions-gen serve
    questions-gen plan --profile qwen3-14b --gpu H100
    questions-gen compare main [EXPERIMENT]
    questions-gen teacher plan | record | stats | verify | show KEY | seal | prune
    questions-gen publish --dry-run
    questions-gen doctor --before-run
    questions-gen track sync

Exit codes: 0 fine · 1 done, but a gate is closed, too little was accepted, stored answers are damaged, or a plan does
not fit · 2 bad input, which the error names. docs/commands.md has more.
"""

import typer

from questions_gen.commands import profile, teacher, track
from questions_gen.commands.compare import compare
from questions_gen.commands.contest import contest
from questions_gen.commands.doctor import doctor
from questions_gen.commands.generate import generate, vary
from questions_gen.commands.plan import plan
from questions_gen.commands.publish import publish
from questions_gen.commands.review import review
from questions_gen.commands.score import score
from questions_gen.commands.serve import serve

app = typer.Typer(
    help="Train models that write mathematics problems, and score what they write.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(profile.app, name="profile")
app.add_typer(teacher.app, name="teacher")
app.add_typer(track.app, name="track")
app.command()(generate)
app.command()(vary)
app.command()(score)
app.command()(publish)
app.command()(doctor)
app.command()(contest)
app.command()(serve)
app.command()(review)
app.command()(compare)
app.command()(plan)
