"""`questions-gen publish`: exports to the Hugging Face Hub, as `run.publish` says."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from questions_gen.commands.told import told
from questions_gen.errors import UserError

if TYPE_CHECKING:
    from questions_gen.publishing import Publication, Published


@told()
def publish(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="list what would go; nobody is contacted")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
) -> None:
    """Send the exported models to the Hub, each stage's as NAMESPACE/MODEL-STAGE, private unless it is said otherwise.

    Ends with code 2 and the names of what is missing if a repository isn't whole; run again, it goes on from there.
    """
    from questions_gen import publishing
    from questions_gen.files import to_json
    from questions_gen.params import load_params
    from questions_gen.stage import RunParams

    settings = load_params({"run": RunParams})["run"].publish
    commit = publishing.current_commit()
    publishing.refuse_stale()
    plan = publishing.plan(settings, commit)
    done: list[Published] = []
    if not dry_run:
        token = publishing.token_of(settings)
        for number, publication in enumerate(plan):
            try:
                done.append(publishing.publish(publication, token))
            except UserError as error:
                later = [other.repo_id for other in plan[number + 1 :]]
                raise UserError(f"{error}{'; not begun: ' + ', '.join(later) if later else ''}") from error
            if not as_json:
                typer.echo(_done_line(publication, done[-1]))
    if as_json:
        results = {result.repo_id: result for result in done}
        typer.echo(to_json({"commit": commit, "repositories": [_row(each, results) for each in plan]}, indent=2))
    elif dry_run:
        _show(plan, commit)


def _row(publication: "Publication", results: "dict[str, Published]") -> dict[str, Any]:
    result = results.get(publication.repo_id)
    return {
        "repo_id": publication.repo_id,
        "private": publication.private,
        "files": [{"path": item.path, "size": item.size, "sha256": item.sha256} for item in publication.items],
        "published": result and {"url": result.url, "sent": result.sent, "removed": result.removed},
    }


def _done_line(publication: "Publication", result: "Published") -> str:
    kept = len(publication.items) - len(result.sent)
    removed = f", {len(result.removed)} removed" if result.removed else ""
    return f"{result.repo_id}: whole, {len(result.sent)} files sent, {kept} were there{removed}: {result.url}"


def _show(plan: "list[Publication]", commit: str) -> None:
    from rich.console import Console
    from rich.table import Table

    for publication in plan:
        access = "private" if publication.private else "public"
        table = Table("file", "bytes", "sha256", title=f"{publication.repo_id} ({access})", title_justify="left")
        table.columns[1].justify = "right"
        for item in publication.items:
            table.add_row(item.path, f"{item.size:,}", item.sha256[:16])
        table.caption = f"{sum(item.size for item in publication.items):,} bytes, from commit {commit[:12]}"
        Console().print(table)
    typer.echo("nothing was sent")
