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
    kept = len(done.attempts) + len(done.under_way) + len(done.failed)
    typer.echo(f"{len(done.attempts)} of {kept} kept attempts are sent to {place(uri)}" if kept else "nothing is kept")
    for name in done.under_way:
        typer.echo(f"{name}: its stage is still at work")
    for name, cause in done.failed.items():
        typer.echo(f"{name}: still kept ({cause})", err=True)
    if done.failed:
        raise typer.Exit(1)
