"""One vocabulary: a public class name means one thing in the whole package."""

from __future__ import annotations

import ast
from collections import defaultdict

from conftest import PROJECT


def test_no_public_class_name_occurs_twice():
    found = defaultdict(list)
    for folder in ("bench", "methods", "plots"):
        for file in sorted((PROJECT / folder).rglob("*.py")):
            for node in ast.parse(file.read_text("utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(str(file.relative_to(PROJECT)))
    assert len(found) > 100
    assert {name: files for name, files in found.items() if len(files) > 1} == {}
