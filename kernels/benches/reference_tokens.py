"""Token ids of 10,000 mixed texts by llama.cpp, against ours.

    python kernels/benches/reference_tokens.py texts > texts.jsonl
    GENOME_MODEL=MODEL.gguf GENOME_TEXTS=texts.jsonl GENOME_TOKENS=ours.jsonl \
        cargo test -p genome-kernels --release --lib -- --ignored tokens_for_the_reference
    python kernels/benches/reference_tokens.py compare MODEL.gguf texts.jsonl ours.jsonl

Needs llama-cpp-python (written with 0.3.36).
"""

import json
import random
import sys
import unicodedata

SCRIPTS = [
    (0x20, 0x7E), (0xA1, 0x17F), (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x5FF), (0x600, 0x6FF), (0x900, 0x97F),
    (0xE00, 0xE7F), (0x1E00, 0x1EFF), (0x2010, 0x2040), (0x2190, 0x21FF), (0x3040, 0x30FF), (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3), (0x1F300, 0x1F6FF),
]
WORDS = ("the of and to in is that it was for on are as with his they at be this from I have or by one had not but what "
         "all were when we there can an your which their said if do will each about how up out them then she many some "
         "so these would other into has more her two like him see time could no make than first been its who now people "
         "my made over did down only way find use may water long little very after words called just where most know "
         "I'm don't we'll they've it's John's 's 're antidisestablishmentarianism naïve café Zürich résumé").split()
CODE = ["def f(x):\n    return x**2\n", "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}", "SELECT * FROM t WHERE a >= 3;",
        "{\"key\": [1, 2.5e-3, null]}", "<div class=\"x\">&amp;</div>", "https://example.org/a?b=c&d=%20e#f", "C:\\dir\\file.txt"]


def one(rng):
    parts = []
    for _ in range(rng.randint(1, 12)):
        kind = rng.random()
        if kind < 0.45:
            parts.append(" ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 12))))
        elif kind < 0.6:
            low, high = rng.choice(SCRIPTS)
            parts.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 15))))
        elif kind < 0.7:
            parts.append(rng.choice(CODE))
        elif kind < 0.8:
            parts.append(str(rng.randint(0, 10 ** rng.randint(1, 12))))
        elif kind < 0.9:
            parts.append(rng.choice(["\n", "\n\n", "  ", "\t", "   \n", " ", "\r\n", "!!!", "...", "—", "“x”", " ?", "_", "#tag @me"]))
        else:
            parts.append(rng.choice(WORDS).upper() + rng.choice(["", ".", ",", "!", ":)"]))
    return rng.choice(["", " ", "  "]).join(parts)


if sys.argv[1] == "texts":
    rng = random.Random(7)
    for _ in range(10_000):
        print(json.dumps(one(rng)))
else:
    from llama_cpp import Llama

    model = Llama(sys.argv[2], vocab_only=True, verbose=False)
    same = differing = composed = 0
    for text, ours in zip(open(sys.argv[3]), open(sys.argv[4])):
        text, ours = json.loads(text), json.loads(ours)
        # Hugging Face's tokenizer of Qwen composes characters first (NFC), llama.cpp's does not.
        if unicodedata.normalize("NFC", text) != text:
            composed += 1
            continue
        theirs = model.tokenize(text.encode(), add_bos=False, special=False)
        if theirs == ours:
            same += 1
        else:
            differing += 1
            if differing <= 5:
                print(repr(text[:200]), ours[:40], theirs[:40])
    print(f"{same} of {same + differing} texts have the same tokens; {composed} that are not in NFC were left out")
