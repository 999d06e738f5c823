"""A llama model of 0.1 million random weights in one GGUF file: it says nonsense, and a real llama.cpp serves it.

The format is that of ggml-org/ggml, docs/gguf.md, version 3."""

import random
import struct
from array import array
from collections.abc import Sequence
from pathlib import Path

WIDTH, BLOCKS, HEADS, HEADS_KV, FEED_FORWARD, CONTEXT = 64, 2, 4, 2, 128, 2048
KEY_WIDTH = WIDTH // HEADS * HEADS_KV
MERGES = ("h e", "i n", "o n", "Ġ t", "Ġ a")
CONTROL = ("<s>", "</s>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ALIGNMENT = 32
UINT32, INT32, FLOAT32, STRING, ARRAY = 4, 5, 6, 8, 9
F32_TENSOR, NORMAL_TOKEN, CONTROL_TOKEN = 0, 1, 3
Tensor = tuple[str, tuple[int, ...], "array[float]"]


def write_tiny_model(path: Path, seed: int = 4711) -> None:
    """The same file for the same seed."""
    tokens = [*_byte_characters(), *(merge.replace(" ", "") for merge in MERGES), *CONTROL]
    tensors = list(_tensors(random.Random(seed), len(tokens)))  # noqa: S311 -- weights, no secret
    values = _values(tokens)
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(values)) + b"".join(values)
    offset, told, data = 0, [], []
    for name, shape, weights in tensors:
        told.append(_text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, F32_TENSOR, offset))
        raw = _padded(weights.tobytes())
        data.append(raw)
        offset += len(raw)
    path.write_bytes(_padded(head + b"".join(told)) + b"".join(data))


def _byte_characters() -> list[str]:
    """GPT-2 gives every byte a character that can be seen; those that have none come after the 256th."""
    seen = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = [byte for byte in range(256) if byte not in seen]
    return [chr(byte) if byte in seen else chr(256 + hidden.index(byte)) for byte in range(256)]


def _tensors(rnd: random.Random, vocabulary: int) -> "list[Tensor]":
    def weights(name: str, *shape: int) -> Tensor:
        count = shape[0] * shape[1]
        return f"{name}.weight", shape, array("f", (rnd.gauss(0, 0.08) for _ in range(count)))

    def ones(name: str) -> Tensor:
        return f"{name}.weight", (WIDTH,), array("f", [1.0] * WIDTH)

    found = [weights("token_embd", WIDTH, vocabulary), weights("output", WIDTH, vocabulary), ones("output_norm")]
    for block in range(BLOCKS):
        at = f"blk.{block}."
        found += [ones(at + "attn_norm"), ones(at + "ffn_norm")]
        found += [weights(at + "attn_q", WIDTH, WIDTH), weights(at + "attn_output", WIDTH, WIDTH)]
        found += [weights(at + "attn_k", WIDTH, KEY_WIDTH), weights(at + "attn_v", WIDTH, KEY_WIDTH)]
        found += [weights(at + "ffn_gate", WIDTH, FEED_FORWARD), weights(at + "ffn_up", WIDTH, FEED_FORWARD)]
        found.append(weights(at + "ffn_down", FEED_FORWARD, WIDTH))
    return found


def _values(tokens: Sequence[str]) -> list[bytes]:
    kinds = [CONTROL_TOKEN if token in CONTROL else NORMAL_TOKEN for token in tokens]
    numbers = {
        "general.file_type": 0,
        "llama.context_length": CONTEXT,
        "llama.embedding_length": WIDTH,
        "llama.block_count": BLOCKS,
        "llama.feed_forward_length": FEED_FORWARD,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": HEADS_KV,
        "llama.rope.dimension_count": WIDTH // HEADS,
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.bos_token_id": tokens.index("<s>"),
        "tokenizer.ggml.eos_token_id": tokens.index("<|im_end|>"),
    }
    texts = {
        "general.architecture": "llama",
        "general.name": "tiny",
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "default",
        "tokenizer.chat_template": CHAT_TEMPLATE,
    }
    floats = {"llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.rope.freq_base": 10_000.0}
    told = [_text(name) + struct.pack("<I", STRING) + _text(value) for name, value in texts.items()]
    told += [_text(name) + struct.pack("<II", UINT32, value) for name, value in numbers.items()]
    told += [_text(name) + struct.pack("<If", FLOAT32, value) for name, value in floats.items()]
    told.append(_listed("tokenizer.ggml.tokens", STRING, [_text(token) for token in tokens]))
    told.append(_listed("tokenizer.ggml.merges", STRING, [_text(merge) for merge in MERGES]))
    told.append(_listed("tokenizer.ggml.token_type", INT32, [struct.pack("<i", kind) for kind in kinds]))
    return told


def _listed(name: str, kind: int, items: Sequence[bytes]) -> bytes:
    return _text(name) + struct.pack("<IIQ", ARRAY, kind, len(items)) + b"".join(items)


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)
