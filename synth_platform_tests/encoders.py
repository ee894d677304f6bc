"""A sentence encoder for tests: a bag of words, in the files of a sentence-transformers model."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

_WIDTH = 256


def make_encoder(folder: Path, tokenizer: Path) -> Path:
    """Write an encoder whose vectors are the mean of random vectors of the tokens: texts with other words are far.

    Args:
        folder: where to.
        tokenizer: folder with the `tokenizer.json` that it takes.
    """
    (folder / "onnx").mkdir(parents=True)
    shutil.copy(tokenizer / "tokenizer.json", folder)
    tokens = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    vectors = np.random.default_rng(0).standard_normal((tokens, _WIDTH)).astype(np.float32)
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])
    hidden = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["batch", "length", _WIDTH])
    look_up = helper.make_node("Gather", ["vectors", "input_ids"], ["hidden"])
    graph = helper.make_graph([look_up], "words", [ids], [hidden], [numpy_helper.from_array(vectors, "vectors")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "onnx" / "model.onnx")
    (folder / "config.json").write_text(json.dumps({"hidden_size": _WIDTH, "max_position_embeddings": 512}))
    return folder
