"""Logits of tiny models of each family by transformers.

    python make.py > values.json

Needs transformers 4.57.6 and torch. The weights follow from the names of the tensors by the rule of
weights(), which tests compute too, so that no checkpoint has to be stored; config.json is stored as
transformers writes it.
"""
import json
import sys

import numpy as np
import torch
import transformers
from transformers import LlamaConfig, MistralConfig, Qwen2Config

SIZES = dict(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    initializer_range=0.1,
)
LENGTHS = (12, 56)


def weights(name, shape):
    """Numbers in [-s, s) from SplitMix64 of the FNV-1a hash of the name; of norms, 1 is added."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        step = np.uint64(0x9E3779B97F4A7C15)
        x = np.uint64(seed) + step * np.arange(1, np.prod(shape) + 1, dtype=np.uint64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    unit = (x >> np.uint64(40)).astype(np.float64) / 2**23 - 1
    if "norm" in name:
        values = 1 + unit / 4
    elif "embed" in name:
        values = unit
    elif "q_proj" in name or "k_proj" in name:
        values = unit / 2  # attention that is far from even, so that positions matter
    else:
        values = unit / 4
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def ids(length):
    return [(7 * i * i + 3 * i + 5) % 61 for i in range(length)]


def llama(**keys):
    return LlamaConfig(**(SIZES | keys))


def scaled(kind, key="rope_type", **keys):
    return {"rope_scaling": {key: kind, **keys}}


CASES = {
    "llama": llama(),
    "llama_head_dim": llama(head_dim=16),
    "llama_attention_bias": llama(attention_bias=True),
    "llama_all_biases_tied": llama(attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
    "linear": llama(**scaled("linear", factor=4.0)),
    "linear_old_key": llama(**scaled("linear", key="type", factor=2.5)),
    "llama3": llama(
        **scaled("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=24)
    ),
    "yarn": llama(**scaled("yarn", factor=4.0, original_max_position_embeddings=16)),
    "yarn_no_original": llama(rope_theta=500.0, **scaled("yarn", factor=2.0)),
    "yarn_attention_factor": llama(
        **scaled("yarn", factor=4.0, original_max_position_embeddings=16, attention_factor=0.8, beta_fast=4.0, beta_slow=0.5)
    ),
    "yarn_mscale": llama(
        head_dim=16,
        rope_theta=300.0,
        **scaled("yarn", factor=4.0, original_max_position_embeddings=32, mscale=0.7, mscale_all_dim=1.3, truncate=False),
    ),
    "dynamic": llama(**(dict(max_position_embeddings=16) | scaled("dynamic", factor=4.0))),
    "dynamic_within": llama(**scaled("dynamic", factor=2.0)),
    "qwen2": Qwen2Config(**SIZES),
    "qwen2_tied_yarn": Qwen2Config(
        **SIZES, tie_word_embeddings=True, **scaled("yarn", key="type", factor=4.0, original_max_position_embeddings=16)
    ),
    "qwen2_window": Qwen2Config(**SIZES, use_sliding_window=True, sliding_window=9, max_window_layers=1),
    "qwen2_window_off": Qwen2Config(**SIZES, use_sliding_window=False, sliding_window=9, max_window_layers=1),
    "mistral": MistralConfig(**SIZES, sliding_window=None),
    "mistral_window": MistralConfig(**SIZES, sliding_window=8),
    "mistral_head_dim_linear": MistralConfig(**SIZES, head_dim=16, sliding_window=40, **scaled("linear", factor=2.0)),
}


def run(config):
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    shapes = {}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            shapes[name] = list(parameter.shape)
            parameter.copy_(weights(name, parameter.shape))
        rows = []
        for length in LENGTHS:
            sequence = torch.tensor([ids(length)])
            logits = model(sequence).logits[0].double()
            nll = torch.nn.functional.cross_entropy(logits[:-1], sequence[0, 1:])
            positions = [0, 1, length // 2, length - 1]
            rows.append(
                {
                    "ids": ids(length),
                    "positions": positions,
                    "logits": [[round(x, 6) for x in logits[p].tolist()] for p in positions],
                    "nll": round(nll.item(), 7),
                }
            )
    # As in a folder that transformers saves.
    config.architectures = [type(model).__name__]
    return {"config": json.loads(config.to_json_string(use_diff=True)), "shapes": shapes, "rows": rows}


def main():
    torch.manual_seed(0)
    cases = {name: run(config) for name, config in CASES.items()}
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    sys.stdout.write('{"versions": ' + json.dumps(versions) + ',\n "cases": {\n')
    sys.stdout.write(",\n".join(f"  {json.dumps(name)}: {json.dumps(case)}" for name, case in cases.items()))
    sys.stdout.write("\n}}\n")


main()
