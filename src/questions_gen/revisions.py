"""Files as they stand at a Git revision, at an experiment of DVC, which is a Git reference too, or in the workspace."""

import subprocess
from pathlib import Path

from questions_gen.errors import UserError

WORKSPACE = "workspace"
EXPERIMENTS = "refs/exps"


def read(revision: str, path: Path) -> str:
    """The text of `path` (below the current folder) at a revision. Raises UserError for an unknown revision or one
    without the file."""
    if revision == WORKSPACE:
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise UserError(f"{path}: not in the workspace; `dvc repro report` writes it") from None
    commit = resolve(revision)
    shown = _git("show", f"{commit}:./{path.as_posix()}")
    if shown.returncode:
        raise UserError(
            f"{revision}: has no {path}; it is older than this file, or no report was committed with it. `dvc repro "
            "report` there and a commit of metrics/ add it"
        )
    return shown.stdout.decode()


def resolve(revision: str) -> str:
    """The commit of a revision that Git knows, or of the experiment of this name. Raises UserError."""
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if not found.returncode:
        return found.stdout.decode().strip()
    listed = _git("for-each-ref", "--format=%(objectname) %(refname)", EXPERIMENTS)
    if listed.returncode:
        raise UserError(f"not in a Git repository ({listed.stderr.decode().strip()}); run this in a checkout")
    experiments = [line.split(" ", 1) for line in listed.stdout.decode().splitlines()]
    named = {commit for commit, name in experiments if name.rsplit("/", 1)[-1] == revision}
    if len(named) > 1:
        raise UserError(f"{revision}: {len(named)} experiments have this name; give the commit of one: `dvc exp show`")
    if not named:
        raise UserError(
            f"{revision}: no Git revision and no experiment of this name; `git log` and `dvc exp show` list them"
        )
    return named.pop()


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], capture_output=True)
