"""Attacks: our TextFooler, in blocks of examples side by side, against TextAttack's, one example after another.

Both attack the same prompted model (zero-shot) with the same neighbours, stop words and sentence encoder, and find the
same texts with as many queries (`tests/attack/test_adapter.py`). TextAttack runs as it comes, in batches of 32: once
with our tagger, so that all parts are the same, and once with NLTK's own. Nothing is remembered from one round to the
next. What is loaded is loaded before the clock starts.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from measure import Seconds, interleave, model_ref, options, read_examples, sentiment_task, set_threads

from fewbench.attack.adapter import attack_item, load_textattack, local_textfooler
from fewbench.attack.encoder import MeanPooled
from fewbench.attack.recipes import RECIPES
from fewbench.attack.report import Outcome, summary
from fewbench.attack.resources import read_resources
from fewbench.attack.run import blocks, forget
from fewbench.attack.tagger import read_tagger
from fewbench.parts.prompt import PromptModel
from fewbench.parts.views import open_backbone


def main() -> None:
    parser = options(__doc__, Path("textfooler/mr/test.jsonl"))
    parser.add_argument("--examples", type=int, default=64, help="how many are attacked (default: %(default)s)")
    parser.add_argument("--neighbours", type=Path, required=True, help="table of neighbours (.json)")
    parser.add_argument("--nltk-data", type=Path, required=True, help="folder of NLTK's data")
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    os.environ["NLTK_DATA"] = str(arguments.nltk_data)
    package = load_textattack()

    ref = model_ref(arguments.model)
    items = read_examples(arguments.data)[: arguments.examples]
    model = PromptModel(open_backbone(ref), sentiment_task()).eval()
    encoder = MeanPooled(open_backbone(ref), [item.texts[0] for item in items])
    resources = read_resources(arguments.neighbours, arguments.nltk_data, None)
    recipe = RECIPES["textattack-jin2019"]
    found: dict[str, list[Outcome]] = {}

    def ours() -> Seconds:
        object.__setattr__(resources, "tagger", read_tagger(arguments.nltk_data))  # what it remembers is gone
        assembly = recipe.assemble(resources)

        def work() -> None:
            found["ours"] = [outcome for block in blocks(assembly, model, encoder, items) for outcome in block]

        return Seconds.of(work)

    def theirs(*, nltk: bool) -> Seconds:
        object.__setattr__(resources, "tagger", read_tagger(arguments.nltk_data))
        attack = local_textfooler(package, model, resources, encoder, nltk_tagger=nltk)

        def work() -> None:
            outcomes = []
            for item in items:
                outcomes.append(attack_item(attack, item, seed=0))
                forget(model)
            found["TextAttack, NLTK's tagger" if nltk else "TextAttack"] = outcomes

        return Seconds.of(work)

    print(f"{ref.name}: {len(items)} examples, {torch.get_num_threads()} threads")
    sides = {
        "ours": ours,
        "TextAttack": lambda: theirs(nltk=False),
        "TextAttack, NLTK's tagger": lambda: theirs(nltk=True),
    }
    medians = interleave(sides, arguments.rounds)
    for name, outcomes in found.items():
        same = sum(one == other for one, other in zip(outcomes, found["ours"], strict=True))
        figures = summary(outcomes)
        print(
            f"{name}: {len(items) / medians[name].wall:.2f} examples/s ({len(items) / medians[name].cpu:.2f} by "
            f"processor time), accuracy {figures['original_accuracy']:.3f}, after attack "
            f"{figures['after_attack_accuracy']:.3f}, queries {figures['mean_queries']:.1f}; {same} outcomes the same"
        )


if __name__ == "__main__":
    main()
