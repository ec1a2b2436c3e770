# SPDX-License-Identifier: Apache-2.0
"""The shape of the library: what is public is listed, documented and there."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import pyspin

DOORS = ["pyspin", "pyspin.recv", "pyspin.send", "pyspin.connections", "pyspin.messages"]


def modules() -> list[str]:
    found = pkgutil.walk_packages(pyspin.__path__, "pyspin.")
    return sorted(module.name for module in found if not module.name.endswith("__main__"))


@pytest.mark.parametrize("name", DOORS)
def test_doors_list_what_they_offer(name: str) -> None:
    door = importlib.import_module(name)
    assert len(door.__all__) == len(set(door.__all__))
    for public in door.__all__:
        assert hasattr(door, public), public


@pytest.mark.parametrize("name", DOORS)
def test_public_classes_and_functions_have_docstrings(name: str) -> None:
    door = importlib.import_module(name)
    bare = []
    for public in door.__all__:
        thing = getattr(door, public)
        if not (inspect.isclass(thing) or inspect.isfunction(thing)):
            continue
        if not thing.__doc__:
            bare.append(public)
        if not inspect.isclass(thing) or issubclass(thing, tuple):
            continue
        for member, value in vars(thing).items():
            function = value.fget if isinstance(value, property) else value
            function = getattr(function, "__func__", function)
            if member.startswith("_") or not inspect.isfunction(function):
                continue
            if not inspect.getdoc(getattr(thing, member)):
                bare.append(f"{public}.{member}")
    assert bare == []


@pytest.mark.parametrize("name", modules())
def test_every_module_imports_and_says_what_it_is(name: str) -> None:
    if name == "pyspin._core":
        return
    assert importlib.import_module(name).__doc__
