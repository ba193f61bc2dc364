"""Finds the packages: `fewbench` is `bench/`, `fewbench.methods` is `methods/`, and so on (decision
001).
"""

from setuptools import find_packages, setup

FOLDERS = {
    "fewbench": "bench",
    "fewbench.methods": "methods",
    "fewbench.tasks": "tasks",
    "fewbench.plots": "plots",
    "fewbench.published": "results/published",
}

setup(
    package_dir=FOLDERS,
    packages=[
        package
        for name, folder in FOLDERS.items()
        for package in (name, *(f"{name}.{inner}" for inner in find_packages(folder)))
    ],
)
