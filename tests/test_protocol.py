"""Protocols: the published constants, the grid, ties."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fewbench.errors import BenchError
from fewbench.registry.methods import methods
from fewbench.registry.pipeline import pipeline
from fewbench.registry.pretrained import count_parameters
from fewbench.registry.protocol import Protocol, better
from fewbench.registry.protocols import check_fits, get_protocol, protocols
from fewbench.store.inputs import protocol_hash
from fewbench.testing import toy_job, toy_task


def test_lm_bff_constants():
    protocol = get_protocol("lm-bff-v1")
    assert protocol.k == 16
    assert sorted(protocol.seeds) == [13, 21, 42, 87, 100]
    assert {name: protocol.grid[name] for name in ("lr", "batch_size")} == {
        "lr": (1e-5, 2e-5, 5e-5),
        "batch_size": (2, 4, 8),
    }
    assert (protocol.max_steps, protocol.eval_every, protocol.eval_batch_size) == (1000, 100, 16)
    assert (protocol.schedule, protocol.warmup_steps, protocol.weight_decay) == ("linear", 0, 0.0)
    assert (protocol.max_grad_norm, protocol.checkpoint_tie, protocol.trial_tie) == (
        1.0,
        "first",
        "first",
    )
    assert protocol.ddof == 0


def test_every_protocol_can_be_run():
    for name, protocol in protocols().items():
        assert protocol.name == name and protocol.title and protocol.paper
        in_updates = protocol.in_updates(1000, 16)
        assert 0 < in_updates.eval_every <= in_updates.max_steps
        assert protocol.schedule in ("linear", "constant")
        assert {protocol.checkpoint_tie, protocol.trial_tie} <= {"first", "last"}
        assert len(set(protocol.seeds)) == len(protocol.seeds) > 0
        assert all(protocol.grid.values())


def test_trials_walk_the_grid_in_its_order():
    protocol = get_protocol("lm-bff-v1")
    trials = protocol.trials(("batch_size", "lr"), {})
    assert trials[:4] == [
        {"lr": 1e-5, "batch_size": 2},
        {"lr": 1e-5, "batch_size": 4},
        {"lr": 1e-5, "batch_size": 8},
        {"lr": 2e-5, "batch_size": 2},
    ]
    assert len(trials) == 9


def test_trials_leave_out_what_is_fixed_or_not_searched():
    protocol = get_protocol("lm-bff-v1")
    assert protocol.trials(("lr", "batch_size"), {"lr": 1.0}) == [
        {"batch_size": size} for size in (2, 4, 8)
    ]
    assert protocol.trials(("lr", "alpha"), {}) == [{"lr": lr} for lr in (1e-5, 2e-5, 5e-5)]
    assert protocol.trials((), {}) == [{}]
    assert protocol.trials(("lr",), {"lr": 1.0}) == [{}]


def every_search():
    """Yield each method, preset and pipeline of one, with the names of what it searches and its own
    grid.
    """
    known = methods()
    names = [*known, *(name for info in known.values() for name in info.pipelines)]
    for name in names:
        info = known.get(name) or pipeline(name, known)
        for fixed in ({}, *info.presets.values()):
            if search := info.searched(fixed):
                yield f"{name}:{fixed}", search, fixed, info.grid


@pytest.mark.parametrize("name", protocols())
def test_all_methods_search_the_same_rates_with_the_same_number_of_trials(name):
    protocol = get_protocol(name)
    counts, rates = {}, {}
    for method, search, fixed, own in every_search():
        trials = protocol.trials(search, fixed, own)
        (rate,) = {"lr", "prompt_lr"} & set(search)
        counts.setdefault(rate, {})[method] = len(trials)
        rates.setdefault(rate, {})[method] = sorted(trial[rate] for trial in trials)
    assert len(counts["lr"]) > 20 and len(counts["prompt_lr"]) > 1
    for rate in counts:
        assert len(set(counts[rate].values())) == 1, (rate, counts[rate])
        assert len(set(map(tuple, rates[rate].values()))) == 1, (rate, rates[rate])
    of_prompts, of_all = (next(iter(counts[rate].values())) for rate in ("prompt_lr", "lr"))
    assert (
        (of_prompts, of_all) == (4, 3) if name == "ppt-v1" else of_prompts == of_all
    )  # as its authors print


def test_updates_grow_with_the_classes():
    quick = get_protocol("quick")
    assert [quick.of_classes(n).max_steps for n in (2, 3, 6)] == [60, 90, 180]
    assert [quick.of_classes(n).eval_every for n in (2, 3, 6)] == [20, 30, 60]
    assert quick.of_classes(1) is quick.of_classes(2) is quick
    for name in ("lm-bff-v1", "ppt-v1"):  # their authors' updates are the same for all tasks
        assert get_protocol(name).of_classes(6) == get_protocol(name)


def test_a_job_has_the_updates_of_its_task(tiny_model):
    quick = get_protocol("quick")
    job = toy_job(methods()["ft"], tiny_model, protocol=quick)
    assert len(job.task.labels) == 3 and job.protocol.max_steps == 90
    assert job.run.inputs.protocol == protocol_hash(
        quick
    )  # a table is of one protocol, whatever its tasks


def test_the_key_covers_what_the_constants_come_to(tiny_model, monkeypatch):
    """How trials are laid out and how updates grow is code of the protocol, which no method's hash
    follows.
    """
    method, protocol = methods()["ft"], replace(get_protocol("quick"), grid={"lr": (1e-4, 5e-4)})

    def inputs():
        return toy_job(method, tiny_model, protocol=protocol).run.inputs

    before = inputs()
    with monkeypatch.context() as other:
        other.setattr(
            Protocol,
            "of_classes",
            lambda self, classes: replace(self, max_steps=self.max_steps + 1),
        )
        grown = inputs()
    with monkeypatch.context() as other:
        trials = Protocol.trials
        other.setattr(Protocol, "trials", lambda self, *given: trials(self, *given)[::-1])
        turned = inputs()
    assert len({before.trials, grown.trials, turned.trials}) == 3
    assert replace(grown, trials="") == replace(turned, trials="") == replace(before, trials="")


@pytest.mark.parametrize(
    ("score", "best", "tie", "wins"),
    [
        (-1.0, None, "first", True),
        (0.5, 0.5, "first", False),
        (0.5, 0.5, "last", True),
        (0.6, 0.5, "first", True),
        (0.4, 0.5, "last", False),
    ],
)
def test_better(score, best, tie, wins):
    assert better(score, best, tie) is wins


def test_an_unknown_protocol_names_the_nearest():
    with pytest.raises(BenchError, match="unknown protocol 'quik'") as caught:
        get_protocol("quik")
    assert caught.value.nearest == ["quick"]


def test_a_methods_own_values_take_turns_and_the_preferred_one_wins_a_tie():
    protocol = get_protocol("lm-bff-v1")
    own = {"k": (4, 2)}
    trials = protocol.trials(("lr", "k"), {}, own)
    assert trials == [{"lr": 1e-5, "k": 4}, {"lr": 5e-5, "k": 4}, {"lr": 2e-5, "k": 2}]
    last = replace(protocol, trial_tie="last").trials(("lr", "k"), {}, {"k": (4, 2, 1, 0)})
    assert last == [{"lr": 1e-5, "k": 1}, {"lr": 2e-5, "k": 2}, {"lr": 5e-5, "k": 4}]
    both = protocol.trials(("lr", "batch_size", "k", "m"), {}, {"k": (4, 2), "m": (0, 1)})
    assert [(trial["k"], trial["m"]) for trial in both] == [
        *[(4, 0)] * 3,
        *[(4, 1)] * 2,
        *[(2, 0)] * 2,
        *[(2, 1)] * 2,
    ]


@pytest.mark.parametrize("name", ["lm-bff-v1", "thesis-6-v1"])
def test_amulap_takes_the_largest_k_of_those_that_tie(name):
    """Thesis section 6.4.1, whichever of the grid's pairs goes with a k that is among the best."""
    amulap, protocol = methods()["amulap"], get_protocol(name)
    trials = protocol.trials(amulap.searched({"setting": 3}), {}, amulap.grid)
    assert {trial["k"] for trial in trials} == {1, 2, 4, 8, 16}
    for worse in range(len(trials)):  # all tie but this one
        tied = [trial["k"] for number, trial in enumerate(trials) if number != worse]
        assert tied[0] == max(tied)


