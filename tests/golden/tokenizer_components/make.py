#!/usr/bin/env python3
"""Writes what the library tokenizers makes of the parts of tokenizer.json.

    pip install tokenizers==0.22.2
    python3 make.py [--random N] [--seed N] [--out FOLDER]

pre_tokenizers.json  words of each text; normalizers.json  the text; decoders.json  the text of lists of tokens;
pipelines.json  ids of whole small tokenizers, and texts of ids. N random texts (default: 11) follow those
written by hand; a larger N with another seed makes a longer check that is not kept.
"""

import argparse
import collections
import json
import math
import pathlib
import random
import unicodedata

import tokenizers
from tokenizers import Tokenizer

TEXTS = [
    "Hello world", "  two  spaces  ", " lead", "trail ", "", " ", "   ", "\n", "a\n\nb\r\n\tc", "In 2023, 1234567 people",
    "don't WE'LL they're I'd", "x=1;y==2", "a_b-c/d.e --- ... !!", "Führer café ﬁ ﬃ Å ①½ x²", "Fu\u0308hrer cafe\u0301 A\u030a q\u0323\u0307",
    "İstanbul ΟΔΥΣΣΕΥΣ ẞ DŽ ǅ", "漢字 한국어 ひらがな カタカナ ガ", "１２３ ④ Ⅻ ٣٤ ๓ 九", "\u3000ideographic\u00a0nbsp\u2003em\u200bzw\u200djoin", "\u0301starts with a mark",
    "▁marks▁ ▁▁here", "<s>text</s> <pad>x<mask>y <0x41><0xE6>", "the-final--countdown -x- --", "«quoted» “curly” ¿qué? 100% $5 <a+b>", "👩‍👩‍👧 🇩🇪 e\u0301\u0301\u0301",
    "दिन नमस्ते 𝔘𝔫𝔦 \U00011938 \U0001e95e\u166d", "aa aaa aaaa aab", "\u1100\u1161\u11a8 가각 ㄱ ㎏ ﷺ", "。、・ー々〆 ，।۔", "zero\u0000null \ufeffbom \ufffd", "the cat sat on the mat and the hat",
]

# First and last character of ranges from which random texts are drawn.
RANGES = [(0x20, 0x7E), (0x20, 0x7E), (0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x36F), (0x300, 0x36F), (0x370, 0x52F), (0x591, 0x6FF), (0x900, 0xDFF),
          (0xE01, 0xEFF), (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x218F), (0x2190, 0x2BFF), (0x2E00, 0x303F), (0x3040, 0x33FF),
          (0x4E00, 0x9FFF), (0xA640, 0xABFF), (0xAC00, 0xD7A3), (0xF900, 0xFFEF), (0x10000, 0x1056F), (0x10A00, 0x11FFF), (0x1D100, 0x1D7FF), (0x1E900, 0x1F9FF),
          (0x2F800, 0x2FA1D)]


def random_text(draw):
    text = ""
    while len(text) < draw.randint(5, 30):
        first, last = draw.choice(RANGES)
        for _ in range(draw.randint(1, 5)):
            character = chr(draw.randint(first, last))
            if unicodedata.category(character) not in ("Cn", "Cs", "Co"):
                text += character
        text += draw.choice(["", "", " ", "  ", "\n", "7", "\u0301"])
    return text


# ---------------------------------------------------------------------------------------- components

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def part(kind, **fields):
    return {"type": kind, **fields}


def sequence(kind, *parts):
    names = {"pre": "pretokenizers", "norm": "normalizers", "dec": "decoders", "post": "processors"}
    return {"type": "Sequence", names[kind]: list(parts)}


def split(pattern, behavior, invert=False, kind="Regex"):
    return part("Split", pattern={kind: pattern}, behavior=behavior, invert=invert)


def byte_level(prefix=False, regex=True, trim=True):
    return part("ByteLevel", add_prefix_space=prefix, trim_offsets=trim, use_regex=regex)


def metaspace(scheme="always", split_words=True, replacement="▁"):
    return part("Metaspace", replacement=replacement, prepend_scheme=scheme, split=split_words)


def digits(individual):
    return part("Digits", individual_digits=individual)


def replace(pattern, content, kind="String"):
    return part("Replace", pattern={kind: pattern}, content=content)


