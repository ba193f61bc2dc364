"""Attacks: our TextFooler, in blocks of examples side by side, against TextAttack's, one example
after another.

All attack the same prompted model, trained on rows that are not attacked, with the same neighbours,
stop words and sentence encoder, and ours and the first of TextAttack's find the same texts with as
many queries (`tests/attack/test_adapter.py`). TextAttack runs

- with our parts alone, which are faster than its own: its search and its texts are what is left of
it;
- with NLTK's tagger, as it comes;
- and then with inputs padded to a fixed length too, as its wrapper of transformers models does it
  (to the tokenizer's longest, 512 for most; here to the task's 128, and by the model's plain
  forward pass).

Nothing is remembered from one round to the next. What is loaded is loaded before the clock starts.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from measure import (
    Seconds,
    filled,
    interleave,
    model_ref,
    options,
    read_examples,
    sentiment_task,
    set_threads,
    trial_protocol,
)

from fewbench.measure.attack.adapter import attack_item, load_textattack, local_textfooler
from fewbench.measure.attack.encoder import MeanPooled
from fewbench.measure.attack.recipes import RECIPES
from fewbench.measure.attack.report import AttackOutcome, summary
from fewbench.measure.attack.resources import read_resources
from fewbench.measure.attack.run import blocks, forget
from fewbench.measure.attack.tagger import read_tagger
from fewbench.nn.kinds import open_backbone
from fewbench.nn.prompt import PromptModel
from fewbench.nn.trainer import train
from fewbench.types import Example, Predictions, Predictor

TRAINED = 256
"""Rows at the end of the file, on which the attacked model is trained."""


class Padded:
    """A prompted model asked as TextAttack's wrapper asks one: every text padded to the same
    length.

    Args:
        model: of label words.
    """

    def __init__(self, model: PromptModel) -> None:
        self.backbone, self.task, self.words = model.backbone, model.task, model.verbalizer.words

    @torch.no_grad()
    def predict(self, examples: Sequence[Example]) -> Predictions:
        """Return the probabilities of the label words, one a class, at the mask."""
        tokenizer = self.backbone.tokenizer
        texts = [filled(self.task, example, tokenizer.mask_token) for example in examples]
        longest = self.task.max_length
        batch = tokenizer(
            texts,
            padding="max_length",
            max_length=longest,
            truncation=True,
            return_tensors="pt",
            split_special_tokens=False,  # the template's mask is none of a text's words
        )
        logits = self.backbone.model(**batch).logits[batch["input_ids"] == tokenizer.mask_token_id]
        probabilities = logits[:, self.words].softmax(-1).numpy()
        return Predictions(tuple(example.id for example in examples), probabilities=probabilities)


def trained(model: PromptModel, rows: Sequence[Example]) -> PromptModel:
    """Return a model trained on some rows, none of which is attacked."""
    torch.manual_seed(0)  # dropout
    updates = 3 * len(rows) // 8
    train(
        model,
        model.encode(rows),
        evaluate=lambda: 0.0,
        protocol=trial_protocol(updates, len(rows) // 2),
        lr=1e-4,
        batch_size=8,
        seed=0,
    )
    return model.eval()


def told(outcome: AttackOutcome) -> tuple[str, tuple[str, ...], int]:
    """Return what two attacks must agree in; probabilities hang on the batch in their last bits."""
    return outcome.status, outcome.adversarial, outcome.queries


def main() -> None:
    parser = options(__doc__, Path("textfooler/mr/test.jsonl"))
    parser.add_argument(
        "--examples", type=int, default=64, help="how many are attacked (default: %(default)s)"
    )
    parser.add_argument(
        "--neighbours", type=Path, required=True, help="table of neighbours (.json)"
    )
    parser.add_argument("--nltk-data", type=Path, required=True, help="folder of NLTK's data")
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    os.environ["NLTK_DATA"] = str(arguments.nltk_data)
    package = load_textattack()

    ref = model_ref(arguments.model)
    rows = read_examples(arguments.data)
    items = rows[: arguments.examples]
    model = trained(PromptModel(open_backbone(ref), sentiment_task()), rows[-TRAINED:])
    encoder = MeanPooled(open_backbone(ref), [item.texts[0] for item in items])
    resources = read_resources(arguments.neighbours, arguments.nltk_data, None)
    recipe = RECIPES["textattack-jin2019"]
    found: dict[str, list[AttackOutcome]] = {}

    def ours() -> Seconds:
        object.__setattr__(
            resources, "tagger", read_tagger(arguments.nltk_data)
        )  # what it remembers is gone
        assembly = recipe.assemble(resources)

        def work() -> None:
            found["ours"] = [
                outcome for block in blocks(assembly, model, encoder, items) for outcome in block
            ]

        return Seconds.of(work)

    def theirs(name: str, asked: Predictor, *, nltk: bool) -> Seconds:
        object.__setattr__(resources, "tagger", read_tagger(arguments.nltk_data))
        attack = local_textfooler(package, asked, resources, encoder, nltk_tagger=nltk)

        def work() -> None:
            outcomes = []
            for item in items:
                outcomes.append(attack_item(attack, item, seed=0))
                forget(model)
            found[name] = outcomes

        return Seconds.of(work)

    print(f"{ref.name}: {len(items)} examples, {torch.get_num_threads()} threads")
    sides = {
        "ours": ours,
        "our parts": lambda: theirs("our parts", model, nltk=False),
        "NLTK's tagger": lambda: theirs("NLTK's tagger", model, nltk=True),
        "and padded": lambda: theirs("and padded", Padded(model), nltk=True),
    }
    medians = interleave(sides, arguments.rounds)
    for name, outcomes in found.items():
        same = sum(
            told(one) == told(other) for one, other in zip(outcomes, found["ours"], strict=True)
        )
        figures = summary(outcomes)
        print(
            f"{name}: {len(items) / medians[name].wall:.2f} examples/s ({len(items) / medians[name].cpu:.2f} by "
            f"processor time), accuracy {figures['original_accuracy']:.3f}, after attack "
            f"{figures['after_attack_accuracy']:.3f}, queries {figures['mean_queries']:.1f}; {same} outcomes the same"
        )


if __name__ == "__main__":
    main()
