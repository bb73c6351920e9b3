#!/usr/bin/env python3
"""MoDeGPT (arXiv 2408.09632, algorithms 1 to 3) as one would write it down in PyTorch: the peer that
`runner compress --method modegpt` is measured beside. All statistics and solves in float64.

    peer_modegpt.py --model DIR --text FILE --out DIR [--ratio 0.2] [--samples 128] [--length 256]
    peer_modegpt.py --block 4096x11008x32 --samples 4 --length 2048 [--ratio 0.3]

The first form compresses a checkpoint of LLaMA type and writes its weights. The second one makes a
random block of WIDTHxCHANNELSxHEADS and compresses it. Prints one line of JSON with the seconds.
Needs torch, safetensors and tokenizers.
"""
import argparse
import json
import math
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F


def rms_norm(x, weight, eps):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin


class Block:
    """Weights [out, in] of one block by short names, and its forward pass."""

    def __init__(self, weights, heads, kv_heads, eps):
        self.w, self.heads, self.kv, self.eps = weights, heads, kv_heads, eps

    def split(self, x, heads):
        return x.view(*x.shape[:2], heads, -1).transpose(1, 2)

    def forward(self, x, cos, sin, see):
        a = rms_norm(x, self.w["norm1"], self.eps)
        q = rotate(self.split(F.linear(a, self.w["q"]), self.heads), cos, sin)
        k = rotate(self.split(F.linear(a, self.w["k"]), self.kv), cos, sin)
        v = self.split(F.linear(a, self.w["v"]), self.kv)
        see("input", a), see("q", q), see("k", k)
        mix = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = x + F.linear(mix.transpose(1, 2).flatten(2), self.w["o"])
        u = rms_norm(x, self.w["norm2"], self.eps)
        hidden = F.silu(F.linear(u, self.w["gate"])) * F.linear(u, self.w["up"])
        see("hidden", hidden)
        return x + F.linear(hidden, self.w["down"])


class Statistics:
    """Gram matrices in float64, and the block influence."""

    def __init__(self):
        self.sums, self.cosines = {}, []

    def see(self, name, x):
        if name in ("q", "k"):  # [batch, heads, tokens, width]: one matrix for each head
            x = x.transpose(0, 1).flatten(1, 2).double()
            gram = x.transpose(1, 2) @ x
        else:
            x = x.flatten(0, 1).double()
            gram = x.T @ x
        self.sums[name] = self.sums[name] + gram if name in self.sums else gram

    def influence(self):
        return 1 - torch.cat(self.cosines).mean().item()


def compress_mlp(w, gram, keep):
    m = gram.shape[0]
    scores = torch.diag(gram @ torch.linalg.inv(gram + torch.eye(m, dtype=gram.dtype)))
    kept = scores.topk(keep).indices.sort().values
    down = w["down"].double().T
    nystrom = torch.linalg.pinv(gram[kept][:, kept], hermitian=True) @ gram[kept] @ down
    w["gate"], w["up"] = w["gate"][kept], w["up"][kept]
    w["down"] = nystrom.T.to(w["up"].dtype)


