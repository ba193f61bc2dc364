"""mT5: a sentinel that is a piece with its word boundary, an output layer of its own, Chinese words
of one piece (ppt, Table 4 and appendix B).
"""

from __future__ import annotations

import pytest
import torch
from conftest import WORDS
from safetensors.torch import load_file, save_file

from fewbench.methods.ppt.formats import CHINESE, check_forms, form_task
from fewbench.nn.fit_context import Models
from fewbench.nn.kinds import prompt_model
from fewbench.nn.seq2seq import Seq2SeqBackbone
from fewbench.registry.methods import methods
from fewbench.registry.pretrained import find_model
from fewbench.store.artifacts import Artifacts
from fewbench.testing import run_job, toy_job, toy_rows, toy_task
from fewbench.types import Example

BOUNDARY = "\N{LOWER ONE EIGHTH BLOCK}"
CPU = torch.device("cpu")
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,.?!:'-<>_"
CHINESE_PIECES = (
    "矛盾",
    "中立",
    "相似",
    "不好",
    "一般",
    *"差好赞一二三四五六七八九十这很。？、问题：答案是你",
)


@pytest.fixture(scope="module")
def mt5(tmp_path_factory):
    """A folder with a small random mT5; its sentinels are no special tokens, as in the real one."""
    import transformers as hf
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = [*WORDS, "It", *"ABCDEFGHIJKLMNOP", "No", "Maybe", "Yes", *CHINESE_PIECES]
    pieces = {"<pad>": 0.0, "</s>": 0.0, "<unk>": 0.0}
    pieces |= {BOUNDARY + word: -3.0 for word in words if word.isascii() and word.isalpha()}
    pieces |= dict.fromkeys((BOUNDARY, *LETTERS), -9.0)
    pieces |= {word: -4.0 for word in CHINESE_PIECES}
    pieces |= {f"{BOUNDARY}<extra_id_{n}>": 0.0 for n in (1, 0)}
    backend = Tokenizer(models.Unigram(list(pieces.items()), unk_id=2, byte_fallback=False))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer = hf.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", eos_token="</s>"
    )
    torch.manual_seed(0)
    config = hf.MT5Config(
        vocab_size=len(tokenizer) + 12,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_decoder_layers=1,
        num_heads=2,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=16,
        tie_word_embeddings=False,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )
    folder = tmp_path_factory.mktemp("mt5")
    hf.MT5ForConditionalGeneration(config).save_pretrained(folder, safe_serialization=True)
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] = torch.randn(config.vocab_size, config.d_model)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def backbone(mt5) -> Seq2SeqBackbone:
    return Models(CPU).fresh(find_model(str(mt5))).eval()


def shown(model, *texts, options=()):
    (tokens,) = model.encode([Example("x", texts, options=options)])[0].sequences
    pieces = model.backbone.tokenizer.convert_ids_to_tokens(tokens.ids)
    assert pieces[tokens.read] == f"{BOUNDARY}<extra_id_0>"
    return pieces


def test_the_head_is_its_own(backbone):
    model = backbone.model
    assert type(model).__name__ == "MT5ForConditionalGeneration"
    assert model.get_output_embeddings().weight is not model.get_input_embeddings().weight


@torch.no_grad()
@pytest.mark.parametrize("kind", ["single", "pair", "choice", "regression"])
def test_scores_are_the_models_own_after_the_sentinel(backbone, kind):
    model = prompt_model(backbone, toy_task(kind)).eval()
    encoded = model.encode(toy_rows(model.task).train[:5])
    scores = model(model.collate(encoded))
    everything = backbone.vocabulary_scores(model.collate(encoded))
    sentinel = backbone.tokenizer.convert_tokens_to_ids(f"{BOUNDARY}<extra_id_0>")
    words = [
        backbone.tokenizer.convert_tokens_to_ids(BOUNDARY + group[0]) for group in model.task.words
    ]
    for row, whole, example in zip(scores, everything, encoded, strict=True):
        (tokens,) = example.sequences
        own = backbone.model(
            input_ids=torch.tensor([tokens.ids]), decoder_input_ids=torch.tensor([[0, sentinel]])
        ).logits[0, -1]
        torch.testing.assert_close(whole, own, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(row, own[words], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("template", "text", "pieces"),
    [
        ("{0} It was {mask}.", "the cat", "_the _cat _It _was _<extra_id_0> . </s>"),
        ("{0}。这很{mask}。", "你好", "_ 你 好 。 这 很 _<extra_id_0> 。 </s>"),
        ("{mask} : {0}", "the cat", "_<extra_id_0> _ : _the _cat </s>"),
    ],
)
def test_the_sentinel_is_one_piece_wherever_it_stands(backbone, template, text, pieces):
    model = prompt_model(backbone, toy_task("single", template=template))
    assert " ".join(shown(model, text)).replace(BOUNDARY, "_") == pieces


def test_a_sentinel_in_a_text_is_text(backbone):
    model = prompt_model(backbone, toy_task("single"))
    found = shown(model, "a <extra_id_0> and <extra_id_1>")
    assert found.count(f"{BOUNDARY}<extra_id_0>") == 1
    assert f"{BOUNDARY}<extra_id_1>" not in found


@pytest.mark.parametrize("kind", CHINESE)
def test_the_chinese_forms_of_ppt_fit_it(backbone, kind):
    form = form_task(kind, backbone, 5, chinese=True)
    model = prompt_model(backbone, form)
    texts = ("你好",) if form.format == "single" else ("你好", "不好")
    options = ("你", "好") if form.format == "choice" else ()
    assert f"{BOUNDARY}<extra_id_0>" in shown(model, *texts, options=options)
    if form.format != "choice":
        task = toy_task(form.format)
        check_forms(task, backbone, 5, hybrid=False, unified=False, chinese=True)


@pytest.mark.parametrize("method", ["ppt", "prompt-tuning"])
def test_prompts_are_trained_before_it(mt5, tmp_path, method):
    settings = {"tokens": 4, "over": "vocabulary"}
    if method == "ppt":
        settings |= {"pretrain_steps": 2, "pretrain_batch": 2}
    job = toy_job(methods()[method], mt5, toy_task("pair"), settings=settings)
    record, _ = run_job(job, Artifacts(tmp_path))
    assert record.error is None and record.details["soft_prompt"]["tokens"] == 4
