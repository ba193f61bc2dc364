"""A Ray cluster of two nodes on this machine, for trials: the second is killed when a line comes.

Each has one processor and, by its own account, one GPU. The address is printed, and the end of the
input ends it all.
"""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster


def main() -> None:
    cluster = Cluster()
    cluster.add_node(num_cpus=1, num_gpus=1, include_dashboard=False)
    second = cluster.add_node(num_cpus=1, num_gpus=1)
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)
    if sys.stdin.readline():
        cluster.remove_node(second, allow_graceful=False)
        print("killed", flush=True)
        sys.stdin.readline()
    cluster.shutdown()


if __name__ == "__main__":
    main()
