"""Exceptions there and back: class, arguments, attributes, notes, causes."""

from __future__ import annotations

import copyreg
import pickle
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.backends.process._exceptions import decode, encode
from fanwise.errors import NotPicklableError


class Plain(Exception):
    pass


class TwoArguments(Exception):
    def __init__(self, a: Any, b: Any) -> None:
        super().__init__(a)
        self.b = b


class Formats(Exception):
    """Pickle would format its message twice."""

    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


class Holds(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()
        self.text = text


class Stubborn(Exception):
    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(name)


class NeedsArguments(Exception):
    def __new__(cls, a: Any, b: Any) -> NeedsArguments:
        return super().__new__(cls, a, b)

    def __init__(self, a: Any, b: Any) -> None:
        super().__init__(a)


class Group(ExceptionGroup[Exception]):
    def derive(self, excs: Any) -> Group:
        return Group(self.message, excs)


def there_and_back(error: BaseException) -> BaseException:
    packed = encode(error)
    assert not packed.buffers
    return decode(packed.data)[0]


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


@given(
    st.sampled_from([ValueError, KeyError, Plain, SystemExit, KeyboardInterrupt]), st.lists(st.integers() | st.text())
)
def test_class_and_arguments_are_kept(kind: type[BaseException], args: list[Any]) -> None:
    back = there_and_back(kind(*args))
    assert type(back) is kind
    assert back.args == tuple(args)


@pytest.mark.parametrize(
    "error",
    [
        TwoArguments("first", {"second": 2}),
        Formats(5),
        NeedsArguments(1, 2),
        OSError(2, "No such file or directory", "name"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        StopIteration("value"),
        Stubborn("stays"),
        ImportError("no module", name="x", path="y"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_attributes_are_kept(error: BaseException) -> None:
    back = there_and_back(error)
    assert type(back) is type(error)
    assert back.args == error.args
    assert vars(back) == vars(error)
    assert str(back) == str(error)
    for name in ("errno", "filename", "encoding", "reason", "value", "name"):
        assert getattr(back, name, None) == getattr(error, name, None)


def test_what_cannot_travel_is_dropped_with_a_note() -> None:
    back = there_and_back(Holds("held"))
    assert (type(back), back.args, vars(back)["text"]) == (Holds, ("held",), "held")
    assert "lock" not in vars(back)
    assert back.__notes__ == ["attribute 'lock' (_thread.lock) cannot be sent to another process"]


def test_an_argument_that_cannot_travel_is_named() -> None:
    back = there_and_back(ValueError("text", threading.Lock()))
    assert (type(back), back.args) == (ValueError, ("text", "<_thread.lock>"))
    assert "an argument (_thread.lock)" in back.__notes__[0]


def test_notes_are_kept_beside_ours() -> None:
    error = Holds("held")
    error.add_note("the user's")
    assert there_and_back(error).__notes__[0] == "the user's"


def test_cause_and_context_are_kept() -> None:
    error = raised(ValueError("effect"), raised(KeyError("cause"), TwoArguments("root", 1)))
    back = there_and_back(error)
    assert type(back.__cause__) is KeyError
    assert back.__suppress_context__
    assert back.__cause__ is not None
    assert type(back.__cause__.__cause__) is TwoArguments
    try:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second")
    except ValueError as caught:
        back = there_and_back(caught)
    assert type(back.__context__) is KeyError
    assert back.__cause__ is None
    assert not back.__suppress_context__


def test_a_chain_is_kept_ten_deep() -> None:
    error: BaseException = ValueError(0)
    for depth in range(1, 20):
        error = raised(ValueError(depth), error)
    back: BaseException | None = there_and_back(error)
    depths = []
    while back is not None:
        depths.append(back.args[0])
        back = back.__cause__
    assert depths == list(range(19, 9, -1))


@pytest.mark.parametrize("kind", [ExceptionGroup, Group])
def test_groups_are_taken_member_by_member(kind: Any) -> None:
    group = kind("all", [ValueError(1), kind("inner", [TwoArguments("a", "b"), Holds("held")])])
    back = there_and_back(group)
    assert type(back) is kind
    assert back.message == "all"
    first, inner = back.exceptions
    assert (type(first), first.args) == (ValueError, (1,))
    assert [type(e) for e in inner.exceptions] == [TwoArguments, Holds]
    assert inner.exceptions[0].b == "b"


def test_a_local_class_comes_back_as_itself() -> None:
    class Local(Exception):
        pass

    assert type(there_and_back(Local("x"))) is Local


def test_neither_new_nor_init_of_the_class_is_called() -> None:
    class Wicked(Exception):
        def __new__(cls, *args: Any) -> Wicked:
            if CLOSED:
                raise ZeroDivisionError("not again")
            return super().__new__(cls, *args)

    CLOSED: list[int] = []
    error = Wicked("x")
    CLOSED.append(1)
    back = there_and_back(error)
    assert (type(back), back.args) == (Wicked, ("x",))


class UnpicklableMeta(type):
    def __reduce_ex__(cls, protocol: Any) -> Any:
        raise TypeError("no")


def test_a_class_that_cannot_be_sent_is_replaced() -> None:
    class Base(Exception, metaclass=UnpicklableMeta):
        lock = threading.Lock()

    back = there_and_back(Base("x"))
    assert type(back) is NotPicklableError
    assert "Base" in str(back)


def test_one_that_loads_there_but_not_here_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = encode(Plain("x"))
    monkeypatch.delattr(f"{__name__}.Plain")
    back, text = decode(packed.data)
    assert type(back) is NotPicklableError
    assert "Plain" in text


def test_the_traceback_comes_along_as_text() -> None:
    _, text = decode(encode(raised(ValueError("seen"))).data)
    assert text.startswith("Traceback (most recent call last):")
    assert text.endswith("ValueError: seen\n")
    assert "in raised" in text


def test_missing_input_is_explained_once() -> None:
    error = EOFError("EOF when reading a line")
    back = there_and_back(error)
    assert back.__notes__ == ["workers have no standard input; use workers=1 to debug"]
    assert not hasattr(there_and_back(EOFError("another")), "__notes__")


def test_pickled_parts_are_plain() -> None:
    assert pickle.loads(encode(Holds("held")).data)


def test_a_library_that_pickles_all_exceptions_for_everybody_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(error: BaseException) -> Any:
        return type(error), ()

    forgetful.__module__ = "tblib.pickling_support"
    monkeypatch.setitem(copyreg.dispatch_table, StopIteration, forgetful)
    back = there_and_back(StopIteration("value"))
    assert isinstance(back, StopIteration)
    assert back.value == "value"
