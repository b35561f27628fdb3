"""The shape of a stage: checked before, renamed into place after, alone while it works."""

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import yaml

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.params import Section, load_yaml
from questions_gen.stage import CHECKED, Context, Log, Stage, run

from .conftest import ROOT

RUN = yaml.safe_dump({"run": load_yaml(ROOT / "params.yaml")["run"]})


class ToyParams(Section):
    factor: int


def work(context: Context, *, toy: ToyParams, numbers: Path, result: Path) -> Log:
    total = sum(row["n"] for row in files.read_rows(numbers)) * toy.factor
    files.write_json(result / "total.json", total)
    return Log({"total": total}, [{"step": 1}])


def toy(work=work) -> Stage:
    inputs = {"numbers": Path("data/numbers.jsonl")}
    return Stage("toy", params={"toy": ToyParams}, inputs=inputs, outputs={"result": Path("data/result")}, work=work)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    files.write_text(Path("params.yaml"), "toy: {factor: 2}\n" + RUN)
    files.write_text(Path("stages/toy.py"), "# the code of the stage\n")
    files.write_text(CHECKED, "ok\n")
    files.write_rows(Path("data/numbers.jsonl"), [{"n": 1}, {"n": 2}])
    return tmp_path


def test_outputs_and_log_are_written(checkout: Path) -> None:
    run(toy())
    assert files.read_json(Path("data/result/total.json")) == 6
    log = files.read_json(Path("logs/toy.json"))
    assert log["metrics"] == {"total": 6}
    assert log["steps"] == [{"step": 1}]
    assert not Path(".staging/toy").exists()


def test_the_input_hash_covers_params_inputs_and_code(checkout: Path) -> None:
    def hash_now() -> str:
        run(toy())
        return files.read_json(Path("logs/toy.json"))["input_hash"]

    hashes = [hash_now(), hash_now()]
    assert hashes[0] == hashes[1]
    Path("params.yaml").write_text("toy: {factor: 3}\n" + RUN)
    hashes.append(hash_now())
    files.write_rows(Path("data/numbers.jsonl"), [{"n": 5}])
    hashes.append(hash_now())
    files.write_text(Path("stages/toy.py"), "# other code\n")
    hashes.append(hash_now())
    assert len(set(hashes)) == 4


def test_how_a_run_is_carried_out_changes_nothing(checkout: Path) -> None:
    run(toy())
    before = Path("logs/toy.json").read_bytes()
    Path("params.yaml").write_text("toy: {factor: 2}\n" + RUN.replace("concurrency: 1", "concurrency: 9"))
    run(toy())
    assert Path("logs/toy.json").read_bytes() == before


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device"), UserError),
        (PermissionError(13, "Permission denied"), PermissionError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_failed_stage_leaves_no_output(checkout: Path, error: BaseException, told: type[BaseException]) -> None:
    def half(context: Context, *, toy: ToyParams, numbers: Path, result: Path) -> Log:
        files.write_json(result / "total.json", 1)
        raise error

    with pytest.raises(told):
        run(toy(half))
    assert not Path("data/result").exists()
    assert not Path("logs/toy.json").exists()
    assert not Path(".staging/toy").exists()


def test_a_work_that_writes_nothing_is_an_error(checkout: Path) -> None:
    with pytest.raises(RuntimeError, match="without writing data/result"):
        run(toy(lambda context, **_: Log()))


def test_a_missing_input_is_named(checkout: Path) -> None:
    Path("data/numbers.jsonl").unlink()
    with pytest.raises(UserError, match=r"toy: the input data/numbers\.jsonl is missing; `dvc repro toy` makes it"):
        run(toy())


def test_a_finished_run_is_forgotten_by_the_next_and_an_interrupted_one_kept(checkout: Path) -> None:
    def interrupted(context: Context, **_: object) -> Log:
        files.write_text(context.checkpoints / "checkpoint-1" / "weights", "")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(toy(interrupted))
    for factor in (3, 4):
        Path("params.yaml").write_text(f"toy: {{factor: {factor}}}\n" + RUN)
        run(toy())
    kept = sorted(Path(".checkpoints/toy").iterdir())
    assert len(kept) == 2
    assert sum((folder / "checkpoint-1").exists() for folder in kept) == 1
    assert sum((folder / "finished").exists() for folder in kept) == 1


def test_a_second_process_waits_for_the_first(checkout: Path) -> None:
    """The one left over from a killed `dvc` ends its work before a new one starts."""
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from questions_gen.stage import Log, Stage, run

        def work(context, result):
            with open("order.txt", "a") as order:
                order.write("in\\n"); order.flush(); time.sleep(1.5); order.write("out\\n")
            result.write_text(sys.argv[1])
            return Log()

        run(Stage("toy", params={}, inputs={}, outputs={"result": Path("data/result.txt")}, work=work))
        """
    )
    files.write_text(checkout / "process.py", script)
    first = subprocess.Popen([sys.executable, "process.py", "first"])
    while not Path("order.txt").exists():
        time.sleep(0.02)
    second = subprocess.run([sys.executable, "process.py", "second"], capture_output=True, text=True, check=True)
    assert first.wait() == 0
    assert "another process still works on this stage" in second.stdout
    assert Path("order.txt").read_text().split() == ["in", "out", "in", "out"]
    assert Path("data/result.txt").read_text() == "second"
