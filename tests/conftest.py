"""Fixtures: the shared real data if it is there, and tiny models made here."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import atexit
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import families
import pytest
from command_server import CommandServer, settled
from read_once import read_once

if "PYTEST_XDIST_WORKER" not in os.environ:  # whose workers share one
    os.environ["FEWBENCH_CACHE"] = tempfile.mkdtemp(prefix="fewbench-tests-")
    atexit.register(shutil.rmtree, os.environ["FEWBENCH_CACHE"], ignore_errors=True)

PROJECT = Path(__file__).resolve().parents[1]
SHARED = PROJECT.parent / "shared"


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell's background job starts with SIGINT ignored, and so would every process of these
    tests.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def libraries_keep_their_environment() -> Iterator[None]:
    """A test that leaves such a variable changed makes each later command a process that imports
    all libraries anew (`commands`): seconds each, and no failure to see it by.
    """
    before = settled(os.environ)
    yield
    assert settled(os.environ) == before


@pytest.fixture(scope="session", autouse=True)
def files_read_once() -> None:
    """Choosing one method or task reads the files of all, and many tests choose many times."""
    read_once()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Two torch threads fight on a busy machine, and change the last bits."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and models beside the project."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs the real data in ../shared, which is not here")
    return SHARED


WORDS = (
    "great good okay bad terrible yes no maybe correct incorrect a b c d the film was it this is and , . ? ! : "
    "movie dull lovely acting plot boring wonderful waste brilliant poor cat dog sat on mat answer"
).split()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a maker of random two-layer models with a word-level tokenizer, one folder a family."""
    made: dict[str, Path] = {}

    def make(family: str = "bert") -> Path:
        if family not in made:
            made[family] = make_model(family, tmp_path_factory.mktemp(f"tiny-{family}"))
        return made[family]

    return make


@pytest.fixture(scope="session")
def tiny_model(tiny: Callable[..., Path]) -> Path:
    """A folder with a random two-layer BERT and its tokenizer."""
    return tiny("bert")


def make_model(family: str, folder: Path, tokenizer: Any = None) -> Path:
    """Save a random masked or causal language model of a family with a tokenizer."""
    import torch
    import transformers as hf

    torch.manual_seed(0)
    tokenizer = tokenizer or make_tokenizer(folder)
    small: dict[str, Any] = dict(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2
    )
    usual = small | dict(intermediate_size=32, max_position_embeddings=160, pad_token_id=0)
    configs: dict[str, Any] = {
        "bert": lambda: hf.BertConfig(**usual),
        "roberta": lambda: hf.RobertaConfig(**usual, type_vocab_size=1),
        "distilbert": lambda: hf.DistilBertConfig(
            vocab_size=len(tokenizer),
            dim=16,
            n_layers=2,
            n_heads=2,
            hidden_dim=32,
            max_position_embeddings=160,
        ),
        "albert": lambda: hf.AlbertConfig(**usual, embedding_size=8),
        "electra": lambda: hf.ElectraConfig(**usual, embedding_size=8),
    }
    causal: dict[str, Any] = {
        "gpt2": lambda: hf.GPT2Config(
            vocab_size=len(tokenizer),
            n_embd=16,
            n_layer=2,
            n_head=2,
            n_positions=160,
            bos_token_id=2,
            eos_token_id=3,
        ),
        "gpt_neox": lambda: hf.GPTNeoXConfig(**usual, bos_token_id=2, eos_token_id=3),
        "llama": lambda: hf.LlamaConfig(**usual, bos_token_id=2, eos_token_id=3),
        "opt": lambda: hf.OPTConfig(
            **small,
            ffn_dim=32,
            max_position_embeddings=160,
            word_embed_proj_dim=16,
            pad_token_id=0,
            bos_token_id=2,
        ),
    }
    auto = hf.AutoModelForMaskedLM
    if family in families.INFILLING:
        auto = hf.AutoModelForSeq2SeqLM
    elif family in families.CAUSAL:
        auto = hf.AutoModelForCausalLM
    general = families.general_configs(len(tokenizer))
    model = auto.from_config((configs | general | causal)[family]())
    for (
        parameter
    ) in model.parameters():  # biases and norms off their trivial start, so that tests see them
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


