"""What is measured of stored runs and kept models: loyalty, cost, attacks, facts."""
