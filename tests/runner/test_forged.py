"""What a method puts in the place of its process's answer: it is read as bytes, and as answers or
not at all.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from runner.bad import write

from fewbench.registry.methods import read_method
from fewbench.runner.local import execute
from fewbench.testing import toy_job, toy_protocol

CHANCE = 1 / 3
"""Of the nine test rows of three classes, what equal shares answer right."""


def run(job, store):
    execute([[job]], store, workers=1, device="cpu", threads=1, on_done=lambda *_: None)
    record = store.get(job.run)
    assert record is not None
    return record


FORGING = """
def forge(told, arrays):
    from safetensors.numpy import save
    content = save(arrays, metadata={{"told": json.dumps(told)}})
    import stat
    for number in range(3, 64):
        try:
            if stat.S_ISFIFO(os.fstat(number).st_mode):
                os.write(number, {content})
                break
        except OSError:
            pass
    os._exit(0)
"""
OK = {
    "status": "ok", "chosen": 0, "details": {}, "warnings": [], "trials": [{"step": None}],
    "timing": {"search_seconds": 0, "search_processor_seconds": 0, "test_seconds": 0, "total_seconds": 0, "peak_memory_mib": 0, "trial_seconds": [0]},
}  # fmt: skip
BOTH = "{'dev0:answers': shares(split.dev), 'test:answers': shares(split.test)}"


def forged(tmp_path, tiny_model, told, arrays=BOTH, content="content", **options):
    fit = f"forge(json.loads({json.dumps(told)!r}), {arrays})"
    return toy_job(
        write(tmp_path, "cheat", fit, head=FORGING.format(content=content)), tiny_model, **options
    )


def test_a_forged_answer_holds_no_score(store, tmp_path, tiny_model):
    """Bytes that a method writes in the runner's place are answers as any: what they claim beside
    them is not read.
    """
    claims = {
        "scores": {"test": {"accuracy": 1.0}, "dev": {"accuracy": 1.0}},
        "run": {"method": "ft"},
        "error": None,
    }
    record = run(forged(tmp_path, tiny_model, OK | claims), store)
    assert record.status == "ok" and record.run.method == "cheat", record.error
    assert record.scores == {
        "dev": {"accuracy": pytest.approx(CHANCE)},
        "test": {"accuracy": pytest.approx(CHANCE)},
    }


WRONG = {
    "another choice": (
        OK | {"chosen": 1, "trials": [{"step": None}] * 2},
        "by dev score trial 0 is the best",
    ),
    "fewer trials": (OK, "it reports 1 trials, and 2 were asked for"),
    "no table": ([], "cannot be read"),
    "nothing": ({}, "cannot be read"),
    "details that are none": (
        OK | {"trials": [{"step": None}] * 2, "details": 3},
        "cannot be read",
    ),
    "a step that is none": (OK | {"trials": [{"step": {}}] * 2}, "cannot be read"),
}


@pytest.mark.parametrize(("told", "reason"), WRONG.values(), ids=WRONG)
def test_forged_answers_that_do_not_fit_fail_the_run(store, tmp_path, tiny_model, told, reason):
    arrays = BOTH.replace("{", "{'dev1:answers': shares(split.dev), ")
    job = forged(tmp_path, tiny_model, told, arrays)
    protocol = toy_protocol(grid={"lr": (1.0, 2.0)})
    file = job.method.file
    source = file.read_text().replace(
        "def fit(task, split, kit)", 'SEARCH = ("lr",)\ndef fit(task, split, kit, *, lr=0.0)'
    )
    file.write_text(source)

    method = read_method(file)
    trials = tuple(protocol.trials(method.search, {}, method.grid))
    record = run(replace(job, method=method, protocol=protocol, trials=trials), store)
    assert record.status == "failed" and reason in record.error, record.error


HOSTILE = {
    "a pickle": "pickle.dumps(Bomb())",
    "a pickle with a length before it": "b'\\x00\\x00\\x00\\xff' + pickle.dumps(Bomb())",
    "noise": "bytes(range(256)) * 40",
    "a header longer than all": "(1 << 60).to_bytes(8, 'little') + b'{}'",
    "a header of another kind": "(9).to_bytes(8, 'little') + b'[[[[[[[[['",
    "deep JSON": "save(arrays, metadata=dict(told='[' * 99999))",
}
BOMB = """
class Bomb:
    def __reduce__(self):
        return (os.mkdir, ({!r},))
"""


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bytes_are_read_as_bytes(store, tmp_path, tiny_model, content):
    went = tmp_path / "went off"
    job = forged(tmp_path, tiny_model, OK, content=content)
    file = job.method.file
    file.write_text(
        file.read_text().replace("class Same", BOMB.format(str(went)) + "\nclass Same", 1)
    )
    record = run(replace(job), store)
    assert record.status == "failed" and "cannot be read" in record.error, record.error
    assert not went.exists()


def test_an_object_in_the_notes_is_no_object_at_the_other_end(store, tmp_path, tiny_model):
    went = tmp_path / "went off"
    record = run(
        toy_job(
            write(tmp_path, "cheat", "kit.notes['a'] = Bomb()", head=BOMB.format(str(went))),
            tiny_model,
        ),
        store,
    )
    assert record.status == "failed" and "cannot be stored" in record.error
    assert not went.exists()
