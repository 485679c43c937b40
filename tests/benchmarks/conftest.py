"""The scripted run of the loop's tests, to measure on."""

from tests.loop.conftest import _server, collect_ignore_glob, whole

__all__ = ["_server", "collect_ignore_glob", "whole"]
