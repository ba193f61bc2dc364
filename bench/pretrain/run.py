"""One pretraining run, from its request to a model folder.

The folder OUT holds the model once it is finished, and OUT/work what is needed to go on: recipe,
tokenizer, packed text and checkpoint.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fewbench.data.documents import HUB, corpus_files, training
from fewbench.errors import BenchError, ModelError
from fewbench.io.atomic import write_whole
from fewbench.nn.families import family_of
from fewbench.nn.load import load
from fewbench.nn.prune import keep_layers
from fewbench.pretrain import model as models
from fewbench.pretrain.card import card
from fewbench.pretrain.context import Context
from fewbench.pretrain.masking import Choose, Vocabulary, build, parse
from fewbench.pretrain.objective import Objective, check_teacher, distillation, masked_words
from fewbench.pretrain.packing import held_out_rows, pack
from fewbench.pretrain.recipe import Recipe
from fewbench.pretrain.states import Targets, WordPairing, states_objective
from fewbench.pretrain.train import Precision, TrainingProgress, TrainingText, Watch, train
from fewbench.pretrain.wordpiece import label_words, learn
from fewbench.types import Json, ModelRef

TOKENIZER_DOCUMENTS = 4  # every fourth document settles the pieces
MAPS = "state_maps"
"""The name under which a model holds the maps to a teacher's states while it is trained."""
PMI_ROWS = 60_000  # rows of each corpus that the PMI matrix of initial embeddings is counted on


@dataclass(frozen=True)
class PretrainRequest:
    """A request to pretrain a model.

    Args:
        recipe: how.
        corpora: sources, as `documents` takes them.
        out: the folder to write.
        start: a model to continue from; None for a new one.
        teacher: of the objective `distil`.
        tokenizer: a model whose tokenizer a new model uses; None learns one, or takes the
            teacher's.
        device: a torch device.
        cache: where packed corpora are kept; by default in OUT/work.
        measure: more to measure at every point of the curve.
    """

    recipe: Recipe
    corpora: Sequence[str]
    out: Path
    start: ModelRef | None = None
    teacher: ModelRef | None = None
    tokenizer: ModelRef | None = None
    device: str = "cpu"
    cache: Path | None = None
    measure: Callable[[Any, Any], Json] = field(default=lambda model, tokenizer: {})

    def identity(self) -> Json:
        """Return all that a run folder must agree on to be gone on with."""
        refs = {name: getattr(self, name) for name in ("start", "teacher", "tokenizer")}
        return {
            **dataclasses.asdict(self.recipe),
            "corpora": [source.rstrip("/").rsplit("/", 1)[-1] for source in self.corpora],
            **{
                name: None if ref is None else f"{ref.name} {ref.revision}"
                for name, ref in refs.items()
            },
        }


def pretrain(
    request: PretrainRequest,
    say: Callable[[str], None],
    on_update: Callable[[int, dict[str, float]], None] = lambda update, terms: None,
) -> Json:
    """Pretrain a model, or resume an earlier run, and return the report written to training.json.

    Raises:
        BenchError: the folder belongs to another recipe, or what was asked does not fit together.
        DataError, ModelError: a corpus or a model that cannot be used.
    """
    check_request(request)
    work = request.out / "work"
    _claim(request, work)
    done = request.out / "training.json"
    if done.exists():
        say("nothing to do: this model is finished")
        return dict(json.loads(done.read_text("utf-8")))
    tokenizer = _tokenizer(request, work, say)
    say("packing the corpora")
    packed = [
        pack(source, tokenizer, request.recipe.length, request.cache or work)
        for source in request.corpora
    ]
    vocabulary = vocabulary_of(tokenizer)
    rows = [p.train for p in packed]
    around = Context(rows, vocabulary, tokenizer.sep_token_id) if request.recipe.context else None
    text = TrainingText(rows, held_out_rows(packed), vocabulary, tokenizer.mask_token_id, around)
    size = sum(part.size for part in rows)
    say(f"{size / 1e6:.1f}M tokens to train on, {text.held_out.size} held out to measure")
    model = _model(
        request, tokenizer, text, fresh=not (work / "checkpoint.safetensors").exists(), say=say
    )
    dropout = models.stop_dropout(model)
    objective = _objective(request, model, tokenizer, text)
    choose: Choose = build(request.recipe.masking, np.concatenate(rows), vocabulary)
    watch = Watch(on_update, lambda model: request.measure(model, tokenizer))
    progress = train(
        request.recipe, model, text, choose, objective, work / "checkpoint.safetensors", watch
    )
    if hasattr(model, MAPS):
        delattr(model, MAPS)
    report = _report(request, model, progress, text)
    model.config.update(dropout)
    _write(request.out, work, model, tokenizer, report)
    return report


