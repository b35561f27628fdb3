"""`questions-gen review`: a person rates problems without knowing which model wrote them."""

import random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from questions_gen.commands.loopback import PortOption, port_errors
from questions_gen.commands.told import told
from questions_gen.errors import UserError

if TYPE_CHECKING:
    from questions_gen.commands.review_page import ReviewServer

EVALUATION = Path("data/evaluation")


@told()
def review(
    reviewer: Annotated[str, typer.Option(help="whose ratings these are")] = "reviewer",
    seed: Annotated[int, typer.Option(min=0, help="of the order of the problems")] = 0,
    port: PortOption = 0,
) -> None:
    """Open a local page for rating the problems of all models, blind and by keyboard; Ctrl-C ends it.

    Ratings go to data/reviews/reviews.jsonl, and how far the rewards agree with them into the report. A later run goes
    on where this one stopped.
    """
    from questions_gen.commands.asking import one_line
    from questions_gen.commands.review_page import ReviewServer
    from questions_gen.files import read_records, write_text
    from questions_gen.reviews import REVIEWS, items
    from questions_gen.schema import Evaluated

    rows = sorted(EVALUATION.glob("*/rows.jsonl"))
    if not rows:
        raise UserError(f"{EVALUATION} has no rows.jsonl; `dvc pull {EVALUATION}/sft` or `dvc repro evaluate` makes it")
    found = items({path.parent.name: read_records(path, Evaluated) for path in rows})
    if not found:
        raise UserError(f"{EVALUATION}: no model wrote a new problem; train longer, then `dvc repro evaluate`")
    random.Random(seed).shuffle(found)
    if not REVIEWS.exists():
        write_text(REVIEWS, "")
    with port_errors(port):
        server = ReviewServer(port, found, REVIEWS, one_line("--reviewer", reviewer))
    with server:
        typer.echo(f"{len(found)} problems, {_done(server)} rated by {server.reviewer}: {server.url}")
        typer.echo("Ctrl-C ends it; every rating is saved as you go.")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("")
        typer.echo(f"{_done(server)} of {len(found)} are rated in {REVIEWS}; next: git add {REVIEWS}, dvc repro report")


def _done(server: "ReviewServer") -> int:
    rated = server.rated()
    return sum(item.id in rated for item in server.items)
