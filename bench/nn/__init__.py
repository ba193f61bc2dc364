"""The parts that two methods or more use: models, training, losses. Torch is imported here."""
