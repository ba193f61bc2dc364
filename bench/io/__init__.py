"""Files written whole and read safely: atomic writes, checked JSON, JSON lines, TOML."""
