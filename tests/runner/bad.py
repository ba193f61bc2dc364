"""Methods that misbehave, written to files: what `fit` or `predict` does stands in a line or a few."""

from __future__ import annotations

import textwrap
from pathlib import Path

from fewbench.registry.methods import MethodInfo, read_method

HEAD = '''
import ctypes, faulthandler, gc, json, os, pickle, random, signal, sys, threading, time, warnings
from pathlib import Path
import numpy as np
import torch
from fewbench.types import Example, Predictions

NEEDS = {needs}

def shares(examples, hit=None):
    """Equal shares of three classes, or one class for each example."""
    if hit is None:
        return np.full((len(examples), 3), 1 / 3, np.float32)
    return np.eye(3, dtype=np.float32)[hit]

class Same:
    def predict(self, examples):
        return Predictions(tuple(e.id for e in examples), probabilities=shares(examples))

{definitions}

def fit(task, split, kit):
{fit}
    return Same()
'''


def write(
    folder: Path, name: str, fit: str = "pass", *, head: str = "", needs: str = "()"
) -> MethodInfo:
    """Return a method whose `fit` does some lines and, unless they return, answers equal shares."""
    body = textwrap.indent(textwrap.dedent(fit).strip(), "    ")
    file = folder / f"{name}.py"
    file.write_text(HEAD.format(needs=needs, definitions=textwrap.dedent(head), fit=body), "utf-8")
    return read_method(file)
