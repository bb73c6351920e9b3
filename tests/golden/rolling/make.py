"""Word perplexities by lm-evaluation-harness itself, on local files.

    python make.py MODELS_FOLDER TEXT MODEL:VARIANT:MAX_LENGTH ... > NAME.json

Needs lm_eval and torch. The harness downloads its pages; here they are cut from the text by the rule of
its data set's builder. Everything after that (detokeniser, windows, scores, word and byte counts) is
the harness's own code.
"""
import hashlib
import json
import sys
from pathlib import Path

import lm_eval
import torch
import transformers
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks.wikitext.preprocess_wikitext import process_results, wikitext_detokenizer


def pages(text):
    found, lines = [], []
    for line in text.split("\n"):
        probe = line.replace("= = =", "===").replace("= =", "==").strip()
        if probe.startswith("= ") and probe.endswith(" ="):
            if "\n".join(lines).strip():
                found.append("\n".join(lines))
            lines = []
        lines.append(line)
    return found + ["\n".join(lines)]


VARIANTS = {
    "word": dict(add_bos_token=False),  # 0.4.3 to 0.4.9.1
    "word-bos": dict(),  # since 0.4.9.2
    "word-eos": dict(add_bos_token=False, prefix_token_id=2),  # before 0.4.3
}


def score(folder, docs, max_length, variant):
    lm = HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=1, max_length=max_length,
              **VARIANTS[variant])
    if variant == "word-eos":
        lm.custom_prefix_token_id = lm.tokenizer.eos_token_id
    texts = [wikitext_detokenizer(doc) for doc in docs]
    sums = lm.loglikelihood_rolling([Instance("loglikelihood_rolling", doc, (text,), i)
                                     for i, (doc, text) in enumerate(zip(docs, texts))])
    results = [process_results(doc, (value,)) for doc, value in zip(docs, sums)]
    total = sum(sums)
    words = sum(r["word_perplexity"][1] for r in results)
    size = sum(r["byte_perplexity"][1] for r in results)
    return {"model": folder.name, "variant": variant, "max_length": max_length, "log_likelihood": total,
            "words": words, "bytes": size, "tokens": sum(len(lm.tok_encode(t)) for t in texts),
            "word_perplexity": torch.tensor(-total / words, dtype=torch.float64).exp().item(),
            "byte_perplexity": torch.tensor(-total / size, dtype=torch.float64).exp().item(),
            "first_pages": sums[:4],
            "detokenized_sha256": hashlib.sha256("\0".join(texts).encode()).hexdigest()}


def main():
    models, text = Path(sys.argv[1]), Path(sys.argv[2])
    docs = [{"page": page} for page in pages(text.read_text(encoding="utf-8"))]
    rows = []
    for job in sys.argv[3:]:
        model, variant, max_length = job.split(":")
        rows.append(score(models / model, docs, int(max_length), variant))
        print(rows[-1], file=sys.stderr)
    print(json.dumps({"versions": {"lm_eval": lm_eval.__version__, "torch": torch.__version__,
                                   "transformers": transformers.__version__},
                      "file": text.name, "pages": len(docs), "rows": rows}, indent=1))


main()