def test_where_nothing_is_trained_all_own_values_are_tried():
    protocol, own = get_protocol("lm-bff-v1"), {"k": (4, 2, 1)}
    assert [trial["k"] for trial in protocol.trials(("k",), {}, own)] == [4, 2, 1]
    assert [
        trial["k"] for trial in replace(protocol, trial_tie="last").trials(("k",), {}, own)
    ] == [1, 2, 4]
    assert protocol.trials(("k",), {"k": 2}, own) == protocol.trials((), {}, own) == [{}]


def test_ppt_constants():
    """ppt, appendix C, and its code: 50 epochs of 32 examples in batches of 16."""
    protocol = get_protocol("ppt-v1")
    assert protocol.in_updates(32, 16).max_steps == 50 * 32 // 16 and protocol.k == "total-32"
    assert protocol.seeds == (10, 20, 30, 40, 50)
    assert protocol.grid == {
        "lr": (2e-4, 5e-4, 1e-3),
        "batch_size": (16,),
        "prompt_lr": (5e-3, 1e-2, 2e-2, 5e-2),
    }
    assert (protocol.eval_every, protocol.schedule, protocol.warmup_steps) == (6, "constant", 0)
    assert protocol.weight_decay == 1e-2


OWN = """
[mine]
title = "Mine"
paper = "none"
k = "full"
seeds = [1, 2]
grid = { lr = [1e-4], batch_size = [8] }
epochs = 2.5
evals_per_epoch = 4
warmup_share = 0.1
patience = 2
max_length = { pair = 64 }
schedule = "linear"
weight_decay = 0
max_grad_norm = 1.0
eval_batch_size = 16
checkpoint_tie = "first"
trial_tie = "last"
ddof = 1
"""


