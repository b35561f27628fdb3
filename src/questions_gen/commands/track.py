"""`questions-gen track`: what MLflow hasn't been told yet."""

import typer

from questions_gen.commands.told import told

app = typer.Typer(help="Attempts that MLflow hasn't been told of yet.", no_args_is_help=True)


@app.callback()
def track() -> None:
    """Keeps `sync` a command of its own while it is the only one."""


@app.command("sync")
@told()
def track_sync() -> None:
    """Send what was kept in .tracking/ while run.tracking.uri could not be used. Ends with code 1 if any is left."""
    from questions_gen.mlflow_writer.runs import place
    from questions_gen.mlflow_writer.sync import sync
    from questions_gen.params import load_params
    from questions_gen.stage import RunParams, home

    uri = load_params({"run": RunParams})["run"].tracking.uri
    done = sync(home(), uri)
    typer.echo(f"{len(done.attempts)} attempts are sent to {place(uri)}")
    if done.under_way:
        typer.echo(f"{len(done.under_way)} are still being written by their stages")
    for name, cause in done.failed.items():
        typer.echo(f"{name}: still kept ({cause})", err=True)
    if done.failed:
        raise typer.Exit(1)
