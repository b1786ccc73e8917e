"""What `freeze` takes and a `Bundle` is, before any process comes in."""

from __future__ import annotations

import copy
import functools
import gc
import pickle
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fanwise
from fanwise import Bundle, freeze
from fanwise.bundle import _transports, owner_of
from fanwise.bundle._freezing import freeze_over
from fanwise.bundle._transports import SEALED, Draft, Transport
from fanwise.errors import BundleError, NotPicklableError, UsageError


class TestArguments:
    @pytest.mark.parametrize("value", [[1], None, "text", np.zeros(3), {1}])
    def test_only_a_mapping_is_frozen(self, value: Any) -> None:
        with pytest.raises(UsageError, match=r"^freeze\(\) takes a mapping of names to values, not \w+$") as caught:
            freeze(value)
        assert isinstance(caught.value, TypeError)

    def test_a_frame_alone_gets_a_hint(self) -> None:
        with pytest.raises(UsageError, match=r'not DataFrame: freeze\(\{"frame": frame\}\)$'):
            freeze(pd.DataFrame())

    def test_names_are_text(self) -> None:
        with pytest.raises(UsageError, match=r"^bundle names are text; got int 3$"):
            freeze({"a": 1, 3: 2})

    def test_the_name_of_the_bundle_is_text(self) -> None:
        with pytest.raises(UsageError, match="the name of a bundle is text; got int 3"):
            freeze({}, name=3)

    @pytest.mark.parametrize(
        ("make", "kind"),
        [(socket.socket, "socket"), (threading.Lock, "lock"), (lambda: (n for n in ()), "generator")],
    )
    def test_what_has_no_other_form_and_cannot_be_pickled_is_named(self, make: Any, kind: str) -> None:
        value = make()
        with pytest.raises(NotPicklableError, match=rf"^entry 'x' of type {kind} can't be pickled: "):
            freeze({"fine": b"", "x": value})
        if kind == "socket":
            value.close()

    def test_a_polars_column_of_objects_is_refused(self) -> None:
        pl = pytest.importorskip("polars")
        with pytest.raises(NotPicklableError, match=r"^entry 'x': column 'o' of dtype Object can't be frozen"):
            freeze({"x": pl.DataFrame({"o": pl.Series([object()], dtype=pl.Object)})})

    def test_an_error_of_a_value_travels_unchanged(self) -> None:
        class Stubborn:
            def __getstate__(self) -> Any:
                raise ZeroDivisionError("no")

        with pytest.raises(ZeroDivisionError, match="no"):
            freeze({"x": Stubborn()})

    def test_a_bundle_is_not_made_by_its_class(self) -> None:
        with pytest.raises(
            UsageError, match=r"^a Bundle is made by freeze\(\{name: value, …\}\) or Bundle\.open\(path\)"
        ):
            Bundle({"x": 1})


class TestValuesMadeWhenTheirTurnComes:
    def test_functions_without_arguments_are_called_in_order(self) -> None:
        calls: list[str] = []

        def make(name: str = "c") -> np.ndarray:
            calls.append(name)
            return np.arange(3)

        values = {"a": lambda: make("a"), "b": functools.partial(make, "b"), "c": make, "d": pd.Series(range(3)).copy}
        with freeze(values) as bundle:
            assert calls == ["a", "b", "c"]
            assert all(bundle[name].tolist() == [0, 1, 2] for name in values)

    def test_an_object_whose_call_takes_nothing_is_called(self) -> None:
        class Source:
            def __call__(self) -> bytes:
                return b"made"

        with freeze({"x": Source()}) as bundle:
            assert bundle["x"] == b"made"

    def test_models_classes_and_functions_of_arguments_are_values(self) -> None:
        values = {"class": dict, "function": len, "print": print, "partial": functools.partial(max, 1)}
        with freeze(values | {"model": np.poly1d([1, 2])}) as bundle:
            assert (bundle["class"], bundle["function"], bundle["print"]) == (dict, len, print)
            assert bundle["model"](1) == 3
            assert bundle["partial"](2) == 2

    def test_one_value_lives_at_a_time(self) -> None:
        made: list[weakref.ref[np.ndarray]] = []

        def make() -> np.ndarray:
            assert [ref() for ref in made] == [None] * len(made)
            array = np.zeros(10)
            made.append(weakref.ref(array))
            return array

        with freeze({"a": make, "b": make, "c": make}):
            assert len(made) == 3

    def test_what_it_raises_reaches_the_caller_and_nothing_is_left(self) -> None:
        with pytest.raises(ZeroDivisionError):
            freeze({"a": np.arange(3), "b": lambda: 1 / 0})


