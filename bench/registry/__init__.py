"""Names of what can be run: methods, pipelines, protocols and pretrained models. No torch."""
