"""One method cannot hurt another: what it breaks is its own run, and the next one starts from a
known state.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from runner.bad import write

from fewbench.errors import BenchError
from fewbench.registry.methods import methods
from fewbench.runner.local import execute
from fewbench.store.store import Store, StoreFull
from fewbench.testing import toy_job, untimed

ALTERING = {
    "torch's threads": ("torch.set_num_threads(3)", "the number of torch's threads"),
    "its dtype": ("torch.set_default_dtype(torch.float64)", "torch's default dtype"),
    "its grad mode": ("torch.set_grad_enabled(False)", "whether gradients are recorded"),
    "its device": ("torch.set_default_device('meta')", "torch's default device"),
    "its determinism": (
        "torch.use_deterministic_algorithms(True, warn_only=True)",
        "whether torch is deterministic",
    ),
    "the precision of products": (
        "torch.set_float32_matmul_precision('medium')",
        "the precision of float32 products",
    ),
    "the working folder": ("os.chdir('/')", "the working folder"),
    "the environment": ("os.environ['OMP_NUM_THREADS'] = '9'", "the environment"),
    "the task": ("object.__setattr__(task, 'words', task.words[::-1])", "task"),
    "the protocol": ("object.__setattr__(kit.protocol, 'max_steps', 0)", "protocol"),
    "an example": ("object.__setattr__(split.train[0], 'texts', ('a',))", "split"),
    "a test example": (
        "object.__setattr__(split.test[0], 'texts', ('the film was great',))",
        "split",
    ),
}
SILENT = {
    "the tokenizer": "t = kit.backbone('student').tokenizer; t.add_tokens(['film']); t.model_max_length = 3",
    "the pretrained model": "[p.data.zero_() for p in kit._models.pretrained(kit._refs['student']).model.parameters()]",
    "the library": "torch.nn.functional.cross_entropy = lambda *a, **k: torch.zeros((), requires_grad=True)",
    "the harness": "import fewbench.nn.trainer as l, fewbench.data.metrics as m; l.train = None; m._f1 = None",
    "the generators": "torch.manual_seed(5); random.seed(5); np.random.seed(5)",
    "the signals": "signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGALRM, signal.SIG_IGN)",
    "warnings": "warnings.simplefilter('error')",
    "a thread that goes on": "threading.Thread(target=time.sleep, args=(600,)).start()",
    "a process that goes on": "os.fork() or (time.sleep(600), os._exit(0))",
    "an exit handler": "import atexit; atexit.register(time.sleep, 600)",
    "stdout": "sys.stdout.close(); os.close(1)",
}


def carry_out(jobs, store, workers=1, **options):
    heard: dict = {}
    heard_of = lambda work, outcome: heard.update({work.method.name: outcome.record})  # noqa: E731
    execute([jobs], store, workers=workers, device="cpu", threads=1, on_done=heard_of, **options)
    return heard


@pytest.fixture(scope="module")
def honest(tiny_model):
    return toy_job(methods()["prompt-ft"], tiny_model)


@pytest.fixture(scope="module")
def alone(honest, tmp_path_factory):
    """What the honest run gives where no other comes before it."""
    return numbers_of(honest, Store(tmp_path_factory.mktemp("alone")), [])


def numbers_of(honest, store, before):
    carry_out([*before, honest], store)
    record = store.get(honest.run)
    assert record is not None and record.status == "ok", record
    return untimed(record), store.predictions(record).array.tobytes()


def jobs_of(lines, folder, model, **more):
    """Return a job for each thing that `fit` does, whose methods are called bad0, bad1, …"""
    named = enumerate(lines.items())
    return {
        what: toy_job(write(folder, f"bad{n}", line, **more), model) for n, (what, line) in named
    }


def test_what_methods_alter_changes_no_other_run_and_is_told(
    honest, alone, store, tmp_path, tiny_model
):
    bad = jobs_of({what: line for what, (line, _) in ALTERING.items()}, tmp_path, tiny_model)
    assert numbers_of(honest, store, list(bad.values())) == alone
    for what, job in bad.items():
        record = store.get(job.run)
        assert record is not None and record.status == "ok", (what, record and record.error)
        told = ALTERING[what][1]
        handed = " " not in told
        wanted = f"changed the {told} it was given" if handed else f"left {told} changed"
        assert record.warnings == (f"this method {wanted}",), what
    assert store.get(honest.run).warnings == ()


def test_what_cannot_be_seen_afterwards_changes_no_other_run_either(
    honest, alone, store, tmp_path, tiny_model
):
    bad = jobs_of(SILENT, tmp_path, tiny_model, needs='("student",)')
    assert numbers_of(honest, store, list(bad.values())) == alone
    assert {what: store.get(job.run).error for what, job in bad.items()} == dict.fromkeys(SILENT)


UNPRINTABLE = """
class Sly(Exception):
    def __str__(self):
        raise self.kind
    __repr__ = __str__
