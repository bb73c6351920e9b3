#!/usr/bin/env python3
"""Runs `runner compress --method modegpt` and peer_modegpt.py on the same work, in turn, and prints a
line of JSON for each comparison: name, ours and peer in seconds (the best of the runs), ratio
(peer / ours), target. Start-up is included for the whole model, and excluded for the single block.

    compare_modegpt.py --runner build/bench/runner [--runs 3] [--threads N] [--block 4096x11008x32]

Run by scripts/bench.sh --peer, in an environment with torch, safetensors and tokenizers.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEER = ROOT / "tests/bench/peer_modegpt.py"
BUNDLED = ROOT / "configs/bundled"


def run(command, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    start = time.perf_counter()
    done = subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - start, done.stdout


def compare(name, target, runs, ours, peer):
    """ours and peer return seconds; they take turns, so that both see the same machine."""
    best = [min(pair) for pair in zip(*[(ours(), peer()) for _ in range(runs)])]
    print(json.dumps({"name": name, "ours": round(best[0], 3), "peer": round(best[1], 3),
                      "ratio": round(best[1] / best[0], 3), "target": target}), flush=True)


def whole_model(args, scratch):
    model = BUNDLED / "models/llama2-mini"
    text = BUNDLED / "text/articles_history.txt"

    def ours():
        return run([args.runner, "compress", "--model", model, "--method", "modegpt", "--ratio", "0.2",
                    "--calibration", f"text:{text}", "--samples", 128, "--length", 256, "--quiet",
                    "--threads", args.threads, "--out", scratch / "ours"], args.threads)[0]

    def peer():
        return run([sys.executable, PEER, "--model", model, "--text", text, "--ratio", "0.2",
                    "--samples", 128, "--length", 256, "--threads", args.threads,
                    "--out", scratch / "peer"], args.threads)[0]

    compare("MoDeGPT of llama2-mini, 20 %, 128 x 256, whole process", 3, args.runs, ours, peer)


def one_block(args, scratch):
    width, channels, heads = args.block.split("x")
    model, text = scratch / "block", BUNDLED / "text/stories.txt"
    run([args.runner, "synthesize", "--like", "llama-2-7b", "--layers", 1, "--set", f"hidden_size={width}",
         "--set", f"intermediate_size={channels}", "--set", f"num_attention_heads={heads}",
         "--set", f"num_key_value_heads={heads}", "--set", f"head_dim={int(width) // int(heads)}",
         "--dtype", "float32", "--out", model], args.threads)

    def ours():
        printed = run([args.runner, "compress", "--model", model, "--method", "modegpt", "--allocator",
                       "uniform", "--ratio", "0.3", "--calibration", f"text:{text}", "--samples", 4,
                       "--length", args.length, "--quiet", "--json", "--threads", args.threads,
                       "--out", scratch / "ours"], args.threads)[1]
        return json.loads(printed)["seconds"]

    def peer():
        printed = run([sys.executable, PEER, "--block", args.block, "--samples", 4, "--length", args.length,
                       "--ratio", "0.3", "--threads", args.threads], args.threads)[1]
        return json.loads(printed)["seconds"]

    compare(f"MoDeGPT of one block of {args.block}, 30 %, 4 x {args.length}", 10, 1, ours, peer)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runner", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--block", default="4096x11008x32", help="WIDTHxCHANNELSxHEADS")
    parser.add_argument("--length", type=int, default=2048, help="tokens of each of the block's 4 samples")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole_model(args, Path(folder))
        one_block(args, Path(folder))


if __name__ == "__main__":
    main()
