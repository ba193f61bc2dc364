"""TextAttack's own recipes on a stored run, and its TextFooler put together of this project's
resources.

TextAttack is optional (extra `attack`). It needs transformers below 5, imports slowly, and its
recipes may want to download what they use; one that does fails with its reason where the network is
off.
"""

from __future__ import annotations

import random
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from fewbench.errors import BenchError
from fewbench.io.atomic import remove
from fewbench.measure.attack.progress import AttackProgress, lines_of
from fewbench.measure.attack.recipes import JIN_2019
from fewbench.measure.attack.report import AttackOutcome, Status, summary
from fewbench.measure.attack.run import (
    Target,
    clean_accuracy,
    draw_items,
    drawn_by,
    forget,
    probabilities,
    stored_attack,
)
from fewbench.store import paths
from fewbench.store.measurement import Measurement, file_of, measured, write
from fewbench.store.parts import Environment
from fewbench.store.store import Store
from fewbench.types import Example, Predictor

if TYPE_CHECKING:
    from fewbench.measure.attack.asking import Array
    from fewbench.measure.attack.resources import Resources

INSTALL = "pip install -c constraints.txt 'fewbench[attack]', in an environment of its own where transformers is 5"
COLUMNS = ("premise", "hypothesis")
"""What TextAttack's recipes call the texts of a pair; those that keep the premise know it by this
name.
"""


def check_installed() -> None:
    """Refuse an environment in which TextAttack is missing or cannot work.

    Raises:
        BenchError: it is not installed, or transformers is 5 or newer.
    """
    theirs = version("transformers")
    if int(theirs.partition(".")[0]) >= 5:
        raise BenchError(
            f"TextAttack needs transformers below 5, and {theirs} is installed",
            allowed="the recipes that need no TextAttack: textfooler-paper, textfooler-cli, textattack-jin2019",
            fix=INSTALL,
        )
    try:
        version("textattack")
    except PackageNotFoundError as error:
        raise BenchError(
            "this recipe is TextAttack's, which is not installed", fix=INSTALL
        ) from error


