"""Weights or trees -> model.onnx. Needs the `train` extra; never imported on a gateway.

What is written is read by every onnxruntime since 1.10: opset 13 (trees: ai.onnx.ml 1 as well), IR 8. The same input
gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.features import FEATURES
from models.trees import Tree

_AXIS = numpy_helper.from_array(np.array([1], dtype=np.int64), "axis")


def onnx_model(weights: Sequence[float]) -> bytes:
    """The ONNX model `scores = features @ weights`, summed in float64.

    The weights are a matrix of one column: with a vector, onnxruntime takes eight times as long for 500 sauces.
    """
    nodes = [
        helper.make_node("Cast", ["features"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("MatMul", ["wide", "weights"], ["column"]),
        helper.make_node("Squeeze", ["column", "axis"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["scores"], to=TensorProto.FLOAT),
    ]
    column = numpy_helper.from_array(np.array(weights, dtype=np.float32).astype(np.float64)[:, None], "weights")
    return _model(nodes, [column, _AXIS], len(weights), {"": 13})


def onnx_trees(trees: Sequence[Tree]) -> bytes:
    """The ONNX model of the sum of these trees."""
    rows = [
        (number, node, tree.feature[node], tree.threshold[node], tree.left[node], tree.right[node], tree.value[node])
        for number, tree in enumerate(trees)
        for node in range(len(tree.feature))
    ]
    number, node, feature, threshold, left, right, value = zip(*rows, strict=True)
    leaves = [place for place, one in enumerate(feature) if one < 0]
    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["sums"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=number,
        nodes_nodeids=node,
        nodes_featureids=[max(one, 0) for one in feature],
        nodes_modes=["LEAF" if one < 0 else "BRANCH_LEQ" for one in feature],
        nodes_values=threshold,
        nodes_truenodeids=left,
        nodes_falsenodeids=right,
        target_treeids=[number[place] for place in leaves],
        target_nodeids=[node[place] for place in leaves],
        target_ids=[0] * len(leaves),
        target_weights=[value[place] for place in leaves],
    )
    squeeze = helper.make_node("Squeeze", ["sums", "axis"], ["scores"])
    return _model([ensemble, squeeze], [_AXIS], len(FEATURES), {"": 13, "ai.onnx.ml": 1})


def _model(nodes: Sequence[Any], constants: Sequence[Any], width: int, opsets: dict[str, int]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "picante-ranker",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["sauces", width])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["sauces"])],
        constants,
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    model = helper.make_model(graph, producer_name="picante", opset_imports=imports, ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
