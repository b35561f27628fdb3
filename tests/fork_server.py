"""`python -m MODULE` without the seconds that importing torch and TRL takes: for `dvc repro` in a test.

`Server(folder, environment)` starts a process that imports the libraries, and nothing of ours, and puts an executable
`python` into `folder`. Where that folder comes first on PATH, `python -m MODULE …` runs in a process forked from it,
with the caller's folder, environment, output and exit code. All of them share Python's hash seed.
"""

import gc
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import traceback
from pathlib import Path

LIBRARIES = (
    "bitsandbytes", "datasets", "openai", "peft", "sklearn.linear_model", "torch", "trl.trainer.grpo_trainer",
    "trl.trainer.sft_trainer",
)  # fmt: skip

CLIENT = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    request = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(request).to_bytes(4)], [1, 2])
    server.sendall(request)
    sys.exit(int(server.recv(16)))
"""


class Server:
    def __init__(self, folder: Path, environment: dict[str, str]):
        """`environment` is what the libraries read when they are imported."""
        folder.mkdir(parents=True)
        address = str(folder / "socket")
        client = folder / "python"
        client.write_text(CLIENT.format(python=sys.executable, address=address))
        client.chmod(0o755)
        self._process = subprocess.Popen(
            [sys.executable, __file__, address], env=environment, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> "Server":
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def serve(address: str) -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        print("ready", flush=True)
        while True:
            connection, _ = listening.accept()
            size, streams, _, _ = socket.recv_fds(connection, 4, 2)
            request = b""
            while len(request) < int.from_bytes(size):
                request += connection.recv(1 << 16)
            if os.fork() == 0:
                break
            connection.close()
            for stream in streams:
                os.close(stream)
    answer(connection, json.loads(request), streams)


def answer(connection: socket.socket, request: tuple[list[str], str, dict[str, str]], streams: list[int]) -> None:
    """Run the request in a child, wait for it, and send its exit code."""
    arguments, folder, environment = request
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        connection.sendall(str(code if code >= 0 else 128 - code).encode())
        return
    for number, stream in enumerate(streams, 1):
        os.dup2(stream, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    flag, module, *sys.argv[1:] = arguments
    assert flag == "-m"
    sys.path[0] = folder
    code = 1
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # Python's own ending would visit, and so copy, every object that was imported: two seconds


if __name__ == "__main__":
    serve(sys.argv[1])
