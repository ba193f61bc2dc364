"""Finds the packages: `fewbench` is `bench/`, `fewbench.methods` is `methods/`, and so on (decision
001). A wheel that GitHub's runner builds names the repository that it was built from.
"""

import os

from setuptools import find_packages, setup

FOLDERS = {
    "fewbench": "bench",
    "fewbench.methods": "methods",
    "fewbench.tasks": "tasks",
    "fewbench.plots": "plots",
    "fewbench.published": "results/published",
}


def addresses() -> dict[str, str]:
    """Return the project's addresses, as GitHub's runner has them; none elsewhere."""
    server, name = (os.environ.get(f"GITHUB_{what}") for what in ("SERVER_URL", "REPOSITORY"))
    if not (server and name):
        return {}
    source = f"{server}/{name}"
    return {
        "Source": source,
        "Issues": f"{source}/issues",
        "Changelog": f"{source}/blob/main/CHANGELOG.md",
    }


setup(
    project_urls=addresses(),
    package_dir=FOLDERS,
    packages=[
        package
        for name, folder in FOLDERS.items()
        for package in (name, *(f"{name}.{inner}" for inner in find_packages(folder)))
    ],
)
