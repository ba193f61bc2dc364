"""What a user of the Python functions writes; `.ci/run` checks its types, strictly."""

from __future__ import annotations

import fewbench
from fewbench.nn.fit_context import FitContext
from fewbench.types import Predictor, Split, Task


@fewbench.method(needs=("student",), search=("lr",))
def my_method(task: Task, split: Split, kit: FitContext, *, lr: float = 1e-3) -> Predictor:
    """Fine-tune a head."""
    from fewbench.nn.classifier import HeadModel

    model = HeadModel(kit.backbone(), task)
    kit.train(model, lr=lr, batch_size=4)
    return model


def main() -> None:
    """Run two methods, and look at them in every way."""
    records = fewbench.run(["ft", my_method], "demo-sentiment", k=4, seeds=[13, 21])
    scores: list[float] = [record.scores["test"]["accuracy"] for record in records]
    frame = fewbench.results("results")
    table = fewbench.table(frame, rows="method", columns="task")
    print(scores, table.to_latex(), table.to_markdown())
    print(fewbench.compare("my-method", "ft", results="results")["verdict"].tolist())
    texts: tuple[str, ...] = fewbench.split("sst-2", k=16, seed=13).train[0].texts
    model = fewbench.load_model("results", records[0].run.key, methods=my_method)
    print(texts, model.predict([]).array.shape, fewbench.__version__)
    fewbench.plot("k-scaling", results="results").savefig("k-scaling.png")


if __name__ == "__main__":
    main()
