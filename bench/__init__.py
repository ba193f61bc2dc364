"""The harness: see README.md and `bench --help`."""
