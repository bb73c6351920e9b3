#!/usr/bin/env python3
"""Makes requests.json: what lm-evaluation-harness builds from the records in this folder.

    make.py            (needs: python3 -m pip install lm_eval==0.4.13 torch)

The harness's own definitions are used as they are; only the place of the data is set to the *.datasets.jsonl here.
"""

import importlib.metadata
import json
import pathlib

import lm_eval.tasks
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml

HERE = pathlib.Path(__file__).parent
DEFINITIONS = {
    "arc_easy": "arc/arc_easy.yaml",
    "boolq": "super_glue/boolq/default.yaml",
    "hellaswag": "hellaswag/hellaswag.yaml",
    "lambada_openai": "lambada/lambada_openai.yaml",
    "mathqa": "mathqa/mathqa.yaml",
    "openbookqa": "openbookqa/openbookqa.yaml",
    "piqa": "piqa/piqa.yaml",
    "winogrande": "winogrande/default.yaml",
}


def documents(name, definition):
    config = load_yaml(pathlib.Path(lm_eval.tasks.__file__).parent / definition)
    config.update(
        dataset_path="json",
        dataset_name=None,
        dataset_kwargs={"data_files": {"test": str(HERE / f"{name}.datasets.jsonl")}},
        training_split=None,
        validation_split=None,
        test_split="test",
    )
    task = ConfigurableTask(config=config)
    task.build_all_requests(rank=0, world_size=1)
    grouped = {}
    for instance in task.instances:
        grouped.setdefault(instance.doc_id, []).append(list(instance.args))
    result = []
    for number, requests in sorted(grouped.items()):
        document = task.test_docs()[number]
        gold = task.doc_to_text(document) if task.multiple_input else task.doc_to_target(document)
        result.append({"gold": int(gold) if config["output_type"] == "multiple_choice" else 0, "requests": requests})
    return result


if __name__ == "__main__":
    result = {"lm_eval": importlib.metadata.version("lm_eval")}
    result["tasks"] = {name: documents(name, definition) for name, definition in sorted(DEFINITIONS.items())}
    (HERE / "requests.json").write_text(json.dumps(result, indent=1) + "\n")
