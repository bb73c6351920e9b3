#!/usr/bin/env python3
"""Runs lm-evaluation-harness and runner on the same task files and model, one after the other, and
compares accuracies and wall times, start-up included.

    python3 -m venv /tmp/lm-eval && /tmp/lm-eval/bin/pip install "lm_eval[hf]==0.4.13" transformers torch
    /tmp/lm-eval/bin/python tests/bench/compare_lm_eval.py --data DIR --model configs/bundled/models/llama2-mini

DIR holds task files of the derived form (question, choices, gold; context_options, continuation, gold)
or HellaSwag's own. Both programs get the same number of threads.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MULTIPLE_CHOICE = """task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{file}"}}}}
test_split: test
output_type: multiple_choice
{prompt}
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
{norm}
"""
NORM = "  - {metric: acc_norm, aggregation: mean, higher_is_better: true}"
QUESTION = r'''doc_to_text: "Question: {{question}}\nAnswer:"
doc_to_choice: "{{choices}}"
doc_to_target: gold'''
# The harness's own helpers are used for the two tasks that need code.
COREFERENCE = """doc_to_text: !function helpers.gold
doc_to_target: !function helpers.continuation
doc_to_choice: !function helpers.contexts"""
ENDINGS = """process_docs: !function helpers.process_hellaswag
doc_to_text: "{{query}}"
doc_to_target: "{{label}}"
doc_to_choice: "choices\""""
HELPERS = '''
from lm_eval.tasks.hellaswag.utils import process_docs as process_hellaswag

def gold(doc):
    return doc["gold"]

def continuation(doc):
    return doc["continuation"]

def contexts(doc):
    return doc["context_options"]
'''
TASKS = {
    "arc_easy": ("arc_easy_test.jsonl", QUESTION, NORM),
    "arc_challenge": ("arc_challenge_test.jsonl", QUESTION, NORM),
    "piqa": ("piqa_val.jsonl", QUESTION, NORM),
    "winogrande": ("winogrande_xl_dev.jsonl", COREFERENCE, ""),
    "hellaswag-sample1000": ("hellaswag_val_1000.jsonl", ENDINGS, NORM),
}


def write_tasks(folder, data, names):
    (folder / "helpers.py").write_text(HELPERS)
    for name in names:
        file, prompt, norm = TASKS[name]
        path = next((p for p in (data / file, data / "tasks" / file) if p.exists()), None)
        if path is None:
            sys.exit(f"{data}: holds no {file}")
        text = MULTIPLE_CHOICE.format(name="local_" + name, file=path, prompt=prompt, norm=norm)
        (folder / f"{name}.yaml").write_text(text)


def run(command, env):
    begin = time.monotonic()
    result = subprocess.run(command, env=env, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{result.stderr[-2000:]}")
    return time.monotonic() - begin, result.stdout


def reference(args, names, folder, env):
    out = folder / "out"
    seconds, _ = run([sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args",
                      f"pretrained={args.model},dtype=float32", "--tasks",
                      ",".join("local_" + n for n in names), "--include_path", folder, "--device",
                      "cpu", "--batch_size", str(args.batch), "--output_path", out], env)
    results = json.loads(next(out.rglob("results_*.json")).read_text())["results"]
    return seconds, {n: {m: results["local_" + n].get(m + ",none") for m in ("acc", "acc_norm")}
                     for n in names}


def ours(args, names, env):
    seconds, text = run([args.runner, "evaluate", "--model", args.model, "--tasks",
                         ",".join(names), "--data", args.data, "--threads", str(args.threads),
                         "--json"], env)
    return seconds, json.loads(text)["tasks"]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--runner", type=Path, default=Path("build/release/runner"))
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--batch", type=int, default=8, help="batch size of the harness")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each program, alternating")
    args = parser.parse_args()
    names = args.tasks.split(",")
    args.data = args.data.resolve()
    env = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "HF_HUB_OFFLINE": "1",
           "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    equal = True
    for repeat in range(args.repeats):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            write_tasks(folder, args.data, names)
            their_seconds, theirs = reference(args, names, folder, env)
        our_seconds, found = ours(args, names, env)
        print(f"lm-eval {their_seconds:.2f} s, runner {our_seconds:.2f} s: "
              f"{their_seconds / our_seconds:.1f} times", flush=True)
        for name in names:
            for metric, value in theirs[name].items():
                if value is None:
                    continue
                same = abs(value - found[name][metric]) < 1e-12
                equal = equal and same
                print(f"  {name:22} {metric:9} {100 * value:7.3f} {100 * found[name][metric]:7.3f} "
                      f"{'equal' if same else 'DIFFERENT'}")
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
