r"""Train the embedded models from scratch: fewbench-mini, the teacher, and fewbench-micro, the
student distilled of it.

    python scripts/train_embedded.py --corpora DATA/corpora/imdb-unlabeled DATA/corpora/wikipedia-en
        \ --work FOLDER --out bench/registry/models

Three pretrainings, each by its recipe in scripts/embedded/: a stem of three layers; the stem grown
to six and trained further; every other layer of those, distilled. Killed and started again, it goes
on where it was.

    python scripts/train_embedded.py --states ENCODER --device cuda …

With a better encoder at hand, two more: the embedded teacher learns its hidden states, and the
student after it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch

from fewbench.errors import BenchError
from fewbench.io.atomic import write_whole
from fewbench.plots.pretraining import save_curves
from fewbench.pretrain.recipe import read_recipe
from fewbench.pretrain.run import PretrainRequest, pretrain
from fewbench.registry.pretrained import find_model

RECIPES = Path(__file__).parent / "embedded"
TEACHER, STUDENT = "fewbench-mini", "fewbench-micro"
LIMITS = """
## Limits

Trained on a small part of the text a language model wants: it knows which words stand beside each other and little of
the world. It is here so that methods can be compared on a laptop without a network, and so that
teacher and student share tokenizer, width and heads. Film reviews are half of its text: they are the domain of several
sentiment tasks, and no label was seen. Which test rows stand in its text is counted in `docs/overlap.md`.
"""
TAUGHT = """
## Its teacher

It learned the hidden states of `{encoder}` as well. What that model's licence asks holds for these weights, too.
"""


def main() -> None:
    """Train what is not finished, and put both models where the package finds them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--corpora", nargs="+", required=True)
    parser.add_argument(
        "--work", type=Path, required=True, help="checkpoints and packed text, some 500 MiB"
    )
    parser.add_argument("--out", type=Path, default=Path("bench/registry/models"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--states", metavar="ENCODER", help="a folder of the encoder whose hidden states to learn"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    told: list[str] = []
    cards: dict[str, str] = {}
    try:
        for step in with_states(args.states, args.work) if args.states else from_scratch(args.work):
            report = train(args, step)
            if step.name != "stem":
                cards[step.name] = card_end(told, step.teacher if args.states else None)
                curves = args.work / step.name / "curves.png"
                save_curves({step.name: report["curve"]}, curves, measures=("held_out_loss",))
            told.append(
                f"- {step.name}: {report['tokens'] / 1e6:.1f}M tokens in {report['seconds'] / 60:.0f} minutes, "
                f"to a held-out loss of {report['curve'][-1]['held_out_loss']:.3f}"
            )
    except BenchError as error:
        sys.exit(f"error: {error}")
    for name, more in cards.items():
        install(args.work / name, args.out / name, more)


class Step(NamedTuple):
    """One pretraining: the model's name, its recipe, the model to start from, and the teacher."""

    name: str
    recipe: str
    start: str | None = None
    teacher: str | None = None


def from_scratch(work: Path) -> tuple[Step, ...]:
    """Return the steps that need nothing but text."""
    stem, teacher = str(work / "stem"), str(work / TEACHER)
    return (
        Step("stem", "stem"),
        Step(TEACHER, "mini", stem),
        Step(STUDENT, "micro", teacher, teacher),
    )


def with_states(encoder: str, work: Path) -> tuple[Step, ...]:
    """Return the steps that go on from the embedded teacher with an encoder's hidden states."""
    start = (
        work / "before" / TEACHER
    )  # a copy, for the finished one takes the place of the one it starts from
    if not start.exists():
        shutil.copytree(find_model(TEACHER).path, start)
    grown = Step(TEACHER, "mini-states", str(start), encoder)
    return grown, Step(STUDENT, "micro-states", str(work / TEACHER), encoder)


def train(args: argparse.Namespace, step: Step) -> dict[str, Any]:
    """Do one step, or find it done; return its report."""
    print(f"== {step.name}")
    request = PretrainRequest(
        read_recipe(RECIPES / f"{step.recipe}.toml", {}),
        args.corpora,
        args.work / step.name,
        start=find_model(step.start) if step.start else None,
        teacher=find_model(step.teacher) if step.teacher else None,
        device=args.device,
        cache=args.work,
    )
    every = request.recipe.evaluate_every // 5

    def on_update(update: int, terms: dict[str, float]) -> None:
        if update % every == 0:
            print(f"[{update}/{request.recipe.updates}] loss {terms['loss']:.3f}", flush=True)

    report = pretrain(request, print, on_update)
    point = report["curve"][-1]
    print(
        f"held-out loss {point['held_out_loss']:.3f}, {100 * point['held_out_accuracy']:.1f}% right"
    )
    return report


def card_end(told: list[str], encoder: str | None) -> str:
    """Return what a card says after its tables: the curves, what was trained before, the teacher,
    and limits.
    """
    before = "\n## Trained before it\n\n" + "\n".join(told) + "\n" if told else ""
    taught = TAUGHT.format(encoder=Path(encoder).name) if encoder else ""
    return f"\n![curves](curves.png)\n{before}{taught}{LIMITS}"


def install(model: Path, target: Path, more: str) -> None:
    """Put a finished model where the package finds it, with more to its card."""
    for file in sorted(path for path in model.iterdir() if path.is_file()):
        data = file.read_bytes()
        if file.name == "README.md":
            data += more.encode()
        write_whole(target / file.name, data)


if __name__ == "__main__":
    main()