def check_request(request: PretrainRequest) -> None:
    """Refuse what does not fit together before anything is read.

    Raises:
        BenchError: no corpus, an unknown masking strategy, `distil` without a teacher or a teacher
            without it, …
    """
    parse(request.recipe.masking)
    for source in request.corpora:
        if not source.startswith(HUB):
            corpus_files(source)
    if not request.corpora:
        raise BenchError(
            "there is no corpus to train on", fix="--corpus FOLDER, once for each corpus"
        )
    if (request.recipe.objective != "mlm") != (request.teacher is not None):
        wanted = "needs a teacher" if request.teacher is None else "takes no teacher"
        raise BenchError(
            f"the objective '{request.recipe.objective}' {wanted}",
            fix="--teacher MODEL"
            if request.teacher is None
            else "--objective distil, or --objective states",
        )
    if request.recipe.batch < len(request.corpora):
        raise BenchError(
            f"a batch of {request.recipe.batch} rows for {len(request.corpora)} corpora",
            fix="--batch",
        )
    if request.recipe.keep and request.start is None:
        raise BenchError(
            "the recipe keeps layers of a model to start from, and there is none",
            fix="--start MODEL",
        )


def vocabulary_of(tokenizer: Any) -> Vocabulary:
    """Return the ids that are special tokens and the ids that continue a word."""
    size = len(tokenizer)
    pieces = tokenizer.convert_ids_to_tokens(list(range(size)))
    special = np.zeros(size, bool)
    special[tokenizer.all_special_ids] = True
    if any(piece.startswith("##") for piece in pieces):
        continues = np.array([piece.startswith("##") for piece in pieces])
    else:  # byte-level and sentence pieces mark the beginnings of words
        continues = np.array([not piece.startswith(("Ġ", "▁")) for piece in pieces])
    return Vocabulary(special, continues & ~special)


def _claim(request: PretrainRequest, work: Path) -> None:
    """Write the recipe to the folder, or refuse a folder of another recipe."""
    file = work / "recipe.json"
    requested = json.loads(json.dumps(request.identity()))
    if not file.exists():
        if (request.out / "config.json").exists():
            raise BenchError(
                "there is a model in this folder already",
                where=str(request.out),
                fix="another --out",
            )
        write_whole(file, json.dumps(requested, indent=1).encode() + b"\n")
        return
    stored = json.loads(file.read_text("utf-8"))
    if stored != requested:
        name = next(name for name in requested if stored.get(name) != requested[name])
        raise BenchError(
            f"this folder holds a pretraining with {name} = {stored.get(name)!r}, "
            f"not {requested[name]!r}",
            where=str(file),
            fix="the same settings to go on with it, or another --out",
        )


def _some(corpora: Sequence[str]) -> Iterator[str]:
    """Yield the documents that a tokenizer is learned from."""
    for source in corpora:
        for number, document in enumerate(training(source)):
            if number % TOKENIZER_DOCUMENTS == 0:
                yield " ".join(document)


def _tokenizer(request: PretrainRequest, work: Path, say: Callable[[str], None]) -> Any:
    """Return the tokenizer asked for, else the teacher's to distil from, else a learned one."""
    shared = request.teacher if request.recipe.objective == "distil" else None
    given = request.start or request.tokenizer or shared
    folder = Path(given.path) if given else work / "tokenizer"
    if given is None and not folder.exists():
        say(f"learning a tokenizer of {request.recipe.vocabulary} tokens")
        _learn_tokenizer(request, folder)
    return _open_tokenizer(folder)


def _learn_tokenizer(request: PretrainRequest, folder: Path) -> None:
    """Learn a tokenizer from the corpora, and write it to a folder as a whole."""
    learned = learn(
        lambda: _some(request.corpora),
        request.recipe.vocabulary,
        label_words(request.recipe.words),
        request.recipe.alphabet,
    )
    partial = folder.with_name(f"{folder.name}.tmp")
    learned.save_pretrained(partial)
    partial.replace(folder)


