"""The program of a card: plain transformers or ONNX Runtime, and a function `answer`.

It takes the one or two texts of an example, and returns the labels' probabilities by name, or the
value for regression.
"""

from __future__ import annotations

from typing import NamedTuple

from fewbench.export.tokens import TextPiece, prompt_pieces
from fewbench.nn.prompt import PromptModel
from fewbench.nn.task_model import TaskModel

ONNX_FILE = "model.onnx"


class DeployedForm(NamedTuple):
    """A form to write a model in; `rounded_here` if it was measured in fp32 and becomes int8."""

    onnx: bool = False
    int8: bool = False
    rounded_here: bool = False

    @property
    def title(self) -> str:
        """The form in words."""
        if not self.onnx:
            return "transformers, fp32"
        return "ONNX, int8" if self.int8 else "ONNX, fp32"


def program(model: TaskModel, form: DeployedForm) -> str:
    """Return the program that asks a model in a form."""
    head = HEADS[form.onnx]
    last = f"print(answer({', '.join(_sample_texts(model))}))"
    if not isinstance(model, PromptModel):
        return "\n\n\n".join([head, _function(model, form), last])
    start = PROMPT_HEADS[form.onnx]
    return "\n\n\n".join([start, _encode(model), _function(model, form), last])


def _sample_texts(model: TaskModel) -> list[str]:
    first = '"A warm and clever film."'
    return [first, '"It is well made."'] if model.task.format == "pair" else [first]


HEADS = {
    False: """\
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

FOLDER = "."
tokenizer = AutoTokenizer.from_pretrained(FOLDER)
model = AutoModelForSequenceClassification.from_pretrained(FOLDER)""",
    True: f"""\
import numpy as np
import onnxruntime
from transformers import AutoConfig, AutoTokenizer

FOLDER = "."
tokenizer = AutoTokenizer.from_pretrained(FOLDER)
config = AutoConfig.from_pretrained(FOLDER)
session = onnxruntime.InferenceSession(f"{{FOLDER}}/{ONNX_FILE}")""",
}
"""How a model with a head is loaded: by transformers (False), as ONNX (True)."""

PROMPT_HEADS = {
    False: """\
import json
from pathlib import Path

import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

FOLDER = "."
tokenizer = AutoTokenizer.from_pretrained(FOLDER)
model = AutoModelForMaskedLM.from_pretrained(FOLDER)
prompt = json.loads(Path(FOLDER, "prompt.json").read_text("utf-8"))""",
    True: f"""\
import json
from pathlib import Path

import numpy as np
import onnxruntime
from transformers import AutoTokenizer

FOLDER = "."
tokenizer = AutoTokenizer.from_pretrained(FOLDER)
session = onnxruntime.InferenceSession(f"{{FOLDER}}/{ONNX_FILE}")
prompt = json.loads(Path(FOLDER, "prompt.json").read_text("utf-8"))""",
}
"""How a prompted model is loaded."""

ENCODE = """\
def encode(*texts):
    parts, read = [], []
    for piece in prompt["pieces"]:
        if "ids" in piece:
            parts.append(piece["ids"])
            continue
        text = texts[piece["text"]]
{changes}        read.append(tokenizer(text, add_special_tokens=False)["input_ids"])
        parts.append(read[-1])
    while sum(map(len, parts)) > prompt["max_length"]:
        max(read, key=len).pop()
    return [sum(parts, [])]"""
"""Puts texts into a prompt: the longest is cut where they do not fit. `changes` are made before."""

CUT = '        text = text[:-1] if piece["modifier"] == "cut" else text\n'
LOWER = (
    '        lower = piece["modifier"] == "lower"\n'
    "        text = text[:1].lower() + text[1:] if lower else text\n"
)
SPACE = '        text = " " * piece["space"] + text\n'


def _encode(model: PromptModel) -> str:
    texts = [piece for piece in prompt_pieces(model) if isinstance(piece, TextPiece)]
    modifiers = {piece.modifier for piece in texts}
    changes = CUT * ("cut" in modifiers) + LOWER * ("lower" in modifiers)
    return ENCODE.format(changes=changes + SPACE * any(piece.space for piece in texts))


SCORES = {
    (False, False): """\
    batch = tokenizer(*texts, truncation=True, return_tensors="pt")
    with torch.no_grad():
        scores = model(**batch).logits[0]""",
    (True, False): """\
    batch = tokenizer(*texts, truncation=True, return_tensors="np")
    scores = session.run(None, dict(batch))[0][0]""",
    (False, True): """\
    ids = torch.tensor(encode(*texts))
    with torch.no_grad():
        logits = model(input_ids=ids).logits[ids == tokenizer.mask_token_id][0]
    scores = torch.stack([logits[words].mean() for words in prompt["word_ids"]])""",
    (True, True): """\
    ids = np.array(encode(*texts))
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    scores = session.run(None, inputs)[0][0]""",
}
"""How scores come about: as ONNX or not, from a prompt or not."""

SHARES = {
    False: "    shares = scores.softmax(-1).tolist()",
    True: """\
    shares = np.exp(scores - scores.max())
    shares = (shares / shares.sum()).tolist()""",
}
VALUE = "    return float(scores[0])"
VALUE_OF_WORDS = """\
    (lower, upper), (of_lower, of_upper) = prompt["bounds"], shares
    return lower * of_lower + upper * of_upper"""


def _function(model: TaskModel, form: DeployedForm) -> str:
    """Return the function `answer`; a graph's scores of a regression are its values."""
    prompted = isinstance(model, PromptModel)
    lines = ["def answer(*texts):", SCORES[form.onnx, prompted]]
    if model.task.is_regression:
        from_words = prompted and not form.onnx
        lines += [SHARES[False], VALUE_OF_WORDS] if from_words else [VALUE]
        return "\n".join(lines)
    labels = "config.id2label.values()" if form.onnx else "model.config.id2label.values()"
    named = 'prompt["labels"]' if prompted else labels
    return "\n".join([*lines, SHARES[form.onnx], f"    return dict(zip({named}, shares))"])
