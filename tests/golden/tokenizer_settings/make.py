#!/usr/bin/env python3
"""Writes matrix.json: what AutoTokenizer makes of folders of small tokenizers.

    pip install transformers==4.57.6 tokenizers==0.22.2 sentencepiece==0.2.1 protobuf
    python3 make.py [--mixed N] [--seed N] [--out FILE]

A folder is a class (tokenizer_class, or what config.json implies), a set of vocabulary files, and variations of the settings.
"matrix" has every class with every set and every variation alone; "mixed" has N random combinations of two to four variations (default:
400; a larger N with another seed makes a longer check that is not kept). Folders' files are merged key by key, in the order class, set,
variations.

An outcome is what came of a folder: by each text the ids with special tokens, the text of these, and the text without special tokens, as
numbers of entries of "lists" and "strings"; the ids of BOS and EOS; the number of tokens. "refused" is the beginning of the library's message.
"""

import argparse
import contextlib
import copy
import json
import os
import pathlib
import random
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "critical"

import tokenizers  # noqa: E402
import transformers  # noqa: E402
from sentencepiece import sentencepiece_model_pb2 as proto  # noqa: E402

TEXTS = ["the <s> cat </s>", " a <pad> b<new>", "  two the <tool>", "", "it 's <|endoftext|> ok .", "<unk> é<s>x</s>"]


def part(kind, **fields):
    return {"type": kind, **fields}


def added(content, number, special=True):
    return {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": not special, "special": special}


def template(number):
    item = lambda name: {"Sequence": {"id": name, "type_id": 0}}
    return part("TemplateProcessing", single=[{"SpecialToken": {"id": "<s>", "type_id": 0}}, item("A")], pair=[item("A"), item("B")],
                special_tokens={"<s>": {"id": "<s>", "ids": [number], "tokens": ["<s>"]}})


MERGES = ["t h", "th e", "Ġ the", "c a", "ca t", "Ġ cat"]


def byte_vocabulary():
    tokens = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()) + [merge.replace(" ", "") for merge in MERGES]
    return {token: i for i, token in enumerate(tokens)}


def byte_json():
    vocabulary = byte_vocabulary()
    names = ["<s>", "</s>", "<|endoftext|>", "<unk>"]
    tokens = [added(name, len(vocabulary) + i) for i, name in enumerate(names)] + [added("<tool>", len(vocabulary) + 4, special=False)]
    byte_level = part("ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True)
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens, "normalizer": None, "pre_tokenizer": byte_level,
            "post_processor": template(len(vocabulary)), "decoder": byte_level,
            "model": part("BPE", dropout=None, unk_token=None, continuing_subword_prefix="", end_of_word_suffix="", fuse_unk=False,
                          byte_fallback=False, ignore_merges=False, vocab=vocabulary, merges=MERGES)}


PIECES = ["▁", "t", "h", "e", "a", "c", "o", "w", "i", "s", "x", "b", ".", "'", "k", "th", "▁th", "▁the", "the", "▁c", "at", "▁cat"]