def _open_tokenizer(folder: Path) -> Any:
    """Load a tokenizer.

    Raises:
        ModelError: it cannot be loaded, is no fast one, or lacks a special token.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(f"this tokenizer cannot be loaded: {error}", where=str(folder)) from error
    missing = [
        name
        for name in ("mask", "cls", "sep", "pad")
        if getattr(tokenizer, f"{name}_token_id") is None
    ]
    if missing or not tokenizer.is_fast:
        raise ModelError(
            f"the tokenizer has no {missing[0]} token"
            if missing
            else "the tokenizer is no fast one",
            where=str(folder),
            allowed="tokenizers of masked language models",
        )
    return tokenizer


def _model(
    request: PretrainRequest,
    tokenizer: Any,
    text: TrainingText,
    *,
    fresh: bool,
    say: Callable[[str], None],
) -> Any:
    recipe = request.recipe
    if request.start is None:
        model = models.new_model(recipe, tokenizer)
        if fresh:
            say("first weights")
            counts = np.zeros(len(tokenizer))
            for rows in text.train:
                counts += np.bincount(np.asarray(rows[:PMI_ROWS]).ravel(), minlength=len(tokenizer))
            counts[text.vocabulary.special] = 0
            models.start_at_unigrams(model, torch.from_numpy(counts))
            if recipe.embeddings == "pmi":
                models.start_at_pmi(
                    model, text.train, text.vocabulary.special, PMI_ROWS, recipe.seed
                )
            if recipe.attention == "neighbours":
                models.start_at_neighbours(model)
    else:
        model = load(request.start).model
        if recipe.keep:
            keep_layers(model, recipe.keep)
            models.start_silent(model, recipe.keep)
    family_of(model)
    limit = model.config.max_position_embeddings
    if recipe.length > limit:
        raise ModelError(
            f"rows of {recipe.length} tokens, and the model takes {limit}", fix=f"--length {limit}"
        )
    return model.to(request.device)


def _objective(
    request: PretrainRequest, model: Any, tokenizer: Any, text: TrainingText
) -> Objective:
    if request.teacher is None:
        return masked_words
    loaded = load(request.teacher)
    teacher: Any = loaded.model.to(request.device)
    if request.recipe.objective == "distil":
        check_teacher(teacher, model, request.recipe)
        return distillation(teacher, request.recipe)
    words = WordPairing(text.train, tokenizer, loaded.tokenizer, text.vocabulary, request.device)
    positions = (
        teacher.config.max_position_embeddings - family_of(teacher).embedder(teacher).first_position
    )
    longest = min(request.recipe.length, positions)
    torch.manual_seed(request.recipe.seed)
    targets = Targets(teacher.base_model.eval().requires_grad_(False), words, model, longest).to(
        request.device
    )
    targets.measure(text.train)
    model.add_module(MAPS, targets.maps)  # so optimizer and checkpoint hold them
    return states_objective(targets, request.recipe)


def _report(
    request: PretrainRequest, model: Any, progress: TrainingProgress, text: TrainingText
) -> Json:
    from fewbench.runner.environment import environment

    return {
        "recipe": request.identity(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "updates": progress.update,
        "tokens": progress.update * request.recipe.batch * request.recipe.length,
        "precision": Precision(request.recipe.precision, model).name,
        "corpus_tokens": int(sum(rows.size for rows in text.train)),
        "seconds": round(progress.seconds, 1),
        "curve": progress.curve,
        **({"micro_batches": progress.micro_batches} if progress.micro_batches else {}),
        "environment": environment(request.device, torch.get_num_threads()).to_json(),
    }


def _write(out: Path, work: Path, model: Any, tokenizer: Any, report: Json) -> None:
    """Write model, tokenizer, card and report.

    The report is written last: it marks the folder as finished.
    """
    finished = work / "finished"
    shutil.rmtree(finished, ignore_errors=True)
    model.half().save_pretrained(finished, safe_serialization=True)
    tokenizer.save_pretrained(finished)
    (finished / "README.md").write_text(card(out.resolve().name, model.config, report), "utf-8")
    (finished / "training.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    for file in sorted(finished.iterdir(), key=lambda file: file.name == "training.json"):
        write_whole(out / file.name, file.read_bytes())
    shutil.rmtree(finished)
