"""The image is built once for all tests here, and only where that is possible; in CI it must be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.builder import Builder, Image, missing


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image of this tree, really built."""
    if lacking := missing():
        reason = f"building the image needs {', '.join(lacking)} (see .ci/run)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    kept = os.environ.get("BORGWATCH_TEST_IMAGES")
    builder = Builder(Path(kept) if kept else tmp_path_factory.mktemp("images"))
    yield builder.build()
    if not kept:
        builder.clear()
