"""The committed results are whole: every record and its predictions are what was written, and none
was limited.
"""

from __future__ import annotations

import pytest
from conftest import PROJECT

from fewbench.store.store import Store

RESULTS = PROJECT / "results"


@pytest.mark.skipif(not (RESULTS / "runs").is_dir(), reason="no results are committed")
def test_committed_results_are_whole_and_comparable():
    store = Store(RESULTS)
    assert [str(damage) for damage in store.fsck()] == []
    records = list(store.records())
    assert records and all(record.comparable for record in records)
    assert not [record.run.key for record in records if record.environment.get("dirty")]