def pre_tokenizers():
    yield from (digits(True), digits(False), part("Whitespace"), part("WhitespaceSplit"), part("Punctuation"))
    for behavior in BEHAVIORS:
        yield part("Punctuation", behavior=behavior)
        yield split(" ", behavior, kind="String")
        yield split(r"\s+|\d", behavior)
        yield split(r"\w+", behavior, invert=True)
        yield split("a*", behavior)  # matches that are empty
    yield split(r" ?[^(\s|[.,!?…。，、।۔،])]+", "Isolated")  # a class inside a class
    yield split(r"[\p{Han}\p{Hiragana}]+|\p{^Latin}|[\h_]+", "Isolated")
    for scheme in ("always", "first", "never"):
        yield from (metaspace(scheme), metaspace(scheme, False))
    yield part("Metaspace", replacement="▁")
    yield part("Metaspace", replacement="_", add_prefix_space=True)
    for prefix in (False, True):
        yield from (byte_level(prefix, regex) for regex in (False, True))
    yield byte_level(True, True, trim=False)
    yield part("ByteLevel", add_prefix_space=False, trim_offsets=True)
    yield sequence("pre")
    yield sequence("pre", digits(True), byte_level())
    yield sequence("pre", part("Punctuation", behavior="Contiguous"), byte_level(), digits(False), split("[0-9][0-9][0-9]", "Isolated"))
    yield sequence("pre", split(LLAMA3, "Removed", invert=True), byte_level(regex=False))
    yield sequence("pre", part("WhitespaceSplit"), metaspace("first"))
    yield sequence("pre", part("WhitespaceSplit"), metaspace("always", False))
    yield sequence("pre", sequence("pre", part("Whitespace"), digits(True)), byte_level(True, False))


def normalizers():
    yield from map(part, ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"))
    for left in (False, True):
        yield from (part("Strip", strip_left=left, strip_right=right) for right in (False, True))
    yield from (part("Prepend", prepend="▁"), replace(" ", "▁"), replace("aa", ""), replace(r"\s{2,}", " ", "Regex"))
    yield from (replace("a*", "-", "Regex"), replace("^", "> ", "Regex"), replace(r"(\w)\.", "$1", "Regex"))
    yield sequence("norm")
    yield sequence("norm", part("Prepend", prepend="▁"), replace(" ", "▁"))
    yield sequence("norm", part("NFKD"), part("StripAccents"), part("Lowercase"), part("Strip", strip_left=True, strip_right=True))
    yield sequence("norm", part("Lowercase"), sequence("norm", part("NFD"), replace("\u0301", "'")), part("NFC"))


TOKENS = [[], [""], ["a"], [" a", " b "], ["▁Hello", "▁world", "!"], ["▁", "▁▁", "a▁b", "▁"], ["Ġhe", "llo", "Ċ", "Ã©", "Ã", "©x", "â", "ł"],
          ["<0xE6>", "<0x97>", "<0xA5>", "a"], ["<0x41>", "<0xE6>", "a", "<0x42>"], ["<0xe6>", "<0x97>", "<0xA5>"], ["<0x4>", "<0x414>", "<0xGG>"],
          ["Ġa", "ü", "漢", "b c"], ["<s>", "▁x", "</s>"], ["aab", "baa", "aaa b"], ["  a  ", "▁  b"]]


def decoders():
    yield byte_level()
    yield from (part("ByteFallback"), part("Fuse"))
    yield from (metaspace("always"), metaspace("first"), metaspace("never"), metaspace("always", False, "_"))
    yield from (replace("▁", " "), replace("a+", "-", "Regex"), replace("a*", "-", "Regex"))
    yield from (part("Strip", content=" ", start=start, stop=0) for start in (0, 1, 2))
    yield sequence("dec")
    yield sequence("dec", replace("▁", " "), part("ByteFallback"), part("Fuse"), part("Strip", content=" ", start=1, stop=0))
    yield sequence("dec", part("ByteFallback"), metaspace("always"))
    yield sequence("dec", byte_level(), part("Strip", content="h", start=1, stop=0))


# -------------------------------------------------------------------------------------------- models

TRAINING = ("the cat sat on the mat and the hat in 2023 people don't know that they're there world hello spaces two café final countdown "
            "people 1234567 quoted marks here text the hall was called all over the small town while others other mother").split()


def merges_of(words, count):
    """Byte-pair encoding: the most frequent pair, the first in order among equals."""
    words = [list(word) for word in words]
    merges = []
    while len(merges) < count:
        pairs = collections.Counter(pair for word in words for pair in zip(word, word[1:]))
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(list(best))
        for word in words:
            i = 0
            while i + 1 < len(word):
                if (word[i], word[i + 1]) == best:
                    word[i:i + 2] = [word[i] + word[i + 1]]
                i += 1
    return merges


def byte_model():
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    merges = merges_of(["Ġ" + word.replace("é", "Ã©") for word in TRAINING], 90)
    tokens = ["<unk>", "<s>", "</s>"] + alphabet + ["".join(merge) for merge in merges]
    return part("BPE", vocab={token: i for i, token in enumerate(dict.fromkeys(tokens))}, merges=merges, unk_token=None, byte_fallback=False,
                ignore_merges=False, fuse_unk=False)


def character_model(byte_fallback, fuse_unk):
    merges = merges_of(["▁" + word for word in TRAINING], 90)
    characters = sorted(set("▁ \n" + "".join(chr(c) for c in range(0x21, 0x7F)) + "éü漢"))
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256 if byte_fallback else 0)] + characters
    tokens += ["".join(merge) for merge in merges]
    return part("BPE", vocab={token: i for i, token in enumerate(dict.fromkeys(tokens))}, merges=merges, unk_token="<unk>",
                byte_fallback=byte_fallback, ignore_merges=False, fuse_unk=fuse_unk)