"""
DEATHS = {
    "sys.exit(0)": ("sys.exit(0)", "SystemExit: 0 (bad0.py, line"),
    "os._exit(3)": ("os._exit(3)", "exit status 3"),
    "os._exit(0)": ("os._exit(0)", "ended without an answer"),
    "segfault": ("ctypes.string_at(0)", "died of SIGSEGV"),
    "abort": ("os.abort()", "died of SIGABRT"),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", "killed, twice"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "generator exit": ("raise GeneratorExit", "GeneratorExit"),
    "text that fails": ("Sly.kind = ValueError(); raise Sly", "__str__ raised ValueError"),
    "text that ends it": ("Sly.kind = SystemExit(0); raise Sly", "__str__ raised SystemExit"),
    "circular note": ("kit.notes['a'] = kit.notes", "contains itself"),
    "circular list": ("a = []; a.append(a); kit.notes['a'] = a", "contains itself"),
    "note that is a module": ("kit.notes['a'] = os", "a is a module"),
    "note that is not finite": ("kit.notes['a'] = float('nan')", "a is nan"),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
    "a bench error": (
        "from fewbench.errors import BenchError; raise BenchError('not today')",
        "not today",
    ),
    "a warning that fails": ("warnings.warn(Sly2())", "ValueError"),
}


def test_every_death_is_that_runs_failed_record(honest, alone, store, tmp_path, tiny_model):
    head = (
        UNPRINTABLE + "class Sly2(UserWarning):\n    def __str__(self):\n        raise ValueError\n"
    )
    bad = jobs_of(
        {what: line for what, (line, _) in DEATHS.items()}, tmp_path, tiny_model, head=head
    )
    assert numbers_of(honest, store, list(bad.values())) == alone
    for what, job in bad.items():
        record, reason = store.get(job.run), DEATHS[what][1]
        assert record is not None, what
        assert record.status == "failed" and reason in record.error, (what, record.error)
    assert store.fsck() == []


def test_a_death_of_several_at_once_blames_no_bystander(store, tmp_path, tiny_model):
    lines = {
        "one": "time.sleep(0.3); os._exit(1)",
        "two": "time.sleep(0.3); os._exit(2)",
        "by": "time.sleep(1)",
    }
    jobs = [toy_job(write(tmp_path, name, line), tiny_model) for name, line in lines.items()]
    heard = carry_out(jobs, store, 3)
    assert {name: record.status for name, record in heard.items()} == {
        "one": "failed",
        "two": "failed",
        "by": "ok",
    }
    assert "exit status 1" in heard["one"].error and "exit status 2" in heard["two"].error


def test_one_that_kills_the_server_fails_alone(honest, alone, store, tmp_path, tiny_model):
    """All processes seem to die with their server; the others' second try, alone, goes well."""
    lines = {
        "killer": "time.sleep(0.5); os.kill(os.getppid(), signal.SIGKILL)",
        "by": "time.sleep(2)",
    }
    jobs = [toy_job(write(tmp_path, name, line), tiny_model) for name, line in lines.items()]
    heard = carry_out([*jobs, honest], store, 2)
    assert {name: record.status for name, record in heard.items()} == {
        "killer": "failed",
        "by": "ok",
        "prompt-ft": "ok",
    }
    assert untimed(store.get(honest.run)) == alone[0]


