"""Early exit against full depth: what of the layers saved is saved in time, one by one and in
batches.

The baseline is `HeadModel.predict`, plain fine-tuning's model, which runs its last layer for the
first token alone. The other sides exit by a fixed depth, and by a patience over untrained
classifiers, which spreads the exits over the layers. Token ids are made before the clock starts.

`kept` is the time saved over the layers saved: (1 - seconds / full seconds) / (1 - mean layers /
layers), by the processor's seconds.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from measure import (
    DEMO,
    Seconds,
    interleave,
    model_ref,
    options,
    read_examples,
    sentiment_task,
    set_threads,
)

from fewbench.nn.backbone import Backbone
from fewbench.nn.classifier import HeadModel
from fewbench.nn.exit_rules import Depth, Patience, Rule
from fewbench.nn.exits import head_exits
from fewbench.nn.load import load


def main() -> None:
    parser = options(__doc__, DEMO / "test.jsonl")
    parser.add_argument(
        "--sentences", type=int, default=200, help="how many (repeating the file if it is shorter)"
    )
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    torch.manual_seed(1)

    task, ref = sentiment_task(), model_ref(arguments.model)
    rows = read_examples(arguments.data)
    examples = [rows[i % len(rows)] for i in range(arguments.sentences)]
    pretrained = load(ref)
    backbone = Backbone(pretrained.model, pretrained.tokenizer, ref)
    full, model = HeadModel(backbone, task).eval(), head_exits(backbone, task).eval()
    layers = len(model.classifiers)
    rules: list[Rule] = [Depth(max(1, layers // 2)), Patience(1), Patience(2), Depth(layers)]
    print(f"{ref.name}: {layers} layers, {len(examples)} sentences, {arguments.threads} threads")

    for title, size in (("one by one", 1), ("in batches", len(examples))):
        chunks = [examples[start : start + size] for start in range(0, len(examples), size)]

        def timed(
            predict: Callable[..., object],
            rule: Rule | None = None,
            chunks: list[list[object]] = chunks,
        ) -> Callable[[], Seconds]:
            def work() -> None:
                model.rule = rule or model.rule
                for chunk in chunks:
                    predict(chunk)

            return lambda: Seconds.of(work)

        print(f"\n{title}")
        sides = {"full depth": timed(full.predict)} | {
            str(rule): timed(model.predict, rule) for rule in rules
        }
        medians = interleave(sides, arguments.rounds)
        for model.rule in rules:
            model.predict(examples)
            mean = float(model.exits.double().mean())
            saved, time = (
                1 - mean / layers,
                1 - medians[str(model.rule)].cpu / medians["full depth"].cpu,
            )
            kept = f"{time / saved:.2f}" if saved else "-"
            print(
                f"{model.rule}: {mean:.2f} of {layers} layers, {saved:.2f} saved; time saved {time:.2f}, kept {kept}"
            )


if __name__ == "__main__":
    main()