def pieces():
    yield from (("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3))
    yield from ((f"<0x{byte:02X}>", 0.0, 6) for byte in range(256))
    yield "<tool>", 0.0, 4
    yield from ((piece, -float(i), 1) for i, piece in enumerate(PIECES))


def sentencepiece(add_dummy_prefix):
    model = proto.ModelProto()
    for text, score, kind in pieces():
        model.pieces.add(piece=text, score=score, type=kind)
    model.trainer_spec.model_type = 2
    model.trainer_spec.byte_fallback = True
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = add_dummy_prefix
    model.normalizer_spec.remove_extra_whitespaces = False
    return model.SerializeToString().hex()


def character_json():
    """As the model, but with another added token and a template of its own."""
    vocabulary = {text: i for i, (text, _, _) in enumerate(pieces())}
    merges = [("t", "h"), ("▁", "th"), ("▁th", "e"), ("th", "e"), ("▁", "c"), ("a", "t"), ("▁c", "at")]
    tokens = [added("<unk>", 0), added("<s>", 1), added("</s>", 2), added("<json>", len(vocabulary))]
    replace = lambda before, after: part("Replace", pattern={"String": before}, content=after)
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens,
            "normalizer": part("Sequence", normalizers=[part("Prepend", prepend="▁"), replace(" ", "▁")]), "pre_tokenizer": None,
            "post_processor": template(1),
            "decoder": part("Sequence", decoders=[replace("▁", " "), part("ByteFallback"), part("Fuse"), part("Strip", content=" ", start=1, stop=0)]),
            "model": part("BPE", dropout=None, unk_token="<unk>", continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=True,
                          byte_fallback=True, ignore_merges=False, vocab=vocabulary, merges=[" ".join(merge) for merge in merges])}


CONFIG, MAP, ADDED, MODEL, GENERATION = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json", "generation_config.json")


def classes():
    for name in ("LlamaTokenizer", "LlamaTokenizerFast", "CodeLlamaTokenizer", "GPT2Tokenizer", "GPT2TokenizerFast", "Qwen2Tokenizer",
                 "Qwen2TokenizerFast", "PreTrainedTokenizerFast", "GemmaTokenizer", "CohereTokenizer", "GPTNeoXTokenizerFast", "MadeUpTokenizer"):
        yield name, {CONFIG: {"tokenizer_class": name}, MODEL: {"model_type": "qwen2"}}
    for kind in ("llama", "mistral", "qwen2", "opt"):
        yield f"config.json {kind}", {MODEL: {"model_type": kind}}
    yield "config.json GPT2Tokenizer", {MODEL: {"model_type": "llama", "tokenizer_class": "GPT2Tokenizer"}}
    yield "none", {}


def sets():
    yield "json", {"tokenizer.json": "bytes"}
    yield "json like model", {"tokenizer.json": "characters"}
    yield "model", {"tokenizer.model": "model"}
    yield "model without prefix", {"tokenizer.model": "model without prefix"}
    yield "json and model", {"tokenizer.json": "characters", "tokenizer.model": "model"}
    yield "vocab and merges", {"vocab.json": "vocabulary", "merges.txt": "merges"}
    yield "json, vocab and merges", {"tokenizer.json": "bytes", "vocab.json": "vocabulary", "merges.txt": "merges"}


NAMES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def object_of(content, **flags):
    return {"__type": "AddedToken", "content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, **flags}


def flags(content, **more):
    token = object_of(content, special=True, **more)
    del token["__type"]
    return token


def variations():
    yield "nothing", {}
    yield "no file", {CONFIG: {}}
    yield "names", {CONFIG: NAMES}
    for key in ("add_bos_token", "add_eos_token", "add_prefix_space", "legacy", "clean_up_tokenization_spaces", "split_special_tokens"):
        for value in (True, False, None):
            yield f"{key} {value}", {CONFIG: {key: value}}
    for key in ("bos_token", "eos_token", "unk_token", "pad_token"):
        for value in ("", None, "<s>", "<new>", "the", object_of("<new>"), object_of("</s>", lstrip=True, normalized=True), {"content": "<s>"}):
            yield f"{key} {json.dumps(value)}", {CONFIG: {key: value}}
    yield "sep, cls, mask", {CONFIG: {"sep_token": "<sep>", "cls_token": "<pad>", "mask_token": object_of("<new>", lstrip=True)}}
    yield "additional", {CONFIG: {"additional_special_tokens": ["<new>", object_of("<pad>", rstrip=True), "the"]}}
    yield "extra", {CONFIG: {"extra_special_tokens": {"image_token": "<new>"}}}
    yield "model_max_length", {CONFIG: {"model_max_length": 2, "padding_side": "left"}}
    for name, token in (("as it is", flags("</s>")), ("lstrip", flags("</s>", lstrip=True)), ("rstrip", flags("</s>", rstrip=True)),
                        ("single_word", flags("</s>", single_word=True)), ("normalized", flags("</s>", normalized=True)),
                        ("plain", flags("</s>") | {"special": False}), ("new", flags("<new>", lstrip=True)), ("word", flags("the", single_word=True)),
                        ("tool", flags("<tool>")), ("content alone", {"content": "<new>"})):
        yield f"decoder 2 {name}", {CONFIG: {"added_tokens_decoder": {"2": token}}}
        yield f"decoder 400 {name}", {CONFIG: {"added_tokens_decoder": {"400": token}}}
    yield "decoder of two", {CONFIG: {"added_tokens_decoder": {"300": flags("<pad>"), "299": flags("<new>") | {"special": False}}}}
    yield "decoder empty", {CONFIG: {"added_tokens_decoder": {}}}
    yield "map names", {MAP: NAMES}
    yield "map swaps", {MAP: {"bos_token": "</s>", "eos_token": "<s>"}}
    yield "map objects", {MAP: {"bos_token": flags("</s>", rstrip=True), "pad_token": {"content": "<new>", "lstrip": True}}}
    yield "map additional", {MAP: {"additional_special_tokens": ["<pad>", flags("<new>", lstrip=True)]}}
    yield "map empty name", {MAP: {"bos_token": "", "pad_token": "<pad>"}}
    yield "map null", {MAP: {"bos_token": None}}
    yield "added pad", {ADDED: {"<pad>": 300}}
    yield "added two", {ADDED: {"<pad>": 301, "<new>": 300}}
    yield "added known", {ADDED: {"</s>": 2, "the": 9}}
    yield "generation_config", {GENERATION: {"bos_token_id": 5, "eos_token_id": [6, 7]}}
    yield "config ids", {MODEL: {"bos_token_id": 5, "eos_token_id": 6}}
    yield "padding of the file", {"tokenizer.json padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                                                            "pad_type_id": 0, "pad_token": "<pad>"}}


def folder_of(*parts):
    files = {}
    for part_files in parts:
        for name, content in part_files.items():
            files[name] = {**files[name], **content} if isinstance(content, dict) and name in files else copy.deepcopy(content)
    return files


def write_folder(files, bases, folder):
    padding = files.get("tokenizer.json padding")
    for name, content in files.items():
        if name == "tokenizer.json padding":
            continue
        content = bases[content] if isinstance(content, str) else content
        if name == "tokenizer.json" and padding:
            content = {**content, "padding": padding}
        if name == "tokenizer.model":
            (folder / name).write_bytes(bytes.fromhex(content))
        else:
            (folder / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def outcome_of(files, bases, pools):
    def pool(name, value):
        return pools[name].setdefault(json.dumps(value), len(pools[name]))

    # The library guesses a class from a path that contains the name of one.
    with tempfile.TemporaryDirectory() as parent, contextlib.chdir(parent):
        folder = "zz"
        os.mkdir(folder)
        write_folder(files, bases, pathlib.Path(folder))
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            if not tokenizer:
                raise ValueError("no tokenizer")
            ids = [tokenizer(text).input_ids for text in TEXTS]
            return {"ids": [pool("lists", row) for row in ids], "texts": [pool("strings", tokenizer.decode(row)) for row in ids],
                    "plain": [pool("strings", tokenizer.decode(row, skip_special_tokens=True)) for row in ids],
                    "bos": tokenizer.bos_token_id if tokenizer.bos_token else None,
                    "eos": tokenizer.eos_token_id if tokenizer.eos_token else None, "size": len(tokenizer)}
        except BaseException as error:  # the library's own panics among them
            if isinstance(error, KeyboardInterrupt):
                raise
            return {"refused": f"{type(error).__name__}: {str(error).splitlines()[0][:80] if str(error) else ''}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mixed", type=int, default=400)
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "matrix.json")
    args = parser.parse_args()
    draw = random.Random(args.seed)
    bases = {"bytes": byte_json(), "characters": character_json(), "model": sentencepiece(True), "model without prefix": sentencepiece(False),
             "vocabulary": {**byte_vocabulary(), **{name: len(byte_vocabulary()) + i for i, name in enumerate(["<s>", "</s>", "<|endoftext|>", "<unk>"])}},
             "merges": "#version: 0.2\n" + "\n".join(MERGES) + "\n"}
    of_class, of_set, of_variation = list(classes()), list(sets()), list(variations())
    pools, outcomes = {"lists": {}, "strings": {}}, {}

    def cell(*parts):
        return outcomes.setdefault(json.dumps(outcome_of(folder_of(*parts), bases, pools)), len(outcomes))

    matrix = [[[cell(class_files, set_files, files) for _, files in of_variation] for _, set_files in of_set] for _, class_files in of_class]
    mixed = []
    while len(mixed) < args.mixed:
        row = [draw.randrange(len(of_class)), draw.randrange(len(of_set)), sorted(draw.sample(range(len(of_variation)), draw.randint(2, 4)))]
        number = cell(of_class[row[0]][1], of_set[row[1]][1], *(of_variation[i][1] for i in row[2]))
        if "refused" not in list(outcomes)[number]:
            mixed.append([*row, number])
    compact = lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    lines = lambda values: "[\n" + ",\n".join(values) + "\n]"
    named = lambda rows: lines([compact({"name": name, "files": files}) for name, files in rows])
    content = {"library": compact(f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}"), "texts": compact(TEXTS),
               "bases": "{\n" + ",\n".join(f"{compact(name)}: {compact(base)}" for name, base in bases.items()) + "\n}", "classes": named(of_class), "sets": named(of_set), "variations": named(of_variation),
               "lists": lines(pools["lists"]).replace(", ", ","), "strings": lines(compact(json.loads(text)) for text in pools["strings"]),
               "outcomes": lines(compact(json.loads(text)) for text in outcomes), "matrix": lines(compact(row) for rows in matrix for row in rows),
               "mixed": lines(compact(row) for row in mixed)}
    args.out.write_text("{\n" + ",\n".join(f'"{key}": {value}' for key, value in content.items()) + "\n}\n", encoding="utf-8")
    print(f"{sum(len(row) for rows in matrix for row in rows)} cells of the matrix, {len(mixed)} mixed, {len(outcomes)} outcomes")


if __name__ == "__main__":
    main()
