"""The whole job of `benches/engine.rs` by llama.cpp: the same token ids, as many answer tokens for each prompt.

    python kernels/benches/llama_cpp_engine.py MODEL.gguf JOB.json [SLOTS]

What its server does with parallel slots, continuous batching and a prompt cache: every slot has a cache of its own and
keeps the common beginning of the prompts in it; each step takes one token of every answer under way and fills the batch
of 512 up with prompt tokens. The likeliest token is taken. Needs llama-cpp-python (written with 0.3.36) and numpy.
"""

import ctypes
import json
import resource
import sys
import time

import llama_cpp as L
import numpy as np

model_path, job_path = sys.argv[1:3]
slots = int(sys.argv[3]) if len(sys.argv) > 3 else 16
THREADS, BATCH = 2, 512

job = json.load(open(job_path))
prompts, answers = job["prompts"], job["answers"]
L.llama_backend_init()
quiet = L.llama_log_callback(lambda level, text, data: None)
L.llama_log_set(quiet, ctypes.c_void_p(0))
started = time.perf_counter()
model = L.llama_model_load_from_file(model_path.encode(), L.llama_model_default_params())
longest = max(len(p) + a for p, a in zip(prompts, answers)) + 8
params = L.llama_context_default_params()
params.n_ctx = -(-longest // 256) * 256 * slots
params.n_batch = params.n_ubatch = BATCH
params.n_seq_max = slots
params.n_threads = params.n_threads_batch = THREADS
params.kv_unified = False
context = L.llama_init_from_model(model, params)
memory = L.llama_get_memory(context)
vocabulary = L.llama_vocab_n_tokens(L.llama_model_get_vocab(model))
print(f"loaded in {time.perf_counter() - started:.2f} s")
batch = L.llama_batch_init(BATCH, 0, 1)


def add(token, position, sequence, logits):
    at = batch.n_tokens
    batch.token[at], batch.pos[at], batch.n_seq_id[at], batch.seq_id[at][0] = token, position, 1, sequence
    batch.logits[at] = logits
    batch.n_tokens = at + 1
    return at


def decode():
    if L.llama_decode(context, batch) != 0:
        raise RuntimeError("llama_decode failed")


def likeliest(at):
    return int(np.argmax(np.ctypeslib.as_array(L.llama_get_logits_ith(context, at), shape=(vocabulary,))))


def run(prompts, answers):
    shared = 0
    while len(prompts) > 1 and all(len(p) > shared + 1 and p[shared] == prompts[0][shared] for p in prompts):
        shared += 1
    order = sorted(range(len(prompts)), key=lambda i: prompts[i])
    free, active, held = list(range(slots)), [], [0] * slots
    while order or active:
        while order and free:
            index, slot = order.pop(0), free.pop(0)
            active.append({"slot": slot, "prompt": prompts[index], "fed": held[slot], "left": answers[index], "next": None})
        batch.n_tokens, wanted = 0, []
        for a in active:
            if a["next"] is not None:
                wanted.append((a, add(a["next"], a["fed"], a["slot"], True)))
                a["fed"] += 1
        for a in active:
            if a["next"] is None:
                while a["fed"] < len(a["prompt"]) and batch.n_tokens < BATCH:
                    last = a["fed"] + 1 == len(a["prompt"])
                    at = add(a["prompt"][a["fed"]], a["fed"], a["slot"], last)
                    a["fed"] += 1
                    if last:
                        wanted.append((a, at))
        decode()
        for a, at in wanted:
            a["next"], a["left"] = likeliest(at), a["left"] - 1
            if a["left"] <= 0:
                L.llama_memory_seq_rm(memory, a["slot"], shared, -1)
                held[a["slot"]] = shared
                free.append(a["slot"])
                active.remove(a)
    L.llama_memory_clear(memory, True)


started = time.perf_counter()
run(prompts, answers)
seconds = time.perf_counter() - started
tokens = sum(map(len, prompts)) + sum(answers)
print(f"whole job: {seconds:.1f} s, {tokens / seconds:.1f} tokens/s, ours {job['seconds']:.1f} s, "
      f"ratio {seconds / job['seconds']:.2f}")
print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")
started = time.perf_counter()
run([prompts[0][:150]], [1])
prefill = time.perf_counter() - started
started = time.perf_counter()
run([prompts[0][:150]], [128])
print(f"one sequence: {127 / (time.perf_counter() - started - prefill):.1f} answer tokens/s")
