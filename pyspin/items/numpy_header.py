# SPDX-License-Identifier: Apache-2.0
"""The numpy header of a descriptor: the text of a dict, as in a .npy file.

Its keys are exactly `descr`, `fortran_order` and `shape` (NumPy Enhancement
Proposal 1, format version 1.0). The text comes from the network, so it is
bounded and looked over before Python's parser sees it: deep nesting and
operators can exhaust the parser, and neither occurs in a header.
"""

from __future__ import annotations

import ast
import re
from typing import Any

import numpy as np
from numpy.lib import format as numpy_format

from .shapes import MAX_DIMENSIONS

# Numpy before 2.3 has no types for its functions.
npy: Any = numpy_format

MAX_LENGTH = 1 << 16
"""Bytes of the longest header accepted."""

_MAX_NESTING = 32
# Escapes and words that are not listed can make the parser warn, which prints.
_ESCAPE = r"""\\(?:[\\'"nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})"""
_STRING = rf"""'(?:[^'\\\n]|{_ESCAPE})*'|"(?:[^"\\\n]|{_ESCAPE})*\""""
_TOKEN = re.compile(rf"{_STRING}|[{{(\[]|[}})\]]|[\s,:]+|\b(?:\d+|True|False|None)\b")
_TYPE = re.compile(r"[<>|=]?[A-Za-z?]\w*(?:\[\w+\])?")
_OLD_BYTES = re.compile(r"[<>|=]?a(\d*)")  # what numpy now warns of, and calls S


def format_header(dtype: np.dtype[Any], fortran_order: bool, shape: tuple[int, ...]) -> bytes:
    """Return the header; `ValueError` if `dtype` cannot be said in one."""
    fields = {"descr": npy.dtype_to_descr(dtype), "fortran_order": fortran_order, "shape": shape}
    return repr(fields).encode("ascii")


def parse_header(header: bytes) -> tuple[np.dtype[Any], bool, tuple[int, ...]]:
    """Return dtype, whether in Fortran order, and shape; `ValueError` if malformed."""
    fields = _literal(header)
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise ValueError("numpy header is not a dict of descr, fortran_order and shape")
    order, shape = fields["fortran_order"], fields["shape"]
    if not isinstance(order, bool):
        raise ValueError(f"numpy header has a fortran_order of {order!r:.80}")
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"numpy header has an illegal shape {shape!r:.80}")
    if len(shape) > MAX_DIMENSIONS:
        raise ValueError(f"numpy header has {len(shape)} dimensions")
    return _dtype(fields["descr"]), order, shape


def _literal(header: bytes) -> object:
    if len(header) > MAX_LENGTH:
        raise ValueError(f"numpy header has {len(header)} bytes, more than {MAX_LENGTH}")
    text = header.decode("ascii").strip()
    _check_tokens(text)
    try:
        return ast.literal_eval(text)
    # What the parser raises, and warns of, is its own affair and changes.
    except Exception as error:
        raise ValueError(f"numpy header cannot be parsed: {error}") from error


def _check_tokens(text: str) -> None:
    """Raise `ValueError` unless this is made of what a header is made of.

    Token by token, each beginning where the last one ends: a search would look for the end of a
    string anew at every quote, and a header of quotes alone would take it minutes.
    """
    position = depth = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError("numpy header is not a plain literal")
        position = token.end()
        first = token.group()[0]
        depth += (first in "([{") - (first in ")]}")
        if depth > _MAX_NESTING:
            raise ValueError("numpy header is nested too deeply")


def _dtype(descr: object) -> np.dtype[Any]:
    if not _is_descr(descr):
        raise ValueError(f"numpy header has an illegal descr {descr!r:.80}")
    try:
        dtype: np.dtype[Any] = npy.descr_to_dtype(_modern(descr))
    except Exception as error:
        raise ValueError(f"numpy header has an illegal descr {descr!r:.80}: {error}") from error
    return dtype


def _modern(descr: Any) -> Any:
    if isinstance(descr, str):
        return _OLD_BYTES.sub(r"S\1", descr) if _OLD_BYTES.fullmatch(descr) else descr
    return [(field[0], _modern(field[1]), *field[2:]) for field in descr]


def _is_descr(descr: object) -> bool:
    """Return whether this is a type string or a list of (name, descr[, shape])."""
    if isinstance(descr, str):
        return _TYPE.fullmatch(descr) is not None
    return isinstance(descr, list) and all(
        isinstance(field, tuple) and len(field) in (2, 3) and _is_descr(field[1]) for field in descr
    )
