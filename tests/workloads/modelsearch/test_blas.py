"""The library of linear algebra is found wherever it is installed."""

from __future__ import annotations

from fanwise.workloads.modelsearch._blas import _libraries

LINE = "7f1c000-7f1d000 r-xp 00000000 fe:00 42                        {}\n"


def test_paths_with_blanks_are_whole_and_each_is_named_once() -> None:
    library = "/home/new user/env/numpy.libs/libscipy_openblas64_-32a4.so"
    assert _libraries([LINE.format(library), LINE.format(library), LINE.format("/lib/libc.so.6"), "\n"]) == [library]


def test_a_folder_of_that_name_is_no_library() -> None:
    assert _libraries([LINE.format("/opt/openblas work/libm.so.6"), LINE.format("/opt/mkl/libmkl_rt.so.2")]) == [
        "/opt/mkl/libmkl_rt.so.2"
    ]
