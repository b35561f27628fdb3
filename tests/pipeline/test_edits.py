"""Which stages an edit reruns, asked of DVC itself.

The real dvc.yaml, params.yaml and code are copied into a new repository. Only the launcher stages/__main__.py,
which is no stage's dependency, is replaced by one that fills each output with a hash of what the stage depends
on; so every change that DVC sees travels on as far as it can.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LAUNCHER = """
import hashlib, re, sys
from pathlib import Path

import yaml

name, key = sys.argv[1], (sys.argv[2:] or [None])[0]
pipeline = Path("dvc.yaml").read_text()
entry = yaml.safe_load(pipeline)["stages"][name]
if key:
    text = yaml.safe_dump(entry["do"]).replace("${key}", key).replace("${item}", entry["foreach"][key])
    entry = yaml.safe_load(text)
seen = hashlib.sha256(f"{name} {key}".encode())
for dep in entry["deps"]:
    path = Path(dep)
    for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
        seen.update(file.read_bytes())
values = yaml.safe_load(Path("params.yaml").read_text())
for section in entry.get("params", []):
    if isinstance(section, str):
        seen.update(repr(values[section]).encode())
text = "valid" if name == "check" else seen.hexdigest()
for out in [*entry["outs"], *entry.get("metrics", []), *entry.get("plots", [])]:
    out = out if isinstance(out, str) else next(iter(out))
    inside = re.findall(rf"{out}/[^\\s}}]+", pipeline)  # what others want of a folder
    for path in map(Path, [out] if Path(out).suffix else inside or [f"{out}/data.txt"]):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
"""

JUDGED = ("base", "sft", "grpo", "distill")


def after(*models: str) -> set[str]:
    return {f"{stage}@{model}" for stage in ("evaluate", "judge") for model in models} | {"report", "export"}


DISTILL = {"distill"} | after("distill")
TEACH = {"teach"} | DISTILL
PROPOSE = {"propose"} | TEACH
GRPO = {"grpo"} | PROPOSE | after("grpo")
SFT = {"sft"} | GRPO | after("sft")
MIX = {"mix"} | SFT | after("base")
EVERYTHING = {"fetch"} | MIX
CHECK = {"check"}


def param(old: str, new: str) -> Callable[[Path], None]:
    return replace("params.yaml", old, new)


def replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        text = (root / name).read_text()
        assert len(re.findall(old, text)) == 1, f"{old!r} doesn't stand once in {name}"
        (root / name).write_text(re.sub(old, new, text))

    return edit


def comment(name: str) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        with open(root / name, "a") as handle:
            handle.write("# a comment\n")

    return edit


def section(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Replace inside one section of params.yaml."""
    return param(rf"(?ms)^({name}:[^\n]*\n(?:(?!^\w).)*?){old}", rf"\g<1>{new}")


EDITS: dict[str, tuple[Callable[[Path], None], set[str]]] = {
    "nothing": (lambda root: None, set()),
    "a learning rate of distill": (section("distill", r"learning_rate: \S+", "learning_rate: 7e-5"), CHECK | DISTILL),
    "how the teacher is asked": (section("run", r"concurrency: \d+", "concurrency: 7"), CHECK),
    "a temperature of the teacher": (section("teacher", r"temperature: \S+", "temperature: 0.123"),
                                     CHECK | TEACH | {f"judge@{m}" for m in JUDGED}),
    "how many problems are judged": (section("judge", r"samples: \d+", "samples: 7"),
                                     CHECK | {f"judge@{m}" for m in JUDGED} | {"report", "export"}),
    "the prompts of evaluate": (section("evaluate", r"prompts: \d+", "prompts: 7"), CHECK | after(*JUDGED)),
    "a step of grpo": (section("grpo", r"steps: \d+", "steps: 7"), CHECK | GRPO),
    "the weight of a reward": (param(r"novelty: 0\.3", "novelty: 0.31"), CHECK | GRPO | after(*JUDGED)),
    "the rank of the adapters": (section("lora", r"r: \d+", "r: 7"), CHECK | SFT),
    "the share of chat": (section("mix", r"chat_share: \S+", "chat_share: 0.2"), CHECK | MIX),
    "the seed": (param(r"(?m)^seed: \d+", "seed: 7"), CHECK | EVERYTHING),
    "a comment in a reward": (comment("src/questions_gen/rewards/rigor.py"), CHECK | GRPO | after(*JUDGED)),
    "a comment in a stage": (comment("stages/propose.py"), CHECK | PROPOSE),
    "a comment in the report": (comment("stages/report.py"), CHECK | {"report", "export"}),
    "the student's prompts": (comment("src/questions_gen/prompts.py"), CHECK | MIX),
    "the teacher's prompts": (comment("src/questions_gen/teacher/prompts.py"),
                              CHECK | TEACH | {f"judge@{m}" for m in JUDGED}),
    "the tracker": (comment("src/questions_gen/tracking.py"), set()),
    "a shipped dialogue": (comment("data/sources/dialogues.jsonl"), EVERYTHING),
}  # fmt: skip


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("edits") / "checkout"
    for name in ("stages", "src"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("dvc.yaml", "params.yaml", "data/sources/dialogues.jsonl", "data/reviews/reviews.jsonl"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    (root / "stages/__main__.py").write_text(LAUNCHER)
    for command in (
        "git init -q",
        "dvc init -q",
        "dvc config core.analytics false",
        "git add -A",
        "git -c user.name=t -c user.email=t@example.org commit -qm start",
    ):
        subprocess.run(command.split(), cwd=root, check=True, capture_output=True, env=environment(root))
    assert repro(root) == EVERYTHING | CHECK
    shutil.copytree(root, root.with_name("pristine"), symlinks=True)
    return root


def environment(home: Path) -> dict[str, str]:
    """Nothing of the user's settings."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def repro(root: Path) -> set[str]:
    """The stages that `dvc repro` ran."""
    result = subprocess.run(
        ["dvc", "repro", "--no-run-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        env=environment(root),
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return set(re.findall(r"Running stage '([^']+)'", result.stdout))


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_reruns_exactly(repository: Path, name: str) -> None:
    edit, expected = EDITS[name]
    shutil.rmtree(repository)
    shutil.copytree(repository.with_name("pristine"), repository, symlinks=True)
    edit(repository)
    assert repro(repository) == expected
