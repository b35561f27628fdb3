"""`questions-gen profile`: the files of values that make params.yaml."""

from typing import Annotated

import typer

from questions_gen.commands.checkout import find_stages
from questions_gen.commands.output import AsJson
from questions_gen.commands.told import told

app = typer.Typer(help="The files of values that make params.yaml.", no_args_is_help=True)


def _names() -> list[str]:
    from questions_gen.profiles import profiles

    return list(profiles())


@app.command("list")
@told()
def list_profiles(as_json: AsJson = False) -> None:
    """Show the profiles; * marks the one that params.yaml was made from."""
    from questions_gen.files import to_json
    from questions_gen.params import PARAMS_FILE, load_yaml
    from questions_gen.profiles import profiles, summary

    current = load_yaml(PARAMS_FILE).get("profile") if PARAMS_FILE.exists() else None
    for name, path in profiles().items():
        said = summary(path.read_text(encoding="utf-8"))
        if as_json:
            typer.echo(to_json({"name": name, "current": name == current, "summary": said}))
            continue
        typer.echo(f"{'*' if name == current else ' '} {name:<16} {said}")


@app.command("use")
@told()
def use_profile(
    name: Annotated[str, typer.Argument(autocompletion=_names)],
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="sft.steps=20: dotted keys, YAML values")
    ] = None,
) -> None:
    """Write params.yaml from conf/NAME.yaml, with single values changed. Nothing is written if a value is wrong."""
    from questions_gen.files import write_text
    from questions_gen.params import PARAMS_FILE, ParamsError
    from questions_gen.profiles import find_profile, set_value, values_of

    path = find_profile(name)
    text = path.read_bytes().decode()
    for change in changes or ():
        text = set_value(text, change)
    if problems := _find_problems(values_of(text)):
        raise ParamsError(path, problems)
    write_text(PARAMS_FILE, text)
    typer.echo(f"{PARAMS_FILE} is now {name}{' with ' + ', '.join(changes) if changes else ''}; next: dvc repro")


def _find_problems(values: dict) -> list[str]:
    """What the stages' own sections say of `values`. The stages belong to the checkout, not to the package."""
    find_stages()
    from stages.check import find_problems

    return find_problems(values)
