"""The capabilities a source seems to need, from what is literally in its syntax tree. A suggestion: the broker rules."""

import ast
from typing import Any


def infer(tree: ast.Module) -> dict[str, Any]:
    return {}