def test_epochs_are_counted_in_updates_by_hand():
    """Seven rows in batches of three are three updates an epoch; the last batch is smaller."""
    protocol = replace(
        get_protocol("full"), epochs=2.5, evals_per_epoch=2, warmup_share=0.25, warmup_steps=0
    )
    counted = protocol.in_updates(7, 3)
    assert (counted.max_steps, counted.eval_every, counted.warmup_steps) == (8, 1, 2)
    assert counted.in_updates(100, 1) is counted  # counted once
    ppt = get_protocol("ppt-v1").in_updates(32, 16)
    assert (ppt.max_steps, ppt.eval_every) == (100, 6)  # PPT: 50 epochs, a score each 6 updates
    assert get_protocol("ppt-v1").in_updates(14 * 8, 16).max_steps == 350
    warm = get_protocol("thesis-4-v1").in_updates(3200, 64)
    assert (warm.max_steps, warm.warmup_steps) == (150, 150)  # of 1,000, the peak is not reached


def test_smash_has_its_printed_updates_by_k():
    """smash, appendix A.1: up to {1000, 1000, 2000, 2000, 4000} for K = {16, 32, 64, 128, 256}."""
    smash = get_protocol("smash-v1")
    ks = (8, 16, 32, 64, 128, 256, 512)
    assert [smash.for_run(2, k).max_steps for k in ks] == [1000, 1000, 1000, 2000, 2000, 4000, 4000]
    assert smash.for_run(6, "full").max_steps == 1000
    lengths = [smash.fitted(toy_task(kind)).max_length for kind in ("single", "pair")]
    assert lengths == [64, 128]


def test_no_training_on_the_task_has_a_rate_of_its_own_that_nothing_searches():
    """Left are pretraining on other texts, and two rates as printed: TinyBERT's layers, mu."""
    fixed = {
        f"{method.name}.{setting}"
        for method in methods().values()
        for setting, default in method.settings.items()
        if setting.endswith("lr") and setting not in method.search and default is not None
    }
    assert fixed == {
        "metadistil.teacher_lr",
        "ppt.pretrain_lr",
        "prompt-tuning.pretrain_lr",
        "smash.pretrain_lr",
        "tinybert.layers_lr",
    }


def test_ppt_has_its_printed_rates_by_size():
    """ppt, appendix C, Table 2, by the parameters of T5's sizes."""
    ppt = get_protocol("ppt-v1")
    printed = {
        60e6: (2e-4, 5e-4, 1e-3),
        220e6: (2e-4, 5e-4, 1e-3),
        770e6: (5e-5, 1e-4, 2e-4),
        3e9: (3e-5, 5e-5, 1e-4),
        11e9: (3e-6, 5e-6, 1e-5),
    }
    for parameters, rates in printed.items():
        assert ppt.of_size(int(parameters)).grid["lr"] == rates