def unigram_model(byte_fallback):
    counts = collections.Counter()
    for word in TRAINING:
        word = "▁" + word
        counts.update(word[i:j] for i in range(len(word)) for j in range(i + 1, min(len(word), i + 6) + 1))
    chosen = sorted((token for token in counts if len(token) > 1 and counts[token] > 1), key=lambda token: (-counts[token] * len(token), token))[:200]
    total = sum(counts.values())
    score = lambda token: round(math.log(max(counts[token], 0.5) / total), 2)
    characters = sorted(set("▁ " + "".join(chr(c) for c in range(0x21, 0x7F)) + "éü漢Ġ"))
    vocab = [["<unk>", 0.0], ["<s>", 0.0], ["</s>", 0.0]] + [[token, score(token)] for token in chosen + characters]
    vocab += [[f"<0x{byte:02X}>", -20.0] for byte in range(256 if byte_fallback else 0)]
    return part("Unigram", vocab=vocab, unk_id=0, byte_fallback=byte_fallback)


def token(content, number, **flags):
    return {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True, **flags}


BASIC = [token("<unk>", 0), token("<s>", 1), token("</s>", 2)]


def template(front, back, numbers={"<s>": 1, "</s>": 2}):
    item = lambda name: {"SpecialToken": {"id": name, "type_id": 0}}
    return part("TemplateProcessing", single=[*map(item, front), {"Sequence": {"id": "A", "type_id": 0}}, *map(item, back)],
                pair=[{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                special_tokens={name: {"id": name, "ids": [number], "tokens": [name]} for name, number in numbers.items()})


LEGACY = sequence("norm", part("Prepend", prepend="▁"), replace(" ", "▁"))
LLAMA2_DECODER = sequence("dec", replace("▁", " "), part("ByteFallback"), part("Fuse"), part("Strip", content=" ", start=1, stop=0))


def pipelines(size):
    """Name, model, added tokens, normalizer, pre-tokenizer, post-processor, decoder. `size`: of each model."""
    n = size
    yield "smollm", "bytes", BASIC, None, sequence("pre", digits(True), byte_level()), None, byte_level(True)
    yield ("falcon", "bytes", BASIC, None,
           sequence("pre", part("Punctuation", behavior="Contiguous"), byte_level(), digits(False), split("[0-9][0-9][0-9]", "Isolated")),
           byte_level(), byte_level())
    yield ("qwen2", "bytes", BASIC, part("NFC"), sequence("pre", split(GPT2, "Isolated"), byte_level(regex=False)), byte_level(trim=False), byte_level())
    yield ("deepseek", "bytes", BASIC, sequence("norm"),
           sequence("pre", split("[\r\n]", "Isolated"), split(r"\s?\p{L}+", "Isolated"), split(r"\s?\p{P}+", "Isolated"), digits(True), byte_level(regex=False)),
           template(["<s>"], []), byte_level())
    yield ("llama3", "bytes", BASIC, None, sequence("pre", split(LLAMA3, "Isolated"), byte_level(regex=False)),
           sequence("post", byte_level(), template(["<s>"], ["</s>"])), byte_level())
    flagged = BASIC + [token("<pad>", n["bytes"], lstrip=True, rstrip=True), token("<mask>", n["bytes"] + 1, single_word=True, special=False),
                       token("the", n["bytes"] + 2, normalized=True, special=False, single_word=True)]
    yield "flags", "bytes", flagged, part("Lowercase"), byte_level(True), None, byte_level(True)
    yield "llama2 legacy", "characters", BASIC, LEGACY, None, template(["<s>"], []), LLAMA2_DECODER
    yield ("llama2 normalized", "characters", BASIC + [token("the", n["characters"], normalized=True, special=False)], LEGACY, None, None, LLAMA2_DECODER)
    yield "llama2 first", "characters", BASIC, None, metaspace("first", False), template(["<s>"], []), LLAMA2_DECODER
    yield "metaspace always", "unknown", BASIC, None, metaspace("always"), template(["<s>"], ["</s>"]), metaspace("always")
    yield "metaspace never", "unknown", BASIC, part("NFKC"), metaspace("never"), None, metaspace("never")
    yield ("first after strip", "characters", BASIC, sequence("norm", part("Strip", strip_left=True, strip_right=False), part("StripAccents")),
           metaspace("first"), None, sequence("dec"))
    yield "first after replace", "characters", BASIC, sequence("norm", part("NFD"), replace("aa", "b"), replace("e\u0301", "E")), metaspace("first"), None, None
    yield "unigram", "unigram", BASIC, replace(" {2,}", " ", "Regex"), metaspace("always"), template([], ["</s>"]), metaspace("always")
    yield "unigram xlmr", "unigram", BASIC, part("NFKC"), sequence("pre", part("WhitespaceSplit"), metaspace("always")), None, metaspace("always")
    yield ("unigram bytes", "unigram with bytes", BASIC, part("Lowercase"), metaspace("first", False), None,
           sequence("dec", part("ByteFallback"), metaspace("always")))
    yield "unigram byte level", "unigram", BASIC, None, byte_level(True), None, byte_level()
    yield "punctuation", "unknown", BASIC, None, sequence("pre", part("Whitespace"), part("Punctuation", behavior="MergedWithPrevious")), None, None


# --------------------------------------------------------------------------------------------- output

def load(**parts):
    file = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None,
            "decoder": None, "model": part("BPE", vocab={}, merges=[]), **parts}
    return Tokenizer.from_str(json.dumps(file))


def write(path, content):
    lines = []
    for key, value in content.items():
        if isinstance(value, list):
            rows = ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in value)
            lines.append(f"{json.dumps(key)}: [\n{rows}\n]")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def pipeline_rows(models, texts, draw):
    size = {name: len(model["vocab"]) for name, model in models.items()}
    for name, model, added, normalizer, pre_tokenizer, post_processor, decoder in pipelines(size):
        parts = {"added_tokens": added, "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": post_processor, "decoder": decoder}
        tokenizer = load(**parts, model=models[model])
        ids = [tokenizer.encode(text).ids for text in texts]
        # Only what is not the text itself.
        decoded = {str(i): tokenizer.decode(row, skip_special_tokens=True) for i, row in enumerate(ids)}
        decoded = {i: text for i, text in decoded.items() if text != texts[int(i)]}
        drawn = [[draw.randrange(size[model]) for _ in range(10)] for _ in range(6)]
        rows = [{"ids": row, "text": tokenizer.decode(row, skip_special_tokens=False)} for row in drawn]
        yield {"name": name, "model": model, "parts": parts, "ids": ids, "decoded": decoded, "drawn": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--random", type=int, default=11)
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    args = parser.parse_args()
    draw = random.Random(args.seed)
    texts = TEXTS + [random_text(draw) for _ in range(args.random)]
    head = {"library": f"tokenizers {tokenizers.__version__}"}

    words = lambda spec: [[word for word, _ in load(pre_tokenizer=spec).pre_tokenizer.pre_tokenize_str(text)] for text in texts]
    rows = [{"part": spec, "words": words(spec)} for spec in pre_tokenizers()]
    write(args.out / "pre_tokenizers.json", {**head, "texts": texts, "cases": rows})
    normalized = lambda spec: [load(normalizer=spec).normalizer.normalize_str(text) for text in texts]
    rows = [{"part": spec, "results": normalized(spec)} for spec in normalizers()]
    write(args.out / "normalizers.json", {**head, "texts": texts, "cases": rows})
    rows = [{"part": spec, "results": [load(decoder=spec).decoder.decode(list(tokens)) for tokens in TOKENS]} for spec in decoders()]
    write(args.out / "decoders.json", {**head, "tokens": TOKENS, "cases": rows})
    models = {"bytes": byte_model(), "characters": character_model(True, True), "unknown": character_model(False, False),
              "unigram": unigram_model(False), "unigram with bytes": unigram_model(True)}
    write(args.out / "pipelines.json", {**head, "models": models, "texts": texts, "cases": list(pipeline_rows(models, texts, draw))})


if __name__ == "__main__":
    main()
