"""The deployed form of kept models: folders that plain transformers or ONNX Runtime reads."""