def test_parameters_are_counted_from_the_headers(tiny_model):
    from safetensors.torch import load_file

    weights = load_file(next(tiny_model.glob("*.safetensors")))
    assert count_parameters(tiny_model) == sum(tensor.numel() for tensor in weights.values())


def test_a_protocol_of_a_file(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(OWN, "utf-8")
    mine = get_protocol(str(file))
    assert (mine.name, mine.k, mine.epochs, mine.patience, mine.ddof) == ("mine", "full", 2.5, 2, 1)
    assert mine.file == str(file) and mine == get_protocol(f"{file}#mine")
    elsewhere = replace(mine, file="", name="other", title="x", ddof=0)
    assert protocol_hash(mine) == protocol_hash(elsewhere)
    assert protocol_hash(mine) != protocol_hash(replace(mine, patience=3))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("epochs = 2.5", "epochs = 0", "'epochs' is 0"),
        ("patience = 2", "patience = 0", "'patience' is 0"),
        ('k = "full"', 'k = "all"', "'k' is 'all'"),
        ('schedule = "linear"', 'schedule = "cosine"', "'schedule' is 'cosine'"),
        ("seeds = [1, 2]", "seeds = [1, 1]", "'seeds' is"),
        ("lr = [1e-4]", "lr = 1e-4", "'lr' is 0.0001"),
        ("warmup_share = 0.1", "warmup_share = 2", "'warmup_share' is 2"),
        ("patience = 2", "patiense = 2", "unknown key 'patiense'"),
        ("ddof = 1", "", "the key 'ddof' is missing"),
        ("{ pair = 64 }", "{ pairs = 64 }", "unknown format 'pairs'"),
        ("[mine]", "[quick]", "is the name of a protocol of the project"),
        ("[mine]", "[mine", "not TOML"),
    ],
)
def test_mistakes_in_a_protocol_file_are_told_with_their_place(tmp_path, before, after, said):
    file = tmp_path / "mine.toml"
    assert before in OWN
    file.write_text(OWN.replace(before, after), "utf-8")
    with pytest.raises(BenchError) as caught:
        get_protocol(str(file))
    assert said in caught.value.problem and str(file) in str(caught.value)


def test_several_protocols_of_a_file_are_chosen_by_name(tmp_path):
    file = tmp_path / "two.toml"
    file.write_text(OWN + OWN.replace("[mine]", "[other]"), "utf-8")
    assert get_protocol(f"{file}#other").name == "other"
    with pytest.raises(BenchError, match="this file has 2 protocols"):
        get_protocol(str(file))
    with pytest.raises(BenchError, match="there is no protocol 'third'"):
        get_protocol(f"{file}#third")
    with pytest.raises(BenchError, match="no such protocol file"):
        get_protocol(str(tmp_path / "none.toml"))


def test_full_data_needs_epochs():
    with pytest.raises(BenchError, match="trains for 60 updates") as caught:
        check_fits(("full",), get_protocol("quick"))
    assert caught.value.fix == "--k full --protocol full"
    check_fits(("full", 16), get_protocol("full"))


def test_fields_added_later_leave_older_hashes_as_they_are():
    """The hash that stored runs of `quick` have."""
    quick = get_protocol("quick")
    assert protocol_hash(quick) == "35cd80c85cbcf96c"
    for name, value in {
        "epochs": 1.0,
        "patience": 1,
        "dev_most": 5,
        "sizes": ((1.0, (1.0,)),),
    }.items():
        assert protocol_hash(replace(quick, **{name: value})) != protocol_hash(quick)


def test_a_protocol_file_is_validated(bench, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(OWN, "utf-8")
    done = bench("validate", file)
    assert done.returncode == 0
    assert "mine: a protocol, full data, not few-shot, 2 seeds" in done.stdout
    file.write_text(OWN.replace("epochs = 2.5", "epochs = -1"), "utf-8")
    done = bench("validate", file)
    assert done.returncode == 2 and "'epochs' is -1" in done.stdout