def compress_query_key(w, gram_q, gram_k, keep):
    heads, kv, width = gram_q.shape[0], gram_k.shape[0], gram_k.shape[1]
    half, group = width // 2, heads // kv
    q = w["q"].view(heads, width, -1)
    k = w["k"].view(kv, width, -1)
    new_q, new_k = [], []
    for j in range(kv):
        energy = gram_q[j * group:(j + 1) * group].sum(0).diagonal() * gram_k[j].diagonal()
        scores = energy.sqrt().view(2, half).sum(0)
        pairs = scores.topk(keep // 2).indices.sort().values
        kept = torch.cat((pairs, pairs + half))
        new_k.append(k[j, kept])
        new_q += [q[i, kept] for i in range(j * group, (j + 1) * group)]
    w["q"], w["k"] = torch.cat(new_q), torch.cat(new_k)


def compress_value_output(w, gram, heads, kv, keep):
    values, vectors = torch.linalg.eigh(gram)
    values = values.clamp_min(0)
    root = (vectors * values.sqrt()) @ vectors.T
    inverse = (vectors * torch.where(values > 1e-10 * values[-1], values.rsqrt(), 0)) @ vectors.T
    width, group = w["v"].shape[0] // kv, heads // kv
    v = w["v"].double().view(kv, width, -1)
    o = w["o"].double().view(-1, heads, width)
    new_v, new_o = [], [None] * heads
    for j in range(kv):
        members = range(j * group, (j + 1) * group)
        u, s, vt = torch.linalg.svd(root @ v[j].T, full_matrices=False)
        outputs = torch.cat([o[:, i].T for i in members], 1)
        u2, s2, vt2 = torch.linalg.svd((s[:, None] * vt) @ outputs, full_matrices=False)
        new_v.append((inverse @ (u @ u2[:, :keep])).T)
        narrow = (s2[:keep, None] * vt2[:keep]).chunk(group, 1)
        for i, part in zip(members, narrow):
            new_o[i] = part.T
    dtype = w["v"].dtype
    w["v"] = torch.cat(new_v).to(dtype)
    w["o"] = torch.cat(new_o, 1).to(dtype)


def allocate(influences, ratio, cap=0.8):
    """Softmax of the block influence; its temperature gives the largest share that is wanted."""
    s, count = torch.tensor(influences, dtype=torch.float64), len(influences)
    low, high = 1e-6, 1e6
    for _ in range(200):
        middle = math.sqrt(low * high)
        largest = (torch.softmax(-s / middle, 0) * count * ratio).max().item()
        low, high = (middle, high) if largest > min(cap, 2.7 * ratio) else (low, middle)
    return (torch.softmax(-s / high, 0) * count * ratio).clamp_max(cap).tolist()


def compress_block(block, stats, ratio):
    w = block.w
    width = w["k"].shape[0] // block.kv
    compress_query_key(w, stats.sums["q"], stats.sums["k"], 2 * round((1 - ratio) * width / 2))
    compress_value_output(w, stats.sums["input"], block.heads, block.kv, round((1 - ratio) * width))
    compress_mlp(w, stats.sums["hidden"], round((1 - ratio) * w["up"].shape[0]))


def rotary(length, width, theta):
    angles = torch.arange(length)[:, None] * theta ** (-torch.arange(0, width, 2) / width)
    angles = torch.cat((angles, angles), 1)
    return angles.cos(), angles.sin()


NAMES = {"norm1": "input_layernorm", "q": "self_attn.q_proj", "k": "self_attn.k_proj",
         "v": "self_attn.v_proj", "o": "self_attn.o_proj", "norm2": "post_attention_layernorm",
         "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj"}


def compress_checkpoint(args):
    from safetensors.torch import load_file, save_file
    from tokenizers import Tokenizer
    config = json.loads((args.model / "config.json").read_text())
    tensors = {name: x.float() for name, x in load_file(args.model / "model.safetensors").items()}
    heads, kv = config["num_attention_heads"], config["num_key_value_heads"]
    ids = Tokenizer.from_file(str(args.model / "tokenizer.json")).encode(args.text.read_text()).ids
    choose = random.Random(0)
    starts = [choose.randrange(len(ids) - args.length) for _ in range(args.samples)]
    windows = torch.tensor([ids[start:start + args.length] for start in starts])
    cos, sin = rotary(args.length, config["hidden_size"] // heads, config.get("rope_theta", 1e4))
    states = [tensors["model.embed_tokens.weight"][part] for part in windows.split(16)]
    blocks, statistics = [], []
    for layer in range(config["num_hidden_layers"]):
        weights = {short: tensors[f"model.layers.{layer}.{name}.weight"]
                   for short, name in NAMES.items()}
        block, stats = Block(weights, heads, kv, config["rms_norm_eps"]), Statistics()
        for i, x in enumerate(states):
            states[i] = block.forward(x, cos, sin, stats.see)
            stats.cosines.append(F.cosine_similarity(x.double(), states[i].double(), -1).flatten())
        blocks.append(block), statistics.append(stats)
    ratios = allocate([stats.influence() for stats in statistics], args.ratio)
    for layer, (block, stats, ratio) in enumerate(zip(blocks, statistics, ratios)):
        compress_block(block, stats, ratio)
        for short, name in NAMES.items():
            tensors[f"model.layers.{layer}.{name}.weight"] = block.w[short].contiguous()
    args.out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, args.out / "model.safetensors")


def compress_random_block(args):
    width, channels, heads = map(int, args.block.split("x"))
    torch.manual_seed(0)
    made = {"norm1": torch.ones(width), "norm2": torch.ones(width)}
    for name, shape in {"q": (width, width), "k": (width, width), "v": (width, width),
                        "o": (width, width), "gate": (channels, width), "up": (channels, width),
                        "down": (width, channels)}.items():
        made[name] = torch.randn(shape) / math.sqrt(shape[1])
    x = torch.randn(args.samples, args.length, width)
    cos, sin = rotary(args.length, width // heads, 1e4)
    start = time.perf_counter()
    block, stats = Block(made, heads, heads, 1e-5), Statistics()
    for part in x.split(1):
        block.forward(part, cos, sin, stats.see)
    compress_block(block, stats, args.ratio)
    return time.perf_counter() - start


def main():
    start = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--block")
    parser.add_argument("--ratio", type=float, default=0.2)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with torch.inference_mode():
        if args.block:
            seconds = compress_random_block(args)
        else:
            compress_checkpoint(args)
            seconds = time.perf_counter() - start
    print(json.dumps({"seconds": round(seconds, 3)}))


if __name__ == "__main__":
    main()