@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM"])
def test_one_killed_from_outside_is_tried_again(store, tmp_path, tiny_model, number):
    """Slurm's SIGTERM reaches the processes of runs, perhaps before the command itself."""
    once = tmp_path / "once"
    line = f"p = Path({str(once)!r}); done = p.exists(); p.touch(); done or os.kill(os.getpid(), signal.{number})"
    heard = carry_out([toy_job(write(tmp_path, "unlucky", line), tiny_model)], store)
    assert heard["unlucky"].status == "ok"


def test_the_traceback_begins_at_the_authors_own_frame(store, tmp_path, tiny_model):
    head = "def inner():\n    raise ValueError('deep')\n"
    heard = carry_out([toy_job(write(tmp_path, "deep", "inner()", head=head), tiny_model)], store)
    trace = heard["deep"].details["traceback"].splitlines()
    assert trace[0] == "Traceback (most recent call last):"
    assert trace[1].startswith('  File "deep.py", line') and trace[1].endswith("in fit")
    assert trace[-1] == "ValueError: deep" and "runner" not in heard["deep"].details["traceback"]
    assert str(tmp_path) not in heard["deep"].details["traceback"]


@pytest.mark.parametrize(
    "line", ["ctypes.string_at(0)", "while True: time.sleep(0.1)"], ids=["segfault", "timeout"]
)
def test_where_a_process_was_that_was_killed_is_told(store, tmp_path, tiny_model, line):
    heard = carry_out([toy_job(write(tmp_path, "lost", line), tiny_model)], store, timeout=5)
    trace = heard["lost"].details["traceback"]
    assert trace.startswith("Fatal Python error: ") and 'File "lost.py", line' in trace
    assert "runner" not in trace and "steps.py" not in trace


def test_a_timeout_ends_what_takes_too_long_and_nothing_else(store, tmp_path, tiny_model):
    """Also one that blocks what asks it to end, and one that is stopped."""
    lines = {
        "endless": "while True: pass",
        "stubborn": "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64)); time.sleep(600)",
        "stopped": "os.kill(os.getpid(), signal.SIGSTOP)",
        "quick": "pass",
    }
    jobs = [toy_job(write(tmp_path, name, line), tiny_model) for name, line in lines.items()]
    heard = carry_out(jobs, store, 4, timeout=6)
    statuses = {name: record.status for name, record in heard.items()}
    assert statuses == {
        "endless": "failed",
        "stubborn": "failed",
        "stopped": "failed",
        "quick": "ok",
    }
    assert "it took longer than 6 s (--timeout)" in heard["endless"].error


def test_fail_fast_stops_at_the_first_failure(store, tmp_path, tiny_model):
    lines = {"bad": "raise ValueError", "slow": "time.sleep(600)", "never": "time.sleep(600)"}
    jobs = [toy_job(write(tmp_path, name, line), tiny_model) for name, line in lines.items()]
    assert list(carry_out(jobs, store, 2, fail_fast=True)) == ["bad"]
    assert [record.run.method for record in store.records()] == ["bad"]


DISK = {
    "its own write": "raise OSError({0}, 'No space left on device', 'x.bin')",
    "behind another error": "try: raise OSError({0}, 'full')\nexcept OSError as e: raise RuntimeError('oh') from e",
    "of a library": "raise RuntimeError('I/O error: No space left on device (os error 28)')",
}


