#!/usr/bin/env bash
# Tries `bench run --executor slurm` and `ray` on real clusters of this machine: slurmctld and slurmd from Debian's
# packages, and two nodes of Ray. Workers are cancelled, preempted and killed; records must be those of a local run.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
if ! command -v slurmctld > /dev/null && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends slurm-wlm
fi
"$python" -c 'import submitit, ray' 2> /dev/null || "$python" -m pip install -q -c constraints.txt submitit ray
exec "$python" -m pytest -m slow -s -p no:randomly tests/runner/test_real_clusters.py "$@"
