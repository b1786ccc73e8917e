"""Each BLAS is kept to one thread and set back, whatever its functions are called and however the block ends."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fanwise.workloads.modelsearch import _blas


class Library:
    """A count of threads with a switch, and what it was set to."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.history: list[int] = []

    def get(self) -> int:
        return self.threads

    def put(self, threads: int) -> None:
        self.threads = threads
        self.history.append(threads)


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> list[Library]:
    made = [Library(4), Library(7)]
    monkeypatch.setattr(_blas, "_switches", lambda: tuple((library.get, library.put) for library in made))
    return made


def test_every_library_is_kept_to_one_and_set_back(libraries: list[Library]) -> None:
    with _blas.one_thread():
        assert [library.threads for library in libraries] == [1, 1]
    assert [library.history for library in libraries] == [[1, 4], [1, 7]]


def test_an_error_inside_sets_them_back_too(libraries: list[Library]) -> None:
    with pytest.raises(ZeroDivisionError), _blas.one_thread():
        1 // 0
    assert [library.threads for library in libraries] == [4, 7]


def test_blocks_may_be_nested(libraries: list[Library]) -> None:
    with _blas.one_thread():
        with _blas.one_thread():
            pass
        assert [library.threads for library in libraries] == [1, 1]
    assert [library.threads for library in libraries] == [4, 7]


def test_without_a_library_nothing_can_be_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_blas, "_switches", tuple)
    assert not _blas.can_limit()
    with _blas.one_thread():
        pass


@pytest.mark.parametrize("prefix", ["", "scipy_"])
@pytest.mark.parametrize("suffix", ["", "64_", "_64"])
def test_openblas_is_known_under_every_name_it_is_built_with(prefix: str, suffix: str) -> None:
    names = [f"{prefix}openblas_{verb}_num_threads{suffix}" for verb in ("get", "set")]
    getter, setter = object(), object()
    assert _blas._pair(SimpleNamespace(**dict(zip(names, (getter, setter), strict=True)))) == (getter, setter)


def test_mkl_has_names_of_its_own() -> None:
    library = SimpleNamespace(MKL_Get_Max_Threads=1, MKL_Set_Num_Threads=2)
    assert _blas._pair(library) == (1, 2)


def test_a_library_without_a_switch_is_left_alone() -> None:
    assert _blas._pair(SimpleNamespace(cblas_dgemm=1)) is None


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/usr/lib/libopenblas.so.0", True),
        ("/env/lib/libmkl_rt.so.2", True),
        ("/usr/lib/libblas.so.3", False),
        ("[heap]", False),
        ("/openblas/lib.so", False),
        ("/usr/lib/libopenblas.so.0 (deleted)", False),  # replaced under a running process: it cannot be opened
    ],
)
def test_libraries_are_told_by_the_names_of_their_files(path: str, found: bool) -> None:
    assert bool(_blas._libraries([f"7f1c000-7f1d000 r-xp 00000000 fe:00 42    {path}\n"])) is found
