"""Models that run by their own forward pass: scores, heads, training, methods and refusals."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from families import CAUSAL, INFILLING, MASKED, SEES_PADDING

from fewbench.errors import BenchError, ModelError
from fewbench.nn.backbone import Backbone, FocusedEmbedding
from fewbench.nn.batch import Encoded, Tokens, collate
from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import Models
from fewbench.nn.general import GeneralBackbone
from fewbench.nn.int8 import Int8Linear
from fewbench.nn.kinds import open_backbone, prompt_model, view_of
from fewbench.nn.quantize import quantize
from fewbench.nn.soft_prompt import SoftPromptModel
from fewbench.registry.methods import methods
from fewbench.registry.pretrained import find_model
from fewbench.runner.preflight import answer_checks, checks_of, grouped
from fewbench.runner.run import carry_out
from fewbench.store.artifacts import Artifacts
from fewbench.testing import toy_job, toy_rows, toy_task

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")

CPU = torch.device("cpu")
ALL = (*MASKED, *INFILLING, *CAUSAL)
SOME = ("deberta-v2", "mpnet", "modernbert", "bart", "gpt2", "opt", "gemma2", "qwen3")


@pytest.fixture
def backbone(tiny):
    return lambda family: Models(CPU).fresh(find_model(str(tiny(family)))).eval()


def sequences(model, family, lengths=(9, 5, 13)):
    """Return token ids with a mask near their start, and the place that is read: causal ones' last."""
    draw = torch.Generator().manual_seed(1)
    rows = [torch.randint(5, 100, (n,), generator=draw).tolist() for n in lengths]
    found = []
    for number, row in enumerate(rows):
        read = len(row) - 1 if family in CAUSAL else 3 - number
        row[read] = 50 if family in CAUSAL else model.tokenizer.mask_token_id
        found.append(Tokens(tuple(row), (0,) * len(row), read))
    return found


def batch_of(tokens):
    return collate([Encoded((each,), None) for each in tokens], CPU)


@torch.no_grad()
@pytest.mark.parametrize("family", ALL)
def test_scores_are_the_models_own(backbone, family):
    model = backbone(family)
    tokens = sequences(model, family)
    batch = batch_of(tokens)
    scores = model.vocabulary_scores(batch)
    for each, found in zip(tokens, scores, strict=True):  # one by one, so without any padding
        own = model.model(input_ids=torch.tensor([each.ids])).logits[0, each.read]
        torch.testing.assert_close(found, own, atol=2e-5, rtol=1e-4)
    words = torch.tensor([7, 5, 11, 7])
    torch.testing.assert_close(model.word_scores(batch, words), scores[:, words])
    torch.testing.assert_close(model.vocabulary_scores_of(model.read(batch)), scores)
    reads = model.reads(batch)
    assert len(reads) == model.depth == 2
    torch.testing.assert_close(reads[-1], model.read(batch))
    assert {tuple(states.shape) for states in model.hidden_states(batch)} == {(27, 16)}


@torch.no_grad()
def test_a_logit_is_a_row_of_the_projection_and_its_input(backbone):
    model = backbone("deberta-v2")
    batch, words = batch_of(sequences(model, "deberta-v2")), torch.tensor([7, 5])
    rows, bias = model.word_rows(words)
    inputs = model.projected(model.read(batch))
    torch.testing.assert_close(inputs @ rows.T + bias, model.word_scores(batch, words))


def test_the_packed_view_is_chosen_where_there_is_one(tiny):
    for family in ("bert", "roberta", "distilbert", "albert", "electra"):
        assert view_of(find_model(str(tiny(family)))).backbone is Backbone
    for family in SOME:
        assert issubclass(view_of(find_model(str(tiny(family)))).backbone, GeneralBackbone)


