"""Write a llama of two layers with random weights: half a megabyte that llama.cpp loads like any other model.

    python tiny_model.py FILE          (in an environment that has gguf and numpy)

It talks nonsense, reproducibly: the weights are seeded. Its vocabulary is 3 control tokens, the 256 bytes that make
every text possible, and some common pieces.
"""

import sys

import gguf  # type: ignore[import-not-found]
import numpy as np

LAYERS, WIDTH, HEADS, FEED_FORWARD, CONTEXT_TOKENS = 2, 64, 4, 128, 4096
LETTERS = "▁ e t a o i n s h r d l u c m w f g y p b v k"
WORDS = "▁the ▁of ▁and ▁to ▁in ▁a ▁is ▁that ▁it ▁was ▁for ▁on ▁are ▁as ▁with ▁his ▁they ▁at ▁be ▁this ▁from ▁have"
PAIRS = "er in th on an re he at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de hi"
PIECES = [*LETTERS.split(), *WORDS.split(), *PAIRS.split()]
CHAT_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def write(path: str) -> None:
    """The whole file."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *PIECES]
    kinds = [gguf.TokenType.UNKNOWN, *[gguf.TokenType.CONTROL] * 2, *[gguf.TokenType.BYTE] * 256]
    kinds += [gguf.TokenType.NORMAL] * len(PIECES)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny-random")
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    # Longer pieces win over shorter ones, and any piece over single bytes.
    writer.add_token_scores([0.0] * 259 + [float(len(piece)) for piece in PIECES])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(CHAT_TEMPLATE)

    random = np.random.default_rng(20250101)

    def add(name: str, *shape: int, silent: int = 0) -> None:
        """Random weights; norms are ones, and the first ``silent`` rows are zeros."""
        weights = random.normal(0, 0.3, shape) if len(shape) > 1 else np.ones(shape)
        weights[:silent] = 0
        writer.add_tensor(name, weights.astype(np.float32))

    add("token_embd.weight", len(tokens), WIDTH)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        add(f"{block}.attn_norm.weight", WIDTH)
        for part in ("q", "k", "v", "output"):
            add(f"{block}.attn_{part}.weight", WIDTH, WIDTH)
        add(f"{block}.ffn_norm.weight", WIDTH)
        add(f"{block}.ffn_gate.weight", FEED_FORWARD, WIDTH)
        add(f"{block}.ffn_up.weight", FEED_FORWARD, WIDTH)
        add(f"{block}.ffn_down.weight", WIDTH, FEED_FORWARD)
    add("output_norm.weight", WIDTH)
    # At temperature 0 neither a control token nor a lone byte is ever the likeliest: a run of bytes that is no UTF-8
    # would make llama-cpp-python hold its stream back until the end.
    add("output.weight", len(tokens), WIDTH, silent=259)

    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write(sys.argv[1])
