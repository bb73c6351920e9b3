#!/usr/bin/env python3
"""Writes names.json: how tokenizers that tokenizer.ggml.pre names cut the strings of ../tokenizer/strings.json.

    pip install tokenizers==0.22.2
    python3 make.py [--out FILE]

Each name has the "pre_tokenizer" and "normalizer" of the tokenizer.json of the model it is named after (of olmo and mpt that of GPT-NeoX), the
SHA-256 of the words of all strings by the library, as compact JSON, and their number.
"""

import argparse
import hashlib
import json
import pathlib

import tokenizers
from tokenizers import Tokenizer

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
LETTERS = r"|[^\r\n\p{L}\p{N}]?\p{L}+"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*" + SPACES
THREE_DIGITS = CONTRACTIONS + LETTERS + r"|\p{N}{1,3}" + REST
ONE_DIGIT = CONTRACTIONS + LETTERS + r"|\p{N}" + REST
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
BEFORE = r"[^\r\n\p{L}\p{N}]?"
TEKKEN = BEFORE + UPPER + "*" + LOWER + "+|" + BEFORE + UPPER + "+" + LOWER + r"*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + SPACES
O200K = (BEFORE + UPPER + "*" + LOWER + "+" + CONTRACTIONS + "?|" + BEFORE + UPPER + "+" + LOWER + "*" + CONTRACTIONS +
         r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + SPACES)
CJK = "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+"
# The cased letters of Unicode 11, as ranges.
DEEPSEEK_LETTERS = (
    "\\s?["
    "A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF\u0370-\u0373\u0376\u0377\u037B-\u037D\u037F"
    "\u0386\u0388-\u038A\u038C\u038E-\u03A1\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F\u0531-\u0556\u10A0-\u10C5\u13A0-\u13F5\u13F8-\u13FD"
    "\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57"
    "\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC"
    "\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F"
    "\u2145-\u2149\u214E\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D\uA680-\uA69B\uA722-\uA76F\uA771-\uA787"
    "\uA78B-\uA78E\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A\U00010400-\U0001044F\U000104B0-\U000104D3"
    "\U000104D8-\U000104FB\U00010C80-\U00010CB2\U00010CC0-\U00010CF2\U000118A0-\U000118DF\U0001E900-\U0001E943"
    "]+")
DEEPSEEK_V3 = ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+"
               r"|\s+(?!\S)|\s+")


def part(kind, **fields):
    return {"type": kind, **fields}


def split(pattern):
    return part("Split", pattern={"Regex": pattern}, behavior="Isolated", invert=False)


def byte_level(use_regex):
    return part("ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=use_regex)


def sequence(*steps):
    return part("Sequence", pretokenizers=list(steps))


GPT2 = byte_level(True)
DIGITS = sequence(part("Digits", individual_digits=True), byte_level(True))
NFC = part("NFC")


def patterns(*all_patterns, digits=False):
    return sequence(*map(split, all_patterns), *([part("Digits", individual_digits=True)] if digits else []), byte_level(False))


NAMES = {
    "gpt-2": (GPT2, None), "phi-2": (GPT2, None), "mpt": (GPT2, NFC), "olmo": (GPT2, NFC),
    "smollm": (DIGITS, None), "starcoder": (DIGITS, None), "refact": (DIGITS, None), "codeshell": (DIGITS, None), "command-r": (DIGITS, NFC),
    "llama-bpe": (patterns(THREE_DIGITS), None), "llama3": (patterns(THREE_DIGITS), None), "llama-v3": (patterns(THREE_DIGITS), None),
    "dbrx": (patterns(THREE_DIGITS), None), "smaug-bpe": (patterns(THREE_DIGITS), None),
    "qwen2": (patterns(ONE_DIGIT), NFC), "deepseek-r1-qwen": (patterns(ONE_DIGIT), None),
    "tekken": (patterns(TEKKEN), None), "gpt-4o": (patterns(O200K), None), "llama4": (patterns(O200K), None),
    "deepseek-llm": (patterns("[\r\n]", DEEPSEEK_LETTERS, "\\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+", r"\s+$", CJK, digits=True), None),
    "deepseek-coder": (patterns("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK, digits=True), None),
    "deepseek-v3": (patterns(r"\p{N}{1,3}", "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+", DEEPSEEK_V3), None),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = pathlib.Path(__file__).parent
    parser.add_argument("--out", type=pathlib.Path, default=here / "names.json")
    args = parser.parse_args()
    texts = json.loads((here.parent / "tokenizer/strings.json").read_text(encoding="utf-8"))["strings"]
    rows = {}
    for name, (pre_tokenizer, normalizer) in NAMES.items():
        library = Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], "normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
                                                 "post_processor": None, "decoder": None, "model": {"type": "BPE", "vocab": {}, "merges": []}}))
        normalized = [library.normalizer.normalize_str(text) if normalizer else text for text in texts]
        words = [[word for word, _ in library.pre_tokenizer.pre_tokenize_str(text) if word] for text in normalized]
        compact = json.dumps(words, ensure_ascii=False, separators=(",", ":"))
        rows[name] = {"pre_tokenizer": pre_tokenizer, "normalizer": normalizer, "words": sum(map(len, words)),
                      "sha256": hashlib.sha256(compact.encode()).hexdigest()}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(row, ensure_ascii=False, separators=(',', ':'))}" for name, row in rows.items())
    args.out.write_text(f'{{\n"library": "tokenizers {tokenizers.__version__}",\n"names": {{\n{lines}\n}}\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
