"""What can be run, by name: methods, pipelines, protocols and pretrained models. No torch."""
