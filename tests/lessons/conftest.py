from __future__ import annotations

import os

import pages
import pytest


@pytest.fixture(scope="session", autouse=True)
def _shared_folder(tmp_path_factory):
    """A folder that all processes of this test run see."""
    own = tmp_path_factory.getbasetemp()
    pages.FOLDER = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "lessons"
    pages.FOLDER.mkdir(exist_ok=True)
