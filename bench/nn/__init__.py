"""What two methods or more are made of: models, training, losses. Torch lives here."""
