"""`questions-gen doctor`: what is well in this checkout, what isn't, and how to mend it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from questions_gen.commands.checkout import find_stages
from questions_gen.commands.told import told

if TYPE_CHECKING:
    from questions_gen.doctor import Finding

COLOURS = {"ok": "green", "warn": "yellow", "broken": "red"}


@told()
def doctor(
    before_run: Annotated[
        bool, typer.Option("--before-run", help="also what a whole run of this profile needs: GPU, disk, key, token")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
) -> None:
    """Look at the environment, params.yaml, dvc.lock, cache and remote (every object is hashed), teacher store, MLflow.

    Nothing is changed. Ends with code 1 if something is broken.
    """
    from questions_gen.files import to_json

    find_stages()
    findings = _findings(before_run)
    if as_json:
        typer.echo(to_json({"findings": [finding._asdict() for finding in findings]}, indent=2))
    else:
        _show(findings)
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)


def _findings(before_run: bool) -> "list[Finding]":
    from questions_gen import doctor
    from questions_gen.stage import home

    params, findings = _params()
    findings = [doctor.python(), *doctor.packages(), *findings, *doctor.objects(Path())]
    findings.append(doctor.teacher_store(home()))
    if params:
        findings.append(doctor.mlflow(params["run"].tracking, home()))
    if params and before_run:
        findings += _before_run(params)
    return findings


def _params() -> "tuple[dict[str, Any], list[Finding]]":
    """The parsed sections, none of them if one is wrong."""
    from questions_gen.doctor import Finding
    from questions_gen.params import PARAMS_FILE, load_yaml, parse_params
    from stages.check import SECTIONS, find_problems

    values = load_yaml(PARAMS_FILE)
    problems = find_problems(values)
    if problems:
        return {}, [Finding("params", "broken", problem, f"mend {PARAMS_FILE}") for problem in problems]
    return parse_params(values, SECTIONS), [Finding("params", "ok", f"{PARAMS_FILE}: profile {values['profile']}")]


def _before_run(params: dict[str, Any]) -> "list[Finding]":
    from questions_gen import doctor

    root = Path()
    return [
        doctor.gpu(params["model"]),
        doctor.disk(root, doctor.weights_of(params["fetch"].model, root)),
        doctor.teacher_key(params["run"].teacher),
        *doctor.hub_sources(params["fetch"]),
        doctor.publish_token(params["run"].publish),
    ]


def _show(findings: "list[Finding]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("check", "state", "cause", "remedy")
    for finding in findings:
        state = Text(finding.state, style=COLOURS[finding.state])
        table.add_row(finding.check, state, Text(finding.cause), Text(finding.remedy))
    Console().print(table)
