"""MLflow runs of real processes: what was written live, what was kept and sent later, and the stage's end alone."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from questions_gen import files, tracking
from questions_gen.errors import UserError
from questions_gen.imports import local_files
from questions_gen.measured import last_run
from questions_gen.mlflow_writer import __main__ as writer
from questions_gen.mlflow_writer.journal import FOLDER, Journal, held, messages_of
from questions_gen.mlflow_writer.sync import sync
from questions_gen.mlflow_writer.system import Monitor
from questions_gen.params import ParamsError
from questions_gen.stage import Log, NoTracker, Stage, numbers, run
from tests.tracked_runs import CALLS, HISTORY, NOBODY, ROOT, SECRET, report_page, write_params


@pytest.mark.parametrize(
    ("stage", "status"),
    [
        ("sft", "FINISHED"),
        ("distill", "FINISHED"),
        ("grpo", "FAILED"),
        ("evaluate@sft", "KILLED"),  # by SIGKILL: nobody could say so, but its pipe ended
    ],
)
def test_each_of_several_attempts_at_once_is_a_run_with_all_its_points(tracked, stage, status):
    found = tracked.runs(stage)
    assert len(found) == (2 if stage == "sft" else 1)  # two attempts of one stage, at once
    for attempt in found:
        assert attempt.status == status
        assert attempt.points["loss"] == [(step, 1 / (step + 1)) for step in range(50)]
        assert len(attempt.points["odd name_ with a comma"]) == 50
        assert "missing" not in attempt.points
        assert attempt.params == {"seed": "7"}
        assert attempt.tags["stage"] == stage
        assert attempt.tags["profile"] == "smollm2-135m"
        assert attempt.tags["input_hash"] == f"hash-of-{stage}"
        assert {"git_commit", "dirty", "dvc_lock"} <= set(attempt.tags)
        assert attempt.tags["version.trl"] == metadata.version("trl")
        assert attempt.artifacts.is_relative_to(tracked.home / "mlartifacts")


def test_a_table_is_an_artifact_of_the_run(tracked):
    for attempt in tracked.runs("sft"):
        assert [path.name for path in attempt.artifacts.iterdir()] == ["samples.json"]
        table = files.read_json(attempt.artifacts / "samples.json")
        assert table == {"columns": ["statement", "total"], "data": [["Find x.", 0.5], ["Why?", 0.0]]}


def test_an_attempt_that_ended_says_how_long_it_took_and_what_it_needed(tracked):
    for stage in ("distill", "grpo"):
        attempt = tracked.one(stage)
        ((_, seconds),) = attempt.points["wall_seconds"]
        ((_, memory),) = attempt.points["peak_rss_gib"]
        assert 0 < seconds < 60
        assert 0.005 < memory < 2


def test_a_plan_finds_what_the_last_run_with_its_params_took(tracked):
    attempt = tracked.one("distill")
    took = last_run(tracked.home, None, "distill", {"seed": "7"}, "peak_rss_gib")
    assert took.peak_bytes == attempt.points["peak_rss_gib"][0][1] * 2**30
    assert took.seconds == attempt.points["wall_seconds"][0][1]
    assert last_run(tracked.home, None, "distill", {"seed": "8"}, "peak_rss_gib") is None, "other params"
    assert last_run(tracked.home, None, "grpo", {"seed": "7"}, "peak_rss_gib") is None, "it failed"
    assert last_run(tracked.home, None, "distill", {"seed": "7"}, "peak_cuda_gib") is None, "it used no card"
    assert last_run(tracked.home / "elsewhere", None, "distill", {"seed": "7"}, "peak_rss_gib") is None, "no database"
    with pytest.raises(UserError, match="run.tracking.uri: its runs can't be read") as refused:
        last_run(tracked.home, "http://name:secret@127.0.0.1:9", "distill", {"seed": "7"}, "peak_rss_gib")
    assert "secret" not in str(refused.value)


def test_what_a_stage_takes_of_the_machine_is_sampled_while_it_works(tracked):
    points = tracked.one("distill").points  # a stage that sleeps for some seconds
    assert points["system/rss_gib"][0][0] == 0
    assert 0.005 < points["system/rss_gib"][0][1] < 0.2, "of the stage, and not of its writer with MLflow"
    assert 0 <= points["system/cpu_percent"][0][1] < 100
    assert 0 < points["system/host_memory_percent"][0][1] < 100


def test_attempts_of_one_pipeline_share_a_parent_and_a_changed_param_makes_another(tracked):
    live = ("sft", "grpo", "evaluate@sft")
    (parent,) = {attempt.tags["mlflow.parentRunId"] for stage in live for attempt in tracked.runs(stage)}
    other = tracked.one("distill").tags["mlflow.parentRunId"]
    assert parent != other
    params = {id: dict(tracked.rows("select key, value from params where run_uuid = ?", id)) for id in (parent, other)}
    assert params[parent]["seed"] == "3407"
    assert params[other]["seed"] == "1"
    for found in params.values():
        assert found["rewards.weights.difficulty"] == "0.4"
        assert not any(key.startswith("run.") for key in found)
    identities = tracked.rows("select value from tags where key = 'identity'")
    assert len(identities) == len(set(identities)), "one run a set of params, though the attempts began at once"


def test_the_stage_itself_imports_no_mlflow(tracked):
    assert {attempt.stdout for name, attempt in tracked.attempts.items() if name != "evaluate@sft"} == {
        "logged False\n"
    }


def test_a_failed_attempt_says_why_and_the_error_goes_on(tracked):
    assert tracked.attempts["grpo"].code == 1
    assert tracked.attempts["grpo"].stderr.endswith("UserError: data/x.jsonl: empty; fetch it again\n")
    assert tracked.one("grpo").tags["error"] == "data/x.jsonl: empty; fetch it again"


def test_an_unreachable_server_is_said_once_and_the_stage_goes_on(tracked):
    assert tracked.attempts["judge@sft"].code == 0
    (line,) = tracked.attempts["judge@sft"].stderr.splitlines()
    assert line.startswith("mlflow: the server 127.0.0.1 can't be used (ConnectionRefusedError")
    assert line.endswith("the stage goes on; this attempt is kept, and `questions-gen track sync` sends it later")
    assert SECRET not in line


def test_nothing_is_said_where_all_went_well(tracked):
    assert tracked.attempts["sft"].stderr == tracked.attempts["sft again"].stderr == ""
    assert tracked.attempts["distill"].stderr == ""


def test_no_connection_is_tried_but_to_the_server_that_was_named(tracked, mlflow_pages):
    assert not (tracked.home / "connections").exists()
    assert not (tracked.home / "other_seed/connections").exists()
    for folder in ("no_server", "pipeline"):
        for line in (tracked.home / folder / "connections").read_text().splitlines():
            assert "127.0.0.1" in line or "localhost" in line, line


def test_what_was_kept_is_sent_once_though_the_first_try_died_half_way(tracked, mlflow_pages):
    synced = mlflow_pages.synced
    stages = [json.loads(text.splitlines()[0])["name"] for text in synced.kept]
    assert len(stages) == 6 + len(HISTORY)
    assert synced.half_way == 9
    (part,) = synced.after_half
    assert part.points, "something of it had been sent"
    assert synced.whole == (f"{len(stages)} of {len(stages)} kept attempts are sent to the server 127.0.0.1\n", "")
    assert synced.again == ("nothing is kept\n", "")
    assert list((tracked.home / FOLDER).iterdir()) == []
    (attempt,) = [found for found in tracked.runs(part.name) if found.tags["attempt"] == part.tags["attempt"]]
    assert attempt.id != part.id
    assert tracked.rows("select lifecycle_stage from runs where run_uuid = ?", part.id) == [("deleted",)]
    for stage in ("fetch", "mix", "teach", "report", "export"):
        assert len(tracked.runs(stage)) == stages.count(stage)


def test_what_was_kept_has_its_own_times_and_points(tracked, mlflow_pages):
    attempt = tracked.one("judge@sft")
    assert attempt.status == "FINISHED"
    assert attempt.points["loss"] == [(step, 1 / (step + 1)) for step in range(50)]
    seconds = attempt.points["wall_seconds"][0][1]
    assert seconds > 1
    assert attempt.end - attempt.start == pytest.approx(1000 * seconds, abs=500)
    kept = next(text for text in mlflow_pages.synced.kept if '"judge@sft"' in text)
    messages = [json.loads(line) for line in kept.splitlines()]
    assert attempt.start == messages[0]["time"]
    assert [attempt.end] == [message["time"] for message in messages if message["kind"] == "end"]
    times = tracked.rows("select timestamp from metrics where run_uuid = ? and key = 'loss' order by step", attempt.id)
    assert [time for (time,) in times] == [row["time"] for row in messages if "loss" in row.get("metrics", {})]


def test_no_password_is_written_anywhere(tracked, mlflow_pages):
    assert not any(SECRET in text for text in mlflow_pages.synced.kept)
    written = [path for path in tracked.home.rglob("*") if path.is_file() and path.name != "params.yaml"]
    assert (tracked.home / "mlflow.db") in written
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == []


def test_inputs_are_hashes_and_those_in_data_are_datasets_by_reference(tracked, mlflow_pages):
    attempt, raw = tracked.one("mix"), tracked.home / "pipeline/data/raw"
    digest = files.digest(raw)
    assert {"git_commit", "dirty", "dvc_lock"} <= set(attempt.tags)
    assert attempt.tags["hash.data/raw"] == digest
    assert attempt.tags["hash.models/base"] == files.digest(tracked.home / "pipeline/models/base")
    assert datasets(tracked, attempt.id) == {
        ("data/raw", digest[:36], '{"url": "dvc://data/raw?sha256=' + digest + '"}', "mix")
    }


def test_fetch_names_the_sources_by_what_pins_them(tracked, mlflow_pages):
    found = {row[0]: row for row in datasets(tracked, tracked.one("fetch").id)}
    assert set(found) == {"data/sources", "problems/hub", "problems/champ"}
    assert found["problems/hub"][1:3] == ("c0ffee", '{"url": "source://hub/a/b/train@c0ffee"}')
    assert found["problems/champ"][1] == ("ab" * 32)[:36]
    assert found["problems/champ"][2] == '{"url": "source://package/champ-dataset/champ.json@1.0.0"}'


def datasets(tracked, run_id):
    """{(name, digest, source, context)}"""
    query = (
        "select d.name, d.digest, d.dataset_source, t.value from inputs i join datasets d on i.source_id = "
        "d.dataset_uuid join input_tags t on t.input_uuid = i.input_uuid where i.destination_id = ?"
    )
    return set(tracked.rows(query, run_id))


def test_the_report_shows_its_page_its_plots_and_its_numbers(tracked, mlflow_pages):
    for attempt in tracked.runs("report"):
        found = {path.relative_to(attempt.artifacts).as_posix() for path in attempt.artifacts.rglob("*.*")}
        assert found == {"metrics/summary.json", "plots/loss.csv", "report/index.html"}
        assert (attempt.artifacts / "report/index.html").read_text() == report_page()
        assert attempt.points["models.distill.gate_pass_rate"] == [(0, 0.5)]


def parent(attempt):
    return attempt.tags["mlflow.parentRunId"]


def test_a_stage_that_was_skipped_is_linked_to_the_run_that_made_it(tracked, mlflow_pages):
    first, second = tracked.runs("report")
    makers = {stage: tracked.one(stage).id for stage in ("fetch", "mix", "teach")}
    assert parent(first) != parent(second), "another seed is another pipeline"
    children = "select run_uuid from tags where key = 'mlflow.parentRunId' and value = ?"
    assert tracked.rows(children, parent(second)) == [(second.id,)]
    for run_id in (first.id, second.id, parent(second)):
        tags = dict(tracked.rows("select key, value from tags where run_uuid = ?", run_id))
        assert {key.removeprefix("made_by."): tags[key] for key in tags if key.startswith("made_by.")} == makers
        for stage, maker in makers.items():
            assert f"| {stage} | [{maker[:8]}](#/experiments/1/runs/{maker}) |" in tags["mlflow.note.content"]
    (note,) = tracked.rows(
        "select value from tags where key = ? and run_uuid = ?", "mlflow.note.content", parent(first)
    )
    assert note[0].startswith("Mine.\n\n| stage | made by the run |\n"), "what a person wrote stays, once"
    assert note[0].count("Mine.") == note[0].count("| stage |") == 1
    export = tracked.runs("export")[-1]
    assert export.tags["made_by.report"] == first.id
    assert "made_by.export" not in export.tags


def test_the_teachers_calls_are_traces_with_their_own_times(tracked, mlflow_pages):
    (run_id,) = {found.id for found in tracked.runs("teach")}
    found = tracked.rows(
        "select i.timestamp_ms, i.execution_time_ms, i.status, i.request_preview, i.response_preview "
        "from trace_info i join trace_request_metadata m on m.request_id = i.request_id "
        "where m.key = 'mlflow.sourceRun' and m.value = ? order by i.timestamp_ms",
        run_id,
    )
    start = int(CALLS[0]["start"] * 1000)
    assert [row[:4] for row in found] == [(start, 500, "ERROR", "Rate it."), (start + 1000, 2000, "OK", "Rate it.")]
    assert found[1][4] == "4"
    assert tracked.rows("select count(*) from trace_info") == [(2,)], "those of the half-sent run are gone"


def test_an_export_is_a_version_and_the_same_again_is_none(tracked, mlflow_pages):
    versions = tracked.rows("select version, source, run_id from model_versions order by version")
    exports = tracked.runs("export")
    assert [run_id for _, _, run_id in versions] == [exports[0].id, exports[2].id, exports[3].id]
    tags = dict(tracked.rows("select key, value from model_version_tags where version = 2"))
    assert tags == {
        "input_hash": exports[2].tags["input_hash"],
        "profile": "smollm2-135m",
        "gate_pass_rate": "0.25",
        "check.formats.gguf-q8_0.agreement": "0.975",
    }
    exported = tracked.home / "pipeline/models/export"
    assert versions[-1][1] == f"dvc://models/export/distill?md5={tracking.dvc_hash(exported)}"
    assert tracked.rows("select name, alias, version from registered_model_aliases") == [
        ("questions-gen-smollm2-135m-distill", "champion", 3)  # 1 until it, as 2 passes the gate less often
    ]


def test_the_hash_of_a_folder_is_dvcs(tmp_path):
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB
    from dvc_objects.fs.local import LocalFileSystem

    files.write_text(tmp_path / "export/README.md", "# Ein Modell\n")
    files.write_text(tmp_path / "export/gguf/modèle.gguf", "weights")
    files.write_text(tmp_path / "export/gguf-f16", "sorted before the folder")
    disk = LocalFileSystem()
    _, _, tree = build(HashFileDB(disk, str(tmp_path / "cache")), str(tmp_path / "export"), disk, "md5", dry_run=True)
    assert tracking.dvc_hash(tmp_path / "export") == tree.hash_info.value


def test_only_small_outputs_that_tell_something_are_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracking, "LARGEST_SHOWN", 10)
    for path in (
        "a/README.md",
        "a/checks.json",
        "a/b/model.bin",
        "a/rows.jsonl",
        "a/b/manifest.json",
        "b.csv",
        "c.txt",
    ):
        files.write_text(Path(path), "short")
    files.write_text(Path("d.html"), "much longer")
    outputs = {name: Path(name) for name in ("a", "b.csv", "c.txt", "d.html")}
    shown = tracking.shown_files(Stage("x", {}, {}, outputs, work=print))
    assert [path.as_posix() for path in shown] == ["a/README.md", "a/checks.json", "a/b/manifest.json", "b.csv"]


def test_the_monitor_measures_the_tree_of_another_process():
    burn = "import time; b = bytearray(60 * 2**20); print(flush=True)\nwhile True: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, start_new_session=True)
    try:
        process.stdout.readline()
        monitor = Monitor(process.pid)
        monitor.sample()
        time.sleep(0.4)
        sample = monitor.sample()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert sample["system/cpu_percent"] > 15
    assert 0.06 < sample["system/rss_gib"] < 0.3
    assert monitor.sample() == {}


DESCRIPTION = {"kind": "description", "time": 5, "name": "sft", "attempt": "0123456789"}


def test_a_message_is_on_the_disk_before_it_is_taken_and_a_torn_one_is_left_out(tmp_path):
    journal = Journal(tmp_path, DESCRIPTION)
    journal.add({"kind": "metrics", "metrics": {"loss": 1.0}, "time": 7})
    (path,) = (tmp_path / FOLDER).iterdir()
    assert path.name == "5-sft-01234567.jsonl"
    assert held(path) is None, "its writer holds it"
    assert [message["kind"] for message in journal.take()] == ["metrics"]
    with open(path, "ab") as handle:
        handle.write(b'{"kind": "metr')
    with open(path, "rb") as lines:
        kinds = [(message["kind"], message["time"]) for message in messages_of(lines)]
    assert kinds == [("description", 5), ("metrics", 7), ("end", 7)], "without an end it was killed"
    del journal  # as its process's end would
    handle = held(path)
    assert handle is not None
    path.unlink()
    handle.close()
    assert held(path) is None


def test_what_cant_be_sent_stays(tmp_path, monkeypatch):
    under_way = Journal(tmp_path, DESCRIPTION)
    (path,) = (tmp_path / FOLDER).iterdir()
    with pytest.raises(UserError, match="the server 127.0.0.1 can't be used .*; 1 attempts are still kept") as error:
        sync(tmp_path, NOBODY)
    assert SECRET not in str(error.value)
    damaged = tmp_path / FOLDER / "6-damaged.jsonl"
    files.write_text(damaged, '{"kind": "desc\n{"kind": "end", "status": "FINISHED", "time": 6, "tags": {}}\n')
    monkeypatch.setattr("questions_gen.mlflow_writer.sync.connect", lambda home, uri: None)  # and nobody asks it
    done = sync(tmp_path, NOBODY)
    assert (done.attempts, done.under_way) == ([], [path.name])
    assert done.failed == {damaged.name: "ValueError: its first line is damaged: remove the file"}
    assert under_way.kept
    assert path.exists()
    assert damaged.exists()


def test_a_disk_that_takes_nothing_is_said_and_the_messages_go_on(tmp_path, capsys):
    files.write_text(tmp_path / FOLDER, "a file where the folder should be")
    journal = Journal(tmp_path, DESCRIPTION)
    journal.add({"kind": "metrics", "metrics": {}, "time": 7})
    assert not journal.kept
    assert len(journal.take()) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mlflow: ")
    assert "can't be written (File exists)" in line


class Recorded:
    """Stands in for the pipe to the writer."""

    def __init__(self, address, description):
        self.description, self.metrics, self.end, self.shown = description, {}, None, False
        Recorded.last = self

    def log_metrics(self, values, step=None):
        self.metrics |= values

    def log_table(self, name, rows):
        raise AssertionError("this stage has no table")

    def show(self, stage, key, values):
        self.shown = True

    def close(self, status, tags):
        self.end = status, tags


STAGE = Stage("sft", {"seed": int}, {}, {}, work=print)


@pytest.mark.parametrize(
    ("error", "status", "tags"),
    [
        (UserError("key: cause; remedy"), "FAILED", {"error": "key: cause; remedy"}),
        (RuntimeError("refused: key sk-123"), "FAILED", {"error": "RuntimeError"}),  # a message may quote a secret
        (KeyboardInterrupt(), "KILLED", {"error": "KeyboardInterrupt"}),
        (SystemExit(1), "FAILED", {"error": "SystemExit"}),
    ],
)
def test_how_an_attempt_ended(tmp_path, monkeypatch, error, status, tags):
    monkeypatch.chdir(write_params(tmp_path))
    monkeypatch.setattr(tracking, "_Pipe", Recorded)
    with pytest.raises(type(error)), tracking.start(STAGE, {"seed": 7}, "hash", {}):
        raise error
    assert Recorded.last.end == (status, tags)
    assert set(Recorded.last.metrics) == {"wall_seconds", "peak_rss_gib"}
    assert not Recorded.last.shown, "an attempt that failed has no outputs of its own"


def test_switched_off_there_is_no_process_and_no_database(tmp_path, monkeypatch):
    monkeypatch.chdir(write_params(tmp_path, enabled=False))
    monkeypatch.setattr(tracking, "_Pipe", None)
    with tracking.start(STAGE, {"seed": 7}, "hash", {}) as tracker:
        assert isinstance(tracker, NoTracker)
        tracker.log_metrics({"loss": 1.0}, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_a_bad_run_section_is_the_users_to_mend(tmp_path, monkeypatch):
    monkeypatch.chdir(write_params(tmp_path, enabled="yes"))
    with pytest.raises(ParamsError, match=r"run\.tracking\.enabled"), tracking.start(STAGE, {"seed": 7}, "hash", {}):
        raise AssertionError("the work began")


def test_a_writer_that_dies_is_said_once_and_costs_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(write_params(tmp_path))
    with tracking.start(STAGE, {"seed": 7}, "hash", {}) as tracker:
        tracker._writer.kill()
        tracker._writer.wait()
        for step in range(3):
            tracker.log_metrics({"loss": 1.0}, step)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "mlflow: its process ended with code -9; the stage goes on, this attempt isn't fully tracked"


def test_a_writer_that_hangs_is_given_up(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(write_params(tmp_path))
    monkeypatch.setattr(tracking, "CLOSING_SECONDS", 0.2)
    with tracking.start(STAGE, {"seed": 7}, "hash", {}) as tracker:
        os.kill(tracker._writer.pid, signal.SIGSTOP)
    assert "not all was written" in capsys.readouterr().err
    assert tracker._writer.poll() is not None


def test_the_stage_hands_over_the_numbers_of_its_log(tmp_path, monkeypatch):
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/check.py").write_text("")
    monkeypatch.chdir(write_params(tmp_path))
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr(tracking, "_Pipe", Recorded)
    metrics = {"n": 2, "reasons": {"cut_off": 1}, "overall": None, "kind": "local", "ok": True}
    run(Stage("check", {}, {}, {}, work=lambda context: Log(metrics)), tracking.start)
    assert numbers(metrics) == {"n": 2, "reasons.cut_off": 1}
    assert numbers(metrics).items() <= Recorded.last.metrics.items()
    assert set(Recorded.last.metrics) == {"n", "reasons.cut_off", "wall_seconds", "peak_rss_gib"}
    assert Recorded.last.end == ("FINISHED", {})
    assert Recorded.last.shown


def test_identity_is_all_of_params_but_run():
    params = {"seed": 1, "sft": {"steps": 3, "learning_rate": 2e-4}, "run": {"tracking": 1}}
    assert tracking.identity(params) == tracking.identity({**params, "run": None})
    assert tracking.identity(params) == tracking.identity(dict(reversed(params.items())))
    assert tracking.identity(params) != tracking.identity({**params, "seed": 2})


def test_flatten():
    values = {
        "seed": 1,
        "lora": {"r": 8, "targets": ["q", "k"]},
        "dtype": "float32",
        "uri": None,
        "deep": {"er": {"x": 0.5}},
    }
    assert tracking.flatten(values) == {
        "seed": "1",
        "lora.r": "8",
        "lora.targets": '["q", "k"]',
        "dtype": "float32",
        "uri": "null",
        "deep.er.x": "0.5",
    }


def test_dirty_means_code_or_params_not_what_dvc_writes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert writer.git_tags() == {"git_commit": "unknown", "dirty": "unknown", "dvc_lock": "unknown"}
    for path in ("dvc.lock", "metrics/summary.json", "params.yaml"):
        files.write_text(Path(path), "old\n")
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", *command], check=True)
    assert writer.git_tags()["dirty"] == "false"
    for path in ("dvc.lock", "metrics/summary.json", "plots/loss.csv"):
        files.write_text(Path(path), "new\n")
    assert writer.git_tags()["dirty"] == "false"
    files.write_text(Path("params.yaml"), "new\n")
    tags = writer.git_tags()
    assert tags["dirty"] == "true"
    assert tags["mlflow.source.git.commit"] == tags["git_commit"] != "unknown"
    assert tags["dvc_lock"] == files.digest(Path("dvc.lock"))


def test_no_stage_runs_the_code_of_tracking(monkeypatch):
    """An edit of it would rerun what imports it."""
    monkeypatch.chdir(ROOT)
    for script in sorted(Path("stages").glob("[!_]*.py")):
        read = {path.as_posix() for path in local_files(script)}
        assert "src/questions_gen/tracking.py" not in read, script
        assert not any(path.startswith("src/questions_gen/mlflow_writer") for path in read), script


def test_a_stage_of_one_model_is_linked_under_a_name_that_mlflow_takes(tmp_path, monkeypatch):
    """`made_by.evaluate@base` is none."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    from questions_gen.mlflow_writer import links

    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.create_experiment("linked", artifact_location=tmp_path.as_uri())
    maker, parent, run = (client.create_run(experiment, tags={"input_hash": name}).info.run_id for name in "abc")
    client.set_terminated(maker)
    links.write(client, experiment, parent, run, {"evaluate@base": "a"})
    for target in (parent, run):
        tags = client.get_run(target).data.tags
        assert tags["made_by.evaluate/base"] == maker
        link = f"[{maker[:8]}](#/experiments/{experiment}/runs/{maker})"
        assert f"| evaluate@base | {link} |" in tags["mlflow.note.content"]