class TestMapping:
    def test_is_one(self) -> None:
        with freeze({"b": 1, "a": 2, "größe": 3, "": 4}) as bundle:
            assert isinstance(bundle, Mapping)
            assert list(bundle) == list(bundle.keys()) == ["b", "a", "größe", ""]
            assert dict(bundle) == {"b": 1, "a": 2, "größe": 3, "": 4}
            assert len(bundle) == 4
            assert "a" in bundle
            assert "x" not in bundle
            assert 3 not in bundle
            assert (bundle.get("a"), bundle.get("x"), bundle.get("x", 5)) == (2, None, 5)
            with pytest.raises(KeyError, match="x"):
                bundle["x"]
            with pytest.raises(KeyError, match="x"):
                bundle.thaw("x")

    def test_may_be_empty(self) -> None:
        with freeze({}) as bundle:
            assert dict(bundle) == {}
            assert repr(bundle) == "<Bundle 0 entries, 0 B, memfd>"

    def test_copies_at_once(self) -> None:
        original = np.arange(3)
        with freeze({"x": original}) as bundle:
            original[0] = 99
            assert bundle["x"].tolist() == [0, 1, 2]

    def test_is_equal_to_itself_and_can_be_a_key(self) -> None:
        with freeze({"x": np.arange(3)}) as one, freeze({"x": np.arange(3)}) as other:
            assert one == one  # the point
            assert one != other
            assert len({one, other, one}) == 2

    def test_says_what_it_is(self) -> None:
        with freeze({"x": np.zeros(125_000_000 // 8)}, name="market") as bundle:
            assert repr(bundle) == "<Bundle 'market' 1 entry, 125.00 MB, memfd>"
            assert (bundle.name, bundle.nbytes, bundle.closed) == ("market", 125_000_000, False)
        assert repr(bundle) == "<Bundle 'market' closed>"

    def test_describes_its_entries_without_loading_them(self) -> None:
        frame = pd.DataFrame({"x": [1.0, 2.0], "s": ["a", "b"]})
        records = np.zeros(2, [("a", "<i4")])
        with freeze({"a": np.zeros((2, 3)), "f": frame, "r": records, "o": {"k": 1}}) as bundle:
            described = bundle.describe()
            assert [(d.name, d.kind, d.dtype, d.shape) for d in described] == [
                ("a", "ndarray", "<f8", (2, 3)),
                ("f", "pandas.DataFrame", None, (2, 2)),
                ("r", "ndarray", "[['a', '<i4']]", (2,)),
                ("o", "pickle", None, None),
            ]
            assert described[0].nbytes == 48
            assert bundle.nbytes == sum(d.nbytes for d in described)
            assert not bundle.in_use

    def test_can_be_frozen_again(self) -> None:
        with freeze({"x": np.arange(3), "y": bytearray(b"a")}) as one, freeze(one) as other:
            assert other["x"].tolist() == [0, 1, 2]
            assert other["y"].tobytes() == b"a"


class TestClosing:
    def test_look_ups_end_and_views_stay(self) -> None:
        bundle = freeze({"x": np.arange(3), "y": {"k": 1}}, name="market")
        view = bundle["x"]
        bundle["y"]
        bundle.close()
        bundle.close()
        assert bundle.closed
        assert view.tolist() == [0, 1, 2]
        for use in (lambda: bundle["x"], lambda: bundle["y"], lambda: bundle.get("x"), bundle.attachment,
                    lambda: bundle.thaw("x"), bundle.describe, lambda: pickle.dumps(bundle)):  # fmt: skip
            with pytest.raises(BundleError, match=r"^bundle 'market' is closed$"):
                use()

    def test_a_bundle_without_a_name_says_so(self) -> None:
        bundle = freeze({"x": 1})
        bundle.close()
        with pytest.raises(BundleError, match=r"^this bundle is closed$"):
            bundle["x"]

    def test_listeners_hear_once_of_closing_or_collection(self) -> None:
        heard: list[bytes] = []
        closed, dropped = freeze({"x": 1}), freeze({"x": 2})
        ids = [closed.attachment().id, dropped.attachment().id]
        for bundle in (closed, dropped):
            bundle.when_closed(heard.append)
        closed.close()
        closed.close()
        assert heard == ids[:1]
        del dropped, bundle
        gc.collect()
        assert heard == ids

    def test_an_error_inside_closes_too(self) -> None:
        with pytest.raises(ZeroDivisionError), freeze({"x": 1}) as bundle:
            _ = 1 / 0
        assert bundle.closed


class TestThreads:
    def test_an_object_is_made_once_although_many_ask_at_the_same_time(self) -> None:
        made: list[int] = []

        with freeze({"x": Counted()}) as bundle:
            Counted.made = made
            barrier = threading.Barrier(8)
            seen: list[Any] = []

            def ask() -> None:
                barrier.wait()
                seen.append(bundle["x"])

            threads = [threading.Thread(target=ask) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert made == [1]
            assert len({id(s) for s in seen}) == 1

    def test_an_entry_may_read_its_own_bundle_while_it_is_loaded(self) -> None:
        with freeze({"a": np.arange(3), "b": Recursive()}) as bundle:
            Recursive.bundle = bundle
            assert bundle["b"].a.tolist() == [0, 1, 2]
            Recursive.bundle = None


class Counted:
    made: list[int] = []

    def __setstate__(self, state: Any) -> None:
        self.made.append(1)

    def __getstate__(self) -> Any:
        return {"x": 1}


class Recursive:
    bundle: Bundle | None = None

    def __getstate__(self) -> Any:
        return {"x": 1}

    def __setstate__(self, state: Any) -> None:
        assert Recursive.bundle is not None
        self.a = Recursive.bundle["a"]


class TestNested:
    def test_a_bundle_inside_is_the_bundle(self) -> None:
        with freeze({"x": np.arange(3)}) as inner, freeze({"one": inner, "two": inner, "n": 1}) as outer:
            assert outer["one"] is inner
            assert outer["two"] is inner
            assert outer.nbytes < 100
            assert outer.thaw("one")["x"].flags.writeable

    def test_it_lives_as_long_as_the_outer_one(self) -> None:
        for inner in (freeze({"x": np.arange(3)}), lambda: freeze({"x": np.arange(3)})):
            outer = freeze({"inner": inner})
            del inner
            gc.collect()
            assert outer["inner"]["x"].tolist() == [0, 1, 2]
            outer.close()

    def test_its_content_counts_in_the_digest_not_its_place(self) -> None:
        with freeze({"x": 1}) as one, freeze({"x": 1}) as same, freeze({"x": 2}) as other:
            digests = []
            for inner in (one, same, other):
                with freeze({"inner": inner}) as outer:
                    digests.append(outer.digest)
            assert digests[0] == digests[1] != digests[2]

    def test_it_is_saved_with_the_outer_one(self, tmp_path: Path) -> None:
        path = tmp_path / "outer.fwb"
        inner = freeze({"x": np.arange(3), "p": {"k": 1}}, name="inner")
        with inner, freeze({"i": inner}) as outer, freeze({"o": outer, "y": b"y"}) as outermost:
            outermost.save(path)
            digest = outermost.digest
        with Bundle.open(path, verify="all", trust=True) as opened:
            assert opened["o"]["i"]["x"].tolist() == [0, 1, 2]
            assert opened["o"]["i"]["p"] == {"k": 1}
            assert opened["o"]["i"].name == "inner"
            assert opened.digest == digest
            opened.save(tmp_path / "again.fwb")
            assert pickle.loads(pickle.dumps(opened["o"]))["i"]["x"].tolist() == [0, 1, 2]
        with Bundle.open(path) as untrusted:
            assert untrusted["o"]["i"]["x"].tolist() == [0, 1, 2]
            with pytest.raises(BundleError, match="entry 'p' is a pickle"):
                untrusted["o"]["i"]["p"]
        with Bundle.open(tmp_path / "again.fwb") as again:
            assert again["o"]["i"]["x"].tolist() == [0, 1, 2]


class TestDigest:
    def test_is_of_the_content(self) -> None:
        def digest(values: dict[str, Any]) -> str:
            with freeze(values) as bundle:
                return bundle.digest

        base = {"x": np.arange(6.0).reshape(2, 3)}
        assert digest(base) == digest({"x": np.arange(6.0).reshape(2, 3)})
        others: list[dict[str, Any]] = [
            {"y": base["x"]},
            {"x": base["x"].reshape(3, 2)},
            {"x": np.asfortranarray(base["x"])},
            {"x": base["x"].astype("<f4")},
            {"x": base["x"].view("<i8")},
            {"x": base["x"] + 1},
            {"x": base["x"].tobytes()},
            {"x": base["x"], "y": b""},
            {},
        ]
        assert len({digest(v) for v in [base, *others]}) == len(others) + 1

    @pytest.mark.slow
    def test_is_the_same_in_every_process(self, tmp_path: Path) -> None:
        code = (
            "import datetime as d, decimal, numpy as np, pandas as pd, polars as pl, pyarrow as pa, fanwise\n"
            "words = {'a', 'b', 'c', 'd', None, 1.5, ('x', frozenset('yz'))}\n"
            "values = {'array': np.arange(3), 'set': words, 'deep': [{'k': frozenset(words)}], 'text': 'x',\n"
            "  'days': {d.date(2026, 1, n) for n in range(1, 9)}, 'money': {decimal.Decimal(n) for n in range(9)},\n"
            "  'frame': pd.DataFrame({'x': [1.0], 's': ['a'], 'o': [{'q', 'r', 's'}]}),\n"
            "  'pl': pl.DataFrame({'s': ['a']}), 'pa': pa.table({'s': ['a']})}\n"
            "print(fanwise.freeze(values).digest)"
        )
        seen = {
            subprocess.run(
                [sys.executable, "-c", code],
                env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(Path(fanwise.__file__).parents[1])},
                capture_output=True, text=True, check=True,
            ).stdout
            for seed in (1, 2, 3)
        }  # fmt: skip
        assert len(seen) == 1
        assert len(seen.pop().strip()) == 32

    def test_is_what_a_cache_keys_a_bundle_by(self) -> None:
        with freeze({"x": 1}) as bundle:
            assert bundle.__fanwise_key__() == bundle.digest

    def test_a_view_is_known_by_the_bundle_it_belongs_to(self) -> None:
        with freeze({"x": np.arange(6.0).reshape(2, 3), "m": {"w": np.arange(3)}}) as bundle, freeze({"y": 1}) as other:
            for view in (bundle["x"], bundle["x"][:, 1], bundle["m"]["w"]):
                assert owner_of(memory_of(view)) is bundle
            assert owner_of(memory_of(np.arange(3))) is None
            memory = memory_of(bundle["x"])
            assert owner_of(other.reader.segment.mapped) is other
        assert owner_of(memory) is None


def memory_of(array: Any) -> Any:
    while isinstance(array, np.ndarray | memoryview):
        array = array.obj if isinstance(array, memoryview) else array.base
    return array


class TestPlainPickles:
    def test_in_its_own_process_it_is_the_bundle_itself(self) -> None:
        with freeze({"x": np.arange(3)}) as bundle:
            assert pickle.loads(pickle.dumps(bundle)) is bundle
            assert copy.copy(bundle) is bundle
            assert copy.deepcopy(bundle) is bundle
            assert len(pickle.dumps(bundle)) < 300

    def test_a_closed_one_is_out_of_reach(self) -> None:
        bundle = freeze({"x": 1}, name="market")
        handle = pickle.dumps(bundle)
        bundle.close()
        with pytest.raises(
            BundleError, match=r"^bundle 'market' lives in process \d+, which has closed it; save\(\) it"
        ):
            pickle.loads(handle)


@dataclass(frozen=True, slots=True)
class Cramped:
    """A transport with little room."""

    of: Transport
    left: int
    name: str = "cramped"
    is_sealed: bool = True

    def create(self, label: str) -> Draft:
        return self.of.create(label)

    def room(self, draft: Draft) -> int | None:
        return self.left

    def settle(self, draft: Draft) -> int:
        return self.of.settle(draft)

    def offer(self, segment: Any) -> int:
        return self.of.offer(segment)


class TestNoRoom:
    def test_is_said_before_anything_is_copied(self) -> None:
        huge = np.broadcast_to(np.zeros(1), (1_000_000_000,))
        with pytest.raises(
            BundleError,
            match=r"^freezing 'prices' needs 8\.0 GB, 3\.1 GB are available; Bundle\.save\(\) it in pieces or open",
        ):
            freeze_over(Cramped(SEALED, 3_100_000_000), {"note": b"", "prices": huge})

    def test_what_cannot_be_addressed_is_refused(self) -> None:
        with pytest.raises(BundleError, match=r"^entry 'x' makes the bundle larger than 140,737,488,355,328 bytes"):
            freeze_over(Cramped(SEALED, 1 << 60), {"x": np.broadcast_to(np.zeros(1), (1 << 50,))})

    def test_is_found_out_while_copying_at_the_latest(self) -> None:
        resource = pytest.importorskip("resource")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
        try:
            for transport in (SEALED, _transports.PRIVATE):
                with pytest.raises(BundleError, match=r"^freezing 'x' needs 800.0 kB, more than is available"):
                    freeze_over(transport, {"x": np.zeros(100_000)})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    def test_no_descriptor_left_is_said_in_words(self) -> None:
        resource = pytest.importorskip("resource")
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
        try:
            with pytest.raises(BundleError, match="no memory for a bundle can be had: Too many open files"):
                freeze({"x": 1})
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