@torch.no_grad()
def test_both_views_of_a_family_agree(tiny):
    ref = find_model(str(tiny("bert")))
    packed = open_backbone(ref)
    general = GeneralBackbone(packed.model, packed.tokenizer, ref)
    for kind in ("single", "pair", "choice"):
        head = HeadModel(packed, toy_task(kind)).eval()
        batch = head.collate(head.encode(toy_rows(head.task).train[:5]))
        torch.testing.assert_close(general.read(batch), packed.read(batch), atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(
            general.vocabulary_scores(batch), packed.vocabulary_scores(batch), atol=2e-5, rtol=1e-4
        )


@pytest.mark.parametrize("family", SEES_PADDING)
def test_models_whose_answers_hang_on_padding_are_refused(tiny, family):
    with pytest.raises(ModelError, match="batch"):
        open_backbone(find_model(str(tiny(family))))


@torch.no_grad()
@pytest.mark.parametrize("kind", ["single", "pair", "choice"])
def test_a_head_reads_the_last_token_of_a_causal_model(backbone, kind):
    model = HeadModel(backbone("llama"), toy_task(kind)).eval()
    encoded = model.encode(toy_rows(model.task).train[:4])
    rows = [tokens.ids for example in encoded for tokens in example.sequences]
    states = [
        model.backbone.model.model(torch.tensor([ids])).last_hidden_state[0, -1] for ids in rows
    ]
    found = model(model.collate(encoded))
    own = model.output(torch.stack(states)).view_as(found)
    torch.testing.assert_close(found, own, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_head_reads_the_decoder_at_the_last_token(backbone):
    """As in transformers' own classifier of BART."""
    model = HeadModel(backbone("bart"), toy_task("pair")).eval()
    encoded = model.encode(toy_rows(model.task).train[:4])
    for row, example in zip(model(model.collate(encoded)), encoded, strict=True):
        ids = torch.tensor([example.sequences[0].ids])
        own = model.backbone.model.model(ids).last_hidden_state[:, -1]
        torch.testing.assert_close(row, model.output(own)[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", SOME)
def test_focus_changes_nothing_but_the_cost(tiny, family):
    after = []
    for focus in (False, True):
        backbone = Models(CPU).fresh(find_model(str(tiny(family)))).eval()
        model = prompt_model(backbone, toy_task("single")).eval()
        encoded = model.encode(toy_rows(model.task).train[:6])
        seen = {token for example in encoded for token in example.sequences[0].ids}

        def steps(backbone=backbone, model=model, encoded=encoded):
            trained = [p for p in backbone.parameters() if p.requires_grad]
            optimizer = torch.optim.AdamW(trained, 1e-3, weight_decay=0.0)
            for _ in range(3):
                optimizer.zero_grad()
                model.loss(model.collate(encoded)).backward()
                optimizer.step()

        if focus:
            with backbone.focused(seen | set(model.extra_tokens())):
                focused = isinstance(backbone.model.get_input_embeddings(), FocusedEmbedding)
                assert focused or family in ("bart", "gemma2")  # whose embeddings scale
                steps()
        else:
            steps()
        after.append({name: p.detach().clone() for name, p in backbone.model.named_parameters()})
    assert after[0].keys() == after[1].keys()
    for name in after[0]:
        torch.testing.assert_close(after[1][name], after[0][name], atol=2e-5, rtol=1e-4, msg=name)


@torch.no_grad()
@pytest.mark.parametrize("family", SOME)
def test_vectors_stand_in_the_place_of_tokens(tiny, family):
    """A soft prompt whose vectors are a token's embeddings is that token."""
    soft, plain = (Models(CPU).fresh(find_model(str(tiny(family)))).eval() for _ in "12")
    words = plain.model.get_input_embeddings()(torch.tensor([20, 30]))
    model = SoftPromptModel(soft, toy_task("single"), words).eval()
    encoded = model.encode(toy_rows(model.task).train[:3])
    named = []
    for example in encoded:
        (tokens,) = example.sequences
        named.append(tokens._replace(ids=(20, 30, *tokens.ids[2:])))
    torch.testing.assert_close(
        soft.read(model.collate(encoded)), plain.read(batch_of(named)), atol=1e-5, rtol=1e-4
    )


@torch.no_grad()
@pytest.mark.parametrize("family", ["deberta-v2", "bart", "gpt2", "llama"])
def test_int8_layers_stay_close(backbone, family):
    model = backbone(family)
    batch = batch_of(sequences(model, family))
    before, linears = model.read(batch), len(model.linears())
    quantize(model)
    layers = [module for module in model.model.modules() if isinstance(module, Int8Linear)]
    assert len(layers) == linears >= 8 and not model.linears()
    assert 0 < (model.read(batch) - before).abs().max() < 0.1 * before.abs().max()


WITHOUT_LAYERS = (
    "amulap",
    "ft",
    "kd",
    "prompt-ft",
    "prompt-tuning",
    "ptq",
    "vanilla-kd",
    "zero-shot",
)


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("llama", WITHOUT_LAYERS),
        ("bart", ("ft", "prompt-ft")),
        ("deberta-v2", ("pkd", "prompt-ft")),
    ],
)
def test_methods_that_need_no_layers_run(tiny, tmp_path, family, names):
    models, artifacts = Models(CPU), Artifacts(tmp_path)
    for name in names:
        job = toy_job(methods()[name], tiny(family))
        assert not any(chain.from_iterable(refusals(job, models)))
        for needed in reversed(job.lineage):
            record, predictions = carry_out(needed, models, 1, artifacts)
            assert record.status == "ok", f"{name}: {record.error}"
    _, repeated = carry_out(job, models, 1, artifacts)
    assert np.array_equal(predictions.array, repeated.array)


@pytest.mark.parametrize("name", ["ft", "prompt-ft"])
def test_a_model_that_narrows_its_last_states_trains(tiny, tmp_path, name):
    """OPT-350m projects them from 1,024 to 512."""
    from transformers import AutoTokenizer, OPTConfig, OPTForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tiny("opt"))
    config = OPTConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        ffn_dim=32, max_position_embeddings=160, word_embed_proj_dim=8, pad_token_id=0,
        bos_token_id=2, do_layer_norm_before=False,
    )  # fmt: skip
    OPTForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    record, _ = carry_out(toy_job(methods()[name], tmp_path), Models(CPU), 1)
    assert record.status == "ok", record.error