@contextmanager
def its_own_affair() -> Iterator[None]:
    """Silence warnings: what TextAttack and its dependencies call deprecated is no business of our
    users.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def load_textattack() -> Any:
    """Return the package.

    Raises:
        BenchError: it cannot be loaded: it wants NLTK's stop words, say, and the network is off.
    """
    check_installed()
    with its_own_affair():
        try:
            for module in (
                "attack_recipes",
                "attack_args",
                "models.wrappers",
                "constraints.semantics",
            ):
                import_module(f"textattack.{module}")
            return import_module("textattack")
        except Exception as error:
            reason = [*str(error).strip().splitlines(), type(error).__name__][0]
            fix = "NLTK_DATA=FOLDER with the corpora stopwords and wordnet"
            raise BenchError(f"TextAttack cannot be loaded: {reason}", fix=fix) from error


def attack_by_textattack(
    store: Store,
    target: Target,
    name: str,
    *,
    limit: int,
    environment: Environment,
    force: bool = False,
    on_item: Callable[[int, int], None] = lambda done, total: None,
) -> Measurement:
    """Attack a stored run's items by one of TextAttack's recipes, one after another, and store the
    measurement.

    Args:
        store: of the run.
        target: the run.
        name: `textattack:` and the recipe's name there.
        limit: items attacked, drawn as `bench run --limit` draws them.
        environment: what the measurement says of the machine.
        force: attack again, whatever is stored.
        on_item: hears how many items are done, of how many.

    Raises:
        BenchError: TextAttack or the recipe cannot be had, or the outcome cannot be stored.
    """
    package = load_textattack()
    recipe = build_recipe(package, name.partition(":")[2], wrap(package, target.model))
    items = draw_items(target, limit)
    what = name.replace(":", "-").replace("_", "-")
    pieces = re.sub(r" object at 0x[0-9a-f]+", "", repr(recipe))
    settings = {
        "recipe": name,
        "textattack": version("textattack"),
        "items": len(items),
        "drawn": drawn_by(target),
        "pieces": pieces,
    }
    if not force and (stored := stored_attack(store, target.record, what, settings)):
        return stored
    file = paths.measurement(file_of(store, target.record), f"attack-{what}", ".jsonl")
    key = {**settings, "run": target.record.run.key, "predictions": target.record.predictions}
    if force:
        remove(file)
    clean = clean_accuracy(store, target, items)
    with AttackProgress(file, key, 1, len(items)) as progress:
        for number in range(len(progress.outcomes), len(items)):
            on_item(number, len(items))
            progress.add([attack_item(recipe, items[number], seed=number)])
            forget(target.model)
        measurement = measured(
            target.record,
            "attack",
            what,
            settings=settings,
            scores={**summary(progress.outcomes, target.task.labels), "clean_accuracy": clean},
            environment=environment,
        )
        write(store, target.record, measurement, {".jsonl": lines_of(progress.outcomes)})
        remove(file)
    return measurement


def build_recipe(package: Any, name: str, model: Any) -> Any:
    """Return one of TextAttack's recipes on a wrapped model.

    Raises:
        BenchError: there is none of that name, or it cannot be built.
    """
    known = package.attack_args.ATTACK_RECIPE_NAMES
    if name not in known:
        allowed = [f"textattack:{other}" for other in known]
        fix = "--recipe textattack:deepwordbug"
        raise BenchError(
            f"TextAttack has no recipe '{name}'",
            allowed=allowed,
            given=f"textattack:{name}",
            fix=fix,
        )
    module, _, kind = known[name].rpartition(".")
    try:
        with its_own_affair():
            return getattr(import_module(module), kind).build(model)
    except Exception as error:  # what it needs and cannot fetch raises whatever its libraries raise
        reason = [*str(error).strip().splitlines(), type(error).__name__][0]
        raise BenchError(
            f"TextAttack's recipe '{name}' cannot be built here: {type(error).__name__}: {reason}",
            allowed="recipes whose resources are on this machine",
            fix="go online once, so that TextAttack fetches what it needs",
        ) from error


def wrap(package: Any, model: Predictor) -> Any:
    """Return a model as TextAttack's wrappers are: a list of texts (or tuples of them) to
    probabilities.
    """

    class Wrapped(package.models.wrappers.ModelWrapper):  # type: ignore[misc]  # the package has no types
        def __init__(self) -> None:
            self.model = None  # TextAttack moves what it finds here between devices

        def __call__(self, texts: Sequence[str | tuple[str, ...]]) -> Any:
            import torch

            return torch.from_numpy(
                probabilities(model, [(t,) if isinstance(t, str) else tuple(t) for t in texts])
            )

    return Wrapped()


def attack_item(recipe: Any, item: Example, *, seed: int) -> AttackOutcome:
    """Return what one of TextAttack's attacks makes of an item. Recipes that draw at random are
    seeded by item.
    """
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    given: Any = (
        item.texts[0]
        if len(item.texts) == 1
        else OrderedDict(zip(COLUMNS, item.texts, strict=True))
    )
    with its_own_affair():
        result = recipe.attack(given, int(item.label or 0))
    first, last = result.original_result, result.perturbed_result
    statuses: dict[str, Status] = {
        "SuccessfulAttackResult": "succeeded",
        "SkippedAttackResult": "skipped",
    }
    texts = (
        last.attacked_text.tokenizer_input
    )  # a text, or a tuple of them: some recipes change the premise too
    return AttackOutcome(
        id=item.id,
        status=statuses.get(type(result).__name__, "failed"),
        label=int(item.label or 0),
        texts=item.texts,
        adversarial=(texts,) if isinstance(texts, str) else tuple(texts),
        before=tuple(round(float(value), 6) for value in first.raw_output),
        after=tuple(round(float(value), 6) for value in last.raw_output),
        queries=int(result.num_queries),
        changed=len(first.attacked_text.all_words_diff(last.attacked_text)),
        words=len(first.attacked_text.words),
    )


def local_textfooler(
    package: Any,
    model: Predictor,
    resources: Resources,
    encoder: Callable[[Sequence[str]], Array],
    *,
    nltk_tagger: bool = False,
) -> Any:
    """Return TextAttack's TextFooler with its own search, put together of local parts: what ours
    must equal.

    Args:
        package: of `load_textattack`.
        model: what is attacked.
        resources: near words (a table), stop words, tagger.
        encoder: sentences to vectors [n, d].
        nltk_tagger: tag by NLTK itself, as TextAttack does: the first equal word of the context
            counts.
    """
    constraints, goal_functions, search_methods = (
        package.constraints,
        package.goal_functions,
        package.search_methods,
    )
    compared_by = constraints.semantics.sentence_encoders.SentenceEncoder
    tagged_by = constraints.grammaticality.PartOfSpeech
    words = list(resources.neighbours.words)
    places = {word: place for place, word in enumerate(words)}
    near = [
        [place, *(places[other] for other in resources.neighbours.of(word, 50))]
        for word, place in places.items()
    ]
    embedding = package.shared.WordEmbedding(np.zeros((1, 1)), places, words, nn_matrix=near)

    class Tags(tagged_by):  # type: ignore[misc, valid-type]
        def _get_pos(self, before: list[str], word: str, after: list[str]) -> str:
            return resources.tagger.tag((*before, word, *after), len(before))

    class Sentences(compared_by):  # type: ignore[misc, valid-type]
        def encode(self, sentences: list[str]) -> Array:
            return encoder(sentences)

    with its_own_affair():
        return package.Attack(
            goal_functions.UntargetedClassification(wrap(package, model)),
            [
                constraints.pre_transformation.RepeatModification(),
                constraints.pre_transformation.StopwordModification(
                    stopwords=set(resources.stop_words)
                ),
                (tagged_by if nltk_tagger else Tags)(allow_verb_noun_swap=True),
                Sentences(
                    threshold=JIN_2019,
                    metric="angular",
                    compare_against_original=False,
                    window_size=15,
                    skip_text_shorter_than_window=True,
                ),
            ],
            package.transformations.WordSwapEmbedding(max_candidates=50, embedding=embedding),
            search_methods.GreedyWordSwapWIR(wir_method="delete"),
        )
