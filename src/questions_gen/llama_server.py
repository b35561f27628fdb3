"""A llama.cpp server of one GGUF file on loopback, as a child process (xllamacpp, from a wheel).

    with serve(Path("model.gguf"), threads=2, context=2048) as base_url:
        openai.OpenAI(base_url=base_url, api_key="none")

A process of its own keeps the model's memory and llama.cpp's log out of ours, and a crash in native code
from taking the stage with it. The child dies with its parent, even one that is killed: it watches the pipe
that the parent holds and, on Linux, asks the kernel for a signal too.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from questions_gen.errors import UserError

HOST = "127.0.0.1"
PR_SET_PDEATHSIG = 1  # linux/prctl.h


@contextmanager
def serve(gguf: Path, *, threads: int, context: int, parallel: int = 1, port: int = 0) -> Iterator[str]:
    """Yield the base URL (http://127.0.0.1:PORT/v1) of a server that is ready, and end it with the block.

    `context` is the number of tokens that each of `parallel` requests may use, prompt and answer together;
    `port` 0 is any free one. Answers don't depend on what was asked before: prompts aren't cached unless a request
    asks for it.
    Raises UserError where xllamacpp isn't installed, or the file is missing or can't be loaded.
    """
    if not gguf.is_file():
        raise UserError(f"{gguf}: no such file; the server needs a GGUF model")
    settings = {"gguf": str(gguf), "threads": threads, "context": context, "parallel": parallel, "port": port}
    with tempfile.TemporaryFile() as log:
        path = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]  # this checkout's code
        process = subprocess.Popen(
            [sys.executable, "-m", "questions_gen.llama_server", json.dumps({**settings, "parent": os.getpid()})],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
        )  # fmt: skip
        try:
            address = process.stdout.readline().decode().strip()
            if not address:
                process.wait()
                raise UserError(_failure(gguf, process.returncode, log))
            yield f"{address}/v1"
        finally:
            process.kill()
            process.communicate()


def _failure(gguf: Path, code: int, log: IO[bytes]) -> str:
    log.seek(0)
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    if any("No module named 'xllamacpp'" in line for line in lines):
        return "xllamacpp isn't installed, which serves GGUF models; install the project's lock again (`make .venv`)"
    errors = [line for line in lines if "error" in line.lower()] or lines
    said = " | ".join(errors[-3:]) or "nothing"
    return f"{gguf}: llama.cpp can't serve it (exit {code}; it said: {said}); make the file again"


def _child(gguf: str, threads: int, context: int, parallel: int, port: int, parent: int) -> None:
    """Serve until the parent goes. The first and only line on stdout is the address."""
    _die_with(parent)
    answer = os.dup(1)
    os.dup2(2, 1)  # llama.cpp may write on stdout

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = gguf
    params.model_alias = {Path(gguf).name}  # answers name the model: no path of this machine in them
    params.offline = True
    params.hostnames = [HOST]
    params.port = port
    params.n_ctx = context * parallel
    params.n_parallel = parallel
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.cache_prompt = False
    params.cache_ram_mib = 0  # llama.cpp would keep up to 8 GiB of old prompts
    server = xllamacpp.Server(params)
    os.write(answer, f"{server.listening_address}\n".encode())
    while True:
        time.sleep(3600)


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=_watch_stdin, daemon=True).start()


def _watch_stdin() -> None:
    """The parent never writes: the read ends when the parent does."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    _child(**json.loads(sys.argv[1]))
