"""Logits of the toy models by llama.cpp, as the test `logits_are_those_of_llama_cpp` wants them.

    GENOME_TOYS=/tmp/toys cargo test -p genome-kernels --lib -- --ignored toys_for_the_reference
    python kernels/benches/reference_logits.py /tmp/toys > kernels/src/llm/decoder/reference.json

Needs llama-cpp-python (written with 0.3.36).
"""

import json
import sys
from pathlib import Path

from llama_cpp import Llama

TOKENS = [(i * 31 + 17 + i * i) % 256 for i in range(40)]

references = []
for family in ("llama", "qwen2", "qwen3", "gemma3"):
    model = Llama(str(Path(sys.argv[1]) / f"{family}.gguf"), n_ctx=128, logits_all=True, n_threads=1, verbose=False)
    model.eval(TOKENS)
    logits = [round(float(value), 5) for value in model.scores[len(TOKENS) - 1]]
    references.append({"family": family, "tokens": TOKENS, "logits": logits})
print(json.dumps(references))