@pytest.mark.parametrize("line", DISK.values(), ids=DISK)
def test_a_full_disk_is_no_methods_failure(store, tmp_path, tiny_model, line):
    jobs = [toy_job(write(tmp_path, "full", line.format(errno.ENOSPC)), tiny_model)]
    with pytest.raises(StoreFull, match="nothing was stored") as caught:
        carry_out(jobs, store)
    assert caught.value.exit_code == 1
    assert list(store.records()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_record_that_cannot_be_written_stops_the_command(
    store, tmp_path, tiny_model, monkeypatch, number
):
    def fail(file, data):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fewbench.store.store.write_whole", fail)
    with pytest.raises(BenchError) as caught:
        carry_out([toy_job(write(tmp_path, "fine"), tiny_model)], store)
    assert caught.value.exit_code == 1
    assert list(store.records()) == []


def test_a_model_that_cannot_be_kept_leaves_the_old_record(store, tmp_path, tiny_model):
    job = toy_job(methods()["ft"], tiny_model, keep=True)
    carry_out([replace(job, keep=False)], store)
    before = {file: file.read_bytes() for file in store.root.rglob("*.*") if file.is_file()}
    (store.root / "artifacts").write_text("a file where a folder should be")
    with pytest.raises(BenchError) as caught:
        carry_out([job], store)
    assert caught.value.exit_code == 1
    assert (
        all(file.read_bytes() == content for file, content in before.items()) and len(before) == 2
    )


def test_prints_do_not_break_json(bench, tmp_path):
    line = "print('hello'); os.write(1, b'raw'); os.system('echo from a shell'); sys.__stdout__.write('again')"
    head = "NOISE = print('while it loads')\ndef check(task, student, teacher, **settings):\n    print('a check')\n"
    write(tmp_path, "noisy", line.replace("\n", "; "), head=head)
    file = tmp_path / "noisy.py"
    text = file.read_text().replace("(len(examples), 3), 1 / 3", "(len(examples), 2), 1 / 2")
    file.write_text(text)
    given = (
        "--methods",
        file,
        "--tasks",
        "demo-sentiment",
        "--results",
        tmp_path / "r",
        "--offline",
        "--json",
    )
    done = bench("run", *given, forked=False)
    assert done.returncode == 0, done.stderr
    assert [cell["method"] for cell in json.loads(done.stdout)] == ["noisy"]
    for said in ("hello", "raw", "from a shell", "again", "while it loads", "a check"):
        assert said in done.stderr


@pytest.mark.parametrize(
    "line", ["sys.exit(0)", "os._exit(0)", "ctypes.string_at(0)", "print(1 / 0)"]
)
def test_a_check_that_ends_its_process_is_an_error(store, tmp_path, tiny_model, line):
    head = f"def check(task, student, teacher, **settings):\n    {line}\n"
    with pytest.raises(BenchError, match=r"the check of .*broken.* broke down: "):
        carry_out([toy_job(write(tmp_path, "broken", head=head), tiny_model)], store)


def started(tmp_path, *methods):
    files = ",".join(map(str, methods))
    given = [
        "--methods",
        files,
        "--tasks",
        "demo-sentiment",
        "--results",
        tmp_path / "r",
        "--offline",
    ]
    command = [sys.executable, "-m", "fewbench", "run", *map(str, given), "--workers", "1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_ends_the_command_ends_its_processes_and_says_how_to_resume(tmp_path, number):
    pid = tmp_path / "pid"
    write(tmp_path, "endless", f"Path({str(pid)!r}).write_text(str(os.getpid())); time.sleep(600)")
    process = started(tmp_path, tmp_path / "endless.py")
    while not (pid.exists() and pid.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "To resume:\n  bench run --methods" in errors
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_the_command_says_what_fail_fast_left_and_show_tells_where_it_broke(bench, tmp_path):
    for name in ("bad", "good"):
        write(tmp_path, name, "raise ValueError('oh')" if name == "bad" else "pass")
    files = f"{tmp_path / 'bad.py'},{tmp_path / 'good.py'}"
    given = (
        "--methods",
        files,
        "--tasks",
        "demo-sentiment",
        "--results",
        tmp_path / "r",
        "--offline",
    )
    done = bench("run", *given, "--workers", 1, "--fail-fast")
    assert done.returncode == 1
    assert "0 done, 1 failed, 5 left (--fail-fast)" in done.stderr
    record = next(iter(Store(tmp_path / "r").records()))
    shown = bench("show", record.run.key, "--results", tmp_path / "r").stderr
    assert 'File "bad.py", line' in shown and shown.strip().endswith("ValueError: oh")