def test_prompt_ft_learns(tiny):
    job = toy_job(methods()["prompt-ft"], tiny("llama"), settings={"lr": 3e-3, "batch_size": 6})
    job = replace(job, protocol=replace(job.protocol, max_steps=40, eval_every=20))
    record, _ = carry_out(job, Models(CPU), 1)
    losses = record.details["losses"]
    assert losses[-1] < 0.8 * losses[0]


def refusals(job, models=None):
    """Return by question what is refused before anything runs."""
    return [answer_checks(checks, models or Models(CPU)) for checks in grouped(checks_of([job]))]


@pytest.mark.parametrize("name", ["truncate", "theseus", "head-prune", "pabee", "layerdrop"])
def test_methods_that_need_layers_refuse_before_anything_runs(tiny, name):
    answers = chain.from_iterable(refusals(toy_job(methods()[name], tiny("deberta-v2"))))
    assert any("layers of a 'deberta-v2' cannot be chosen" in str(each) for each in answers)


def test_a_template_that_goes_on_after_its_mask_is_refused_by_all_prompted_methods(tiny):
    for name in ("prompt-ft", "zero-shot"):
        job = toy_job(methods()[name], tiny("gpt2"), toy_task("pair"))
        assert "cannot read what follows the mask" in str(refusals(job))


def test_amulap_refuses_such_a_template_too(backbone):
    from fewbench.nn.many_words import ManyWordsModel

    with pytest.raises(BenchError, match="cannot read what follows the mask"):
        ManyWordsModel(backbone("gpt2"), toy_task("pair"))