def make_tokenizer(folder: Path) -> Any:
    """Return a small WordPiece tokenizer with BERT's special tokens."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz0123456789'-"
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *WORDS,
        *letters,
        *("##" + letter for letter in letters),
    ]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


@pytest.fixture(scope="session")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small T5 and a SentencePiece-like tokenizer, trained on cloze sentences of
    the toy tasks' words.

    After a few seconds it says what stood at <extra_id_0> in "the film was wonderful. It was
    <extra_id_0>."."""
    return make_t5(tmp_path_factory.mktemp("tiny-t5"))


CLOZE = {
    "terrible": ("boring", "bad", "poor"),
    "okay": ("dull", "good"),
    "great": ("wonderful", "lovely", "brilliant"),
}


def make_t5(folder: Path, *, steps: int = 300) -> Path:
    """Save a T5 trained by span corruption on sentences whose last word goes with another
    (`CLOZE`).
    """
    import torch
    import transformers as hf

    torch.manual_seed(0)
    rng = random.Random(0)
    tokenizer = make_t5_tokenizer()
    config = hf.T5Config(
        vocab_size=len(tokenizer) + 3,  # as in the real ones, more rows than tokens
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=16,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        initializer_factor=0.5,
    )
    model = hf.T5ForConditionalGeneration(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(steps):
        words = [rng.choice([*CLOZE]) for _ in range(16)]
        said = [
            f"{rng.choice(SUBJECTS)} was {rng.choice(CLOZE[word])} {rng.choice('abcd')}. It was <extra_id_0>."
            for word in words
        ]
        given = tokenizer(said, padding=True, return_tensors="pt")
        wanted = tokenizer(
            [f"<extra_id_0> {word}" for word in words], padding=True, return_tensors="pt"
        ).input_ids
        loss = model(
            input_ids=given.input_ids,
            attention_mask=given.attention_mask,
            labels=wanted.masked_fill(wanted == 0, -100),
        ).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval().save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


def make_t5_tokenizer() -> Any:
    """Return a small unigram tokenizer as T5's: word boundaries are pieces, </s> ends a text,
    sentinels are special.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    boundary = "\N{LOWER ONE EIGHTH BLOCK}"
    known = (*WORDS, "It", *"ABCDEFGHIJKLMNOP", "No", "Maybe", "Yes")
    words = dict.fromkeys(boundary + word for word in known if word.isalpha())
    letters = dict.fromkeys(
        (boundary, *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,.?!:'-")
    )
    pieces = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        *((w, -3.0) for w in words),
        *((c, -9.0) for c in letters),
    ]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(["<extra_id_0>", "<extra_id_1>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token="</s>"
    )


@pytest.fixture(scope="session")
def commands() -> Iterator[CommandServer]:
    """The process that the commands of tests are forked from."""
    server = CommandServer()
    yield server
    server.close()


@pytest.fixture
def bench(commands: CommandServer) -> Callable[..., Any]:
    """Run the command line in a process of its own: `bench("ls", "tasks").stdout`.

    It is forked from one that has loaded the libraries, if these would be no others, and unless
    `forked=False`: what its workers write to stderr is seen then.
    """

    def run(
        *arguments: object, forked: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        given = [*map(str, arguments)]
        environment = options.get("env") or os.environ
        if forked and commands.can_run(environment) and options.keys() <= {"cwd", "env"}:
            folder = str(options.get("cwd") or Path.cwd())
            return commands.run(given, environment, folder, timeout=300)
        command = [sys.executable, "-m", "fewbench", *given]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=300, check=False, **options
        )

    return run


SUBJECTS = (
    "the cat",
    "a dog",
    "the king",
    "a queen",
    "the old film",
    "this plot",
    "my sister",
    "the small band",
)
VERBS = ("sat on", "looked at", "ran from", "sang about", "was near", "wrote of")
OBJECTS = (
    "the mat",
    "a river",
    "the city",
    "a guitar",
    "great acting",
    "a terrible war",
    "the green hill",
)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 150 documents of 8 sentences."""
    rng = random.Random(3)
    folder = tmp_path_factory.mktemp("corpus")
    lines = []
    for number in range(150):
        sentences = [
            f"{rng.choice(SUBJECTS)} {rng.choice(VERBS)} {rng.choice(OBJECTS)}." for _ in range(8)
        ]
        lines.append(json.dumps({"title": str(number), "sentences": sentences}))
    (folder / "a.jsonl").write_text("\n".join(lines), "utf-8")
    return folder


ATTACK_TAGS = {
    **dict.fromkeys(("film", "movie", "cat", "run", "plot", "picture"), "NN"),
    **dict.fromkeys(("watch", "love", "see", "viewing"), "VB"),
    **dict.fromkeys(("good", "great", "fine", "bad", "dull", "nice", "boring"), "JJ"),
    **dict.fromkeys(("well", "badly"), "RB"),
}
NEAR_WORDS = {
    "good": ["great", "well", "nice", "fine"],
    "film": ["movie", "viewing", "picture"],
    "bad": ["dull", "boring", "badly"],
    "watch": ["see", "love"],
}


@pytest.fixture(scope="session")
def nltk_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as NLTK's data has it: a tagger by a word list, and stop words."""
    import zipfile

    folder = tmp_path_factory.mktemp("nltk_data")
    name = "averaged_perceptron_tagger_eng"
    (folder / "taggers" / name).mkdir(parents=True)
    (folder / "corpora").mkdir()
    files = {
        "weights": {"bias": {"NN": 0.5}},
        "tagdict": ATTACK_TAGS,
        "classes": ["NN", "VB", "JJ", "RB"],
    }
    for what, content in files.items():
        (folder / "taggers" / name / f"{name}.{what}.json").write_text(json.dumps(content), "utf-8")
    with zipfile.ZipFile(folder / "taggers" / "universal_tagset.zip", "w") as archive:
        archive.writestr("universal_tagset/en-ptb.map", "NN\tNOUN\nVB\tVERB\nJJ\tADJ\nRB\tADV\n")
    with zipfile.ZipFile(folder / "corpora" / "stopwords.zip", "w") as archive:
        archive.writestr("stopwords/english", "the\na\nis\nit\nthis\n")
    return folder


@pytest.fixture(scope="session")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of near words, for attacks."""
    file = tmp_path_factory.mktemp("attack") / "near.json"
    file.write_text(json.dumps(NEAR_WORDS), "utf-8")
    return file


@pytest.fixture(scope="session")
def resources(neighbours: Path, nltk_data: Path) -> Any:
    """All that an attack takes besides the model, read from their files."""
    from fewbench.measure.attack.resources import read_resources

    return read_resources(neighbours, nltk_data, None)


@pytest.fixture
def store(tmp_path: Path) -> Any:
    """Return an empty store; its folder is not there yet."""
    from fewbench.store.store import Store

    return Store(tmp_path / "results")


@pytest.fixture
def inputs(request, tmp_path):
    """Return the settings without which some methods do not run, by the method's name."""

    from fewbench.registry.named_inputs import named_model

    def of(name: str):
        if name == "prompt-kd-bt":
            return {"paraphrases": paraphrases_of_toys(tmp_path)}
        if name == "auto-t":
            generator = named_model(str(request.getfixturevalue("tiny_t5")))
            return {"generator": generator, "beam": 4, "longest": 8}
        return {}

    return of


def paraphrases_of_toys(folder):
    from fewbench.registry.named_inputs import named_file
    from fewbench.testing import toy_rows, toy_task
    from fewbench.types import KINDS

    texts = {text for kind in KINDS for e in toy_rows(toy_task(kind)).train for text in e.texts}
    file = folder / "paraphrases.jsonl"
    lines = [json.dumps({"text": text, "paraphrases": ["so " + text]}) for text in sorted(texts)]
    file.write_text("\n".join(lines))
    return named_file(str(file))
