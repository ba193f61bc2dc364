"""What pretraining by masked language modelling needs before a model is trained: corpus statistics
and masking.
"""
