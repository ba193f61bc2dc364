"""`python -m fewbench` is `bench`."""

from fewbench.cli import main

main()
