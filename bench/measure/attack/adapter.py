"""TextAttack's recipes on a stored run, and its TextFooler with this project's resources.

TextAttack is optional (extra `attack`). It needs transformers below 5, imports slowly, and some
recipes download what they use; without a network these fail and say why.
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
from fewbench.measure.attack.recipes import JIN_2019
from fewbench.measure.attack.report import AttackOutcome, Status
from fewbench.measure.attack.run import (
    PlannedAttack,
    Target,
    carry_out,
    draw_items,
    drawn_by,
    forget,
    probabilities,
)
from fewbench.store.measurement import Measurement
from fewbench.store.parts import Environment
from fewbench.store.store import Store
from fewbench.types import Example, Predictor

if TYPE_CHECKING:
    from fewbench.measure.attack.asking import Array
    from fewbench.measure.attack.resources import Resources

INSTALL = (
    "pip install -c constraints.txt 'fewbench[attack]', in another environment "
    "if this one has transformers 5"
)
COLUMNS = ("premise", "hypothesis")
"""TextAttack's names for the texts of a pair, by which recipes know the premise to keep."""

MODULES = ("attack_recipes", "attack_args", "models.wrappers", "constraints.semantics")


def check_installed() -> None:
    """Refuse an environment in which TextAttack is missing or cannot work.

    Raises:
        BenchError: it is not installed, or transformers is 5 or newer.
    """
    transformers = version("transformers")
    if int(transformers.partition(".")[0]) >= 5:
        raise BenchError(
            f"TextAttack needs transformers below 5, but {transformers} is installed",
            allowed="the recipes that need no TextAttack: "
            "textfooler-paper, textfooler-cli, textattack-jin2019",
            fix=INSTALL,
        )
    try:
        version("textattack")
    except PackageNotFoundError as error:
        raise BenchError(
            "this recipe needs TextAttack, which is not installed", fix=INSTALL
        ) from error


@contextmanager
def without_warnings() -> Iterator[None]:
    """Silence warnings: deprecations within TextAttack do not concern users."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def load_textattack() -> Any:
    """Import TextAttack with the modules used here.

    Raises:
        BenchError: it cannot be loaded, for instance because it lacks NLTK's stop words offline.
    """
    check_installed()
    with without_warnings():
        try:
            for module in MODULES:
                import_module(f"textattack.{module}")
            return import_module("textattack")
        except Exception as error:
            fix = "NLTK_DATA=FOLDER with the corpora stopwords and wordnet"
            raise BenchError(f"TextAttack cannot be loaded: {_reason(error)}", fix=fix) from error


def _reason(error: Exception) -> str:
    """Return the first line of an error, or its type if it says nothing."""
    return [*str(error).strip().splitlines(), type(error).__name__][0]


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
    """Attack a stored run's items by a recipe of TextAttack, and store the measurement.

    Args:
        store: of the run.
        target: the run.
        name: `textattack:` and TextAttack's name of the recipe.
        limit: items attacked, drawn as `bench run --limit` draws them.
        environment: for the measurement.
        force: attack again, even if a measurement is stored.
        on_item: called with the number of items done and the number of all.

    Raises:
        BenchError: TextAttack or the recipe is not available, or the outcome cannot be stored.
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

    def attack_from(done: int) -> Iterator[list[AttackOutcome]]:
        for number in range(done, len(items)):
            on_item(number, len(items))
            yield [attack_item(recipe, items[number], seed=number)]
            forget(target.model)

    planned = PlannedAttack(what, settings, items, 1, attack_from)
    return carry_out(store, target, planned, environment, force=force)


def build_recipe(package: Any, name: str, model: Any) -> Any:
    """Build a recipe of TextAttack on a wrapped model.

    Raises:
        BenchError: the name is unknown, or the recipe cannot be built.
    """
    recipes = package.attack_args.ATTACK_RECIPE_NAMES
    if name not in recipes:
        raise BenchError(
            f"TextAttack has no recipe '{name}'",
            allowed=[f"textattack:{other}" for other in recipes],
            given=f"textattack:{name}",
            fix="--recipe textattack:deepwordbug",
        )
    module, _, kind = recipes[name].rpartition(".")
    try:
        with without_warnings():
            return getattr(import_module(module), kind).build(model)
    except Exception as error:  # a failed download raises whatever its library raises
        raise BenchError(
            f"TextAttack's recipe '{name}' cannot be built here: "
            f"{type(error).__name__}: {_reason(error)}",
            allowed="recipes whose resources are on this machine",
            fix="go online once, so that TextAttack fetches what it needs",
        ) from error


