"""Configurations of tiny random models of the families that run by their own forward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MASKED = ("deberta-v2", "mpnet", "modernbert", "rembert")
SEES_PADDING = ("convbert", "fnet", "mobilebert")
INFILLING = ("bart",)
CAUSAL = (
    "bloom", "gemma", "gemma2", "gemma3_text", "gpt2", "gpt_neo", "gpt_neox", "llama", "mistral",
    "opt", "phi3", "qwen2", "qwen3", "smollm3",
)  # fmt: skip


def general_configs(tokens: int) -> dict[str, Callable[[], Any]]:
    """Return makers of configurations by model type, each of two layers of width 16."""
    import transformers as hf

    rows = tokens + 8  # some tokenizer classes add tokens
    small: dict[str, Any] = dict(
        vocab_size=rows, hidden_size=16, num_hidden_layers=2, num_attention_heads=2
    )
    usual = small | dict(intermediate_size=32, max_position_embeddings=160, pad_token_id=0)
    left = usual | dict(bos_token_id=2, eos_token_id=3)
    grouped = left | dict(num_key_value_heads=1)
    gemma = grouped | dict(head_dim=8)
    older = dict(vocab_size=rows, bos_token_id=2, eos_token_id=3)
    return {
        "deberta-v2": lambda: hf.DebertaV2Config(
            **usual, relative_attention=True, pos_att_type=["c2p", "p2c"], share_att_key=True,
            position_biased_input=False, type_vocab_size=0, position_buckets=16,
            norm_rel_ebd="layer_norm",
        ),
        "mpnet": lambda: hf.MPNetConfig(**usual),
        "modernbert": lambda: hf.ModernBertConfig(
            **left, cls_token_id=2, sep_token_id=3, local_attention=16
        ),
        "rembert": lambda: hf.RemBertConfig(
            **left, input_embedding_size=8, output_embedding_size=24
        ),
        "mobilebert": lambda: hf.MobileBertConfig(
            **usual, embedding_size=8, intra_bottleneck_size=8, true_hidden_size=8
        ),
        "convbert": lambda: hf.ConvBertConfig(
            **usual, embedding_size=16, head_ratio=1, conv_kernel_size=3
        ),
        "fnet": lambda: hf.FNetConfig(**usual),
        "bart": lambda: hf.BartConfig(
            **older, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, pad_token_id=0,
            max_position_embeddings=160, decoder_start_token_id=3,
        ),
        "bloom": lambda: hf.BloomConfig(**older, hidden_size=16, n_layer=2, n_head=2),
        "gpt_neo": lambda: hf.GPTNeoConfig(
            **older, hidden_size=16, num_layers=2, num_heads=2, max_position_embeddings=160,
            attention_types=[[["global", "local"], 1]], window_size=16,
        ),
        "gemma": lambda: hf.GemmaConfig(**gemma),
        "gemma2": lambda: hf.Gemma2Config(**gemma, sliding_window=16),
        "gemma3_text": lambda: hf.Gemma3TextConfig(**gemma, sliding_window=16),
        "mistral": lambda: hf.MistralConfig(**grouped),
        "phi3": lambda: hf.Phi3Config(**grouped),
        "qwen2": lambda: hf.Qwen2Config(**grouped),
        "qwen3": lambda: hf.Qwen3Config(**gemma),
        "smollm3": lambda: hf.SmolLM3Config(**grouped),
    }  # fmt: skip
