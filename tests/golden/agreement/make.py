"""Divergence between a model and a damaged copy of it, by transformers.

    python make.py MODELS_FOLDER TEXT > values.json

The copy has every down (fc2) projection halved. All in float64, so that only our own rounding counts.
"""
import json
import sys
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

WINDOW, WINDOWS = 256, 6


def damaged(model):
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("down_proj.weight", "fc2.weight")):
                weight.mul_(0.5)
    return model


def compare(folder, text):
    load = lambda: AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager")
    dense, other = load().eval(), damaged(load()).eval()
    ids = torch.tensor(AutoTokenizer.from_pretrained(folder)(text).input_ids)[: WINDOW * WINDOWS].view(-1, WINDOW)
    with torch.no_grad():
        p, q = (m(ids).logits[:, :-1].double().log_softmax(-1) for m in (dense, other))
    target = ids[:, 1:, None]
    kl = (p.exp() * (p - q)).sum(-1)
    lp, lq = p.gather(-1, target)[..., 0], q.gather(-1, target)[..., 0]
    five = lambda x: x.topk(5).indices
    common = (five(p)[..., :, None] == five(q)[..., None, :]).any(-1).double().mean(-1)
    error = lambda x: (x.mean(1).std() / len(x) ** 0.5).item()
    top1 = (p.argmax(-1) == q.argmax(-1)).double()
    quantile = lambda x: torch.quantile(kl.flatten(), x, interpolation="linear").item()
    return {"model": folder.name, "kl_mean": kl.mean().item(), "kl_median": quantile(0.5), "kl_p90": quantile(0.9),
            "kl_p99": quantile(0.99), "kl_max": kl.max().item(), "top1_agree": top1.mean().item(),
            "top5_overlap": common.mean().item(), "dp_mean": (lq.exp() - lp.exp()).mean().item(),
            "dp_rms": (lq.exp() - lp.exp()).square().mean().sqrt().item(), "nll_diff": (lp - lq).mean().item(),
            "kl_error": error(kl), "top1_error": error(top1), "nll_diff_error": error(lp - lq),
            "window_kl": kl.mean(1).tolist()}


def main():
    models, text = Path(sys.argv[1]), Path(sys.argv[2])
    rows = [compare(models / name, text.read_text(encoding="utf-8"))
            for name in ("llama2-mini", "llama3-mini", "opt-mini")]
    print(json.dumps({"versions": {"torch": torch.__version__, "transformers": transformers.__version__},
                      "recipe": "tests/golden/agreement/make.py",
                      "file": "bundle/text/" + text.name, "window": WINDOW, "windows": WINDOWS, "rows": rows}, indent=1))


main()