def wrap(package: Any, model: Predictor) -> Any:
    """Wrap a model for TextAttack: a list of texts, or of tuples of texts, to probabilities."""
    wrapper = package.models.wrappers.ModelWrapper

    class Wrapped(wrapper):  # type: ignore[misc, valid-type]  # the package has no types
        def __init__(self) -> None:
            self.model = None  # TextAttack would move a model here between devices

        def __call__(self, texts: Sequence[str | tuple[str, ...]]) -> Any:
            import torch

            items = [(text,) if isinstance(text, str) else tuple(text) for text in texts]
            return torch.from_numpy(probabilities(model, items))

    return Wrapped()


STATUSES: dict[str, Status] = {
    "SuccessfulAttackResult": "succeeded",
    "SkippedAttackResult": "skipped",
}
"""The status of an item by the class of TextAttack's result; all others have failed."""


def attack_item(recipe: Any, item: Example, *, seed: int) -> AttackOutcome:
    """Attack an item by a recipe of TextAttack; random recipes are seeded by item."""
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    is_single = len(item.texts) == 1
    text = item.texts[0] if is_single else OrderedDict(zip(COLUMNS, item.texts, strict=True))
    with without_warnings():
        result = recipe.attack(text, int(item.label or 0))
    first, last = result.original_result, result.perturbed_result
    texts = last.attacked_text.tokenizer_input  # a text, or a tuple: some recipes change both
    return AttackOutcome(
        id=item.id,
        status=STATUSES.get(type(result).__name__, "failed"),
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
    """Return TextAttack's TextFooler on local resources, whose outcomes ours must equal.

    Args:
        package: of `load_textattack`.
        model: to attack.
        resources: neighbours of words (a table), stop words, tagger.
        encoder: sentences to vectors [n, d].
        nltk_tagger: tag by NLTK itself, as TextAttack does: of equal words in the context the first
            one counts.
    """
    constraints = package.constraints
    sentence_encoder = constraints.semantics.sentence_encoders.SentenceEncoder
    part_of_speech = constraints.grammaticality.PartOfSpeech
    embedding = _embedding(package, resources)

    class Tags(part_of_speech):  # type: ignore[misc, valid-type]
        def _get_pos(self, before: list[str], word: str, after: list[str]) -> str:
            return resources.tagger.tag((*before, word, *after), len(before))

    class Sentences(sentence_encoder):  # type: ignore[misc, valid-type]
        def encode(self, sentences: list[str]) -> Array:
            return encoder(sentences)

    with without_warnings():
        before = constraints.pre_transformation
        return package.Attack(
            package.goal_functions.UntargetedClassification(wrap(package, model)),
            [
                before.RepeatModification(),
                before.StopwordModification(stopwords=set(resources.stop_words)),
                (part_of_speech if nltk_tagger else Tags)(allow_verb_noun_swap=True),
                Sentences(
                    threshold=JIN_2019,
                    metric="angular",
                    compare_against_original=False,
                    window_size=15,
                    skip_text_shorter_than_window=True,
                ),
            ],
            package.transformations.WordSwapEmbedding(max_candidates=50, embedding=embedding),
            package.search_methods.GreedyWordSwapWIR(wir_method="delete"),
        )


def _embedding(package: Any, resources: Resources) -> Any:
    """Return the table of neighbours as a word embedding of TextAttack, which needs no vectors."""
    words = list(resources.neighbours.words)
    numbers = {word: number for number, word in enumerate(words)}
    nearest = []
    for word, number in numbers.items():
        others = resources.neighbours.of(word, 50)
        nearest.append([number, *(numbers[other] for other in others)])
    return package.shared.WordEmbedding(np.zeros((1, 1)), numbers, words, nn_matrix=nearest)
