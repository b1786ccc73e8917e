"""`fanwise cache`: what it says of a cache, what it removes, and how it ends."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from tests.cache_kit import flip, folder

import fanwise
from fanwise.cli import main
from fanwise.testing import FakeClock

Ran = tuple[int, str, str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command on the cache ``.fw`` of an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Ran:
        code = main(["cache", *words, "--cache-dir", ".fw"])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def load(n: int) -> bytes:
    return bytes(n)


@pytest.fixture
def filled(tmp_path: Path) -> fanwise.Cache:
    """Three entries a day apart: two of a function, one of the user."""
    clock = FakeClock(start=1_700_000_000.0)
    cache = fanwise.Cache(tmp_path / ".fw", memory=0, clock=clock)
    keep = cache.memoize(load)
    keep(10)
    clock.advance(86_400)
    keep(100_000)
    clock.advance(86_400)
    cache.put("mine", "value", ttl=3600)
    cache.close()
    return cache


EMPTY = {
    "info": "no cache at .fw\n",
    "list": "no cache at .fw\n",
    "verify": "no cache at .fw\n",
    "prune": "no cache at .fw\n",
    "clear": "no cache at .fw\n",
}


class TestWithoutACache:
    @pytest.mark.parametrize("command", EMPTY)
    def test_every_command_says_so_makes_nothing_and_ends_well(self, command: str, run: Any, tmp_path: Path) -> None:
        assert run(command) == (0, EMPTY[command], "")
        assert not (tmp_path / ".fw").exists()

    @pytest.mark.parametrize(("command", "wanted"), [("verify", "entries"), ("prune", "removed"), ("clear", "removed")])
    def test_machines_get_zeros(self, command: str, wanted: str, run: Any) -> None:
        code, out, _ = run(command, "--json")
        assert (code, json.loads(out)[wanted]) == (0, 0)

    def test_info_has_all_fields_nevertheless(self, run: Any) -> None:
        found = json.loads(run("info", "--json")[1])
        assert (found["entries"], found["functions"], found["oldest"], found["backend"]) == (0, [], None, "none")
        assert {"hits", "misses", "hit_rate", "bytes", "limit", "path", "schema"} <= set(found)

    def test_a_list_for_machines_is_empty(self, run: Any) -> None:
        assert run("list", "--json") == (0, "", "")


ODD = {
    "a file": (lambda place: place.write_bytes(b""), "cache directory '.fw' is a file; choose another --cache-dir"),
    "writable by all": (
        lambda place: (place.mkdir(), place.chmod(0o777)),
        "'.fw' can be written by others; run: chmod 700",
    ),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("command", EMPTY)
def test_what_cannot_be_a_cache_is_refused(command: str, odd: str, run: Any, tmp_path: Path) -> None:
    make, words = ODD[odd]
    make(tmp_path / ".fw")
    code, out, err = run(command)
    assert (code, out) == (2, "")
    assert err.startswith(f"fanwise cache: {words}")


class TestInfo:
    def test_functions_are_listed_largest_first(self, run: Any, filled: fanwise.Cache) -> None:
        code, out, err = run("info")
        lines = out.splitlines()
        assert (code, err) == (0, "")
        assert lines[0] == ".fw  index, schema 1"
        assert lines[1].startswith("3 entries, ")
        assert lines[1].endswith(" of 2.0 GiB")
        assert lines[2] == "oldest 2023-11-14T22:13:20Z, newest 2023-11-16T22:13:20Z"
        assert [line.split("  ")[1] for line in lines[3:]] == [f"{__name__}:load", "user"]
        assert "2 entries, 100" in lines[3]

    def test_machines_get_every_figure(self, run: Any, filled: fanwise.Cache) -> None:
        found = json.loads(run("info", "--json")[1])
        assert (found["entries"], found["limit"], found["newest"]) == (3, 2 << 30, "2023-11-16T22:13:20Z")
        assert [each["entries"] for each in found["functions"]] == [2, 1]

    def test_verbose_names_the_hash_and_quiet_nothing(self, run: Any, filled: fanwise.Cache) -> None:
        assert "sums by" in run("info", "-v")[1]
        assert run("info", "-q") == (0, "", "")

    def test_an_empty_cache_has_no_dates(self, run: Any, tmp_path: Path) -> None:
        fanwise.Cache(tmp_path / ".fw").close()
        out = run("info")[1]
        assert "0 entries" in out
        assert "oldest" not in out


class TestList:
    def rows(self, out: str) -> list[str]:
        return [line.split()[-1] if "until" not in line else line.split()[-3] for line in out.splitlines()]

    def test_the_newest_comes_first(self, run: Any, filled: fanwise.Cache) -> None:
        code, out, _ = run("list")
        assert code == 0
        assert self.rows(out) == ["user", f"{__name__}:load", f"{__name__}:load"]
        assert "until 2023-11-16T23:13:20Z" in out.splitlines()[0]
        assert "blob" in out.splitlines()[1]

    @pytest.mark.parametrize(
        ("options", "sizes"),
        [
            (["--sort", "size"], [100_000, 10, 5]),
            (["--sort", "size", "--limit", "1"], [100_000]),
            (["--name", "user"], [5]),
            (["--name", "nobody"], []),
        ],
    )
    def test_entries_are_chosen_and_sorted(
        self, options: list[str], sizes: list[int], run: Any, filled: fanwise.Cache
    ) -> None:
        found = [json.loads(line) for line in run("list", "--json", *options)[1].splitlines()]
        assert [each["bytes"] for each in found] == pytest.approx(sizes, abs=16)
        assert all(set(each) == {"key", "name", "bytes", "created", "expires", "codec", "where"} for each in found)
        assert all((each["expires"] is None) == (each["name"] != "user") for each in found)

    def test_by_name(self, run: Any, filled: fanwise.Cache) -> None:
        assert self.rows(run("list", "--sort", "name")[1])[-1] == "user"

    def test_values_are_never_decoded(self, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        with fanwise.Cache(tmp_path / ".fw", pickle="signed") as cache:
            cache.put("bomb", Bomb())
        assert run("list")[0] == run("info")[0] == run("verify")[0] == 0


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.abort, ()


class TestVerify:
    def test_a_whole_cache_is_whole(self, run: Any, filled: fanwise.Cache) -> None:
        assert run("verify") == (0, "3 entries are whole\n", "")
        found = json.loads(run("verify", "--json")[1])
        assert found == {"entries": 3, "damage": [], "repaired": False}

    def test_damage_is_listed_then_removed_then_gone(self, run: Any, filled: fanwise.Cache) -> None:
        (log,) = folder(filled).glob("log-*")
        flip(log, 70)
        code, out, _ = run("verify")
        assert code == 3
        assert out.splitlines()[0].startswith(f"{log.name} at 0: ")
        assert out.splitlines()[-1] == "2 entries are whole, 1 damaged"
        code, out, _ = run("verify", "--repair")
        assert (code, out.splitlines()[-1]) == (3, "2 entries are whole, 1 damaged and removed")
        assert run("verify") == (0, "2 entries are whole\n", "")

    def test_a_damaged_blob_is_named(self, run: Any, filled: fanwise.Cache) -> None:
        (blob,) = (path for path in folder(filled).glob("blobs/*/*") if path.is_file())
        flip(blob, 5)
        code, out, _ = run("verify", "--json")
        (damage,) = json.loads(out)["damage"]
        assert code == 3
        assert blob.name in damage["file"]
        assert set(damage) == {"file", "offset", "key", "why"}

    def test_quiet_leaves_the_exit_code(self, run: Any, filled: fanwise.Cache) -> None:
        (log,) = folder(filled).glob("log-*")
        flip(log, 70)
        assert run("verify", "-q") == (3, "", "")


class TestPrune:
    def test_without_options_only_what_is_expired_goes(self, run: Any, filled: fanwise.Cache) -> None:
        code, out, _ = run("prune")
        assert code == 0
        assert out.startswith("removed ")
        assert "kept " in out

    def test_the_oldest_go_until_the_rest_fits(self, run: Any, filled: fanwise.Cache, tmp_path: Path) -> None:
        found = json.loads(run("prune", "--max-size", "1kB", "--json")[1])
        assert found["kept_bytes"] <= 1000
        with fanwise.Cache(tmp_path / ".fw") as cache:
            assert cache.stats().entries == found["kept"]

    def test_a_trial_removes_nothing(self, run: Any, filled: fanwise.Cache) -> None:
        before = json.loads(run("info", "--json")[1])["entries"]
        assert run("prune", "--older-than", "1s", "--dry-run")[1].startswith("would remove ")
        assert json.loads(run("info", "--json")[1])["entries"] == before

    @pytest.mark.parametrize(
        ("option", "value", "hint"),
        [
            ("--max-size", "12XB", "expected a number with B, KiB, MiB, GiB, kB, MB or GB, such as 500MB"),
            ("--max-size", "many", "such as 500MB"),
            ("--older-than", "3 moons", "30d"),
            ("--older-than", "-1d", "30d"),
        ],
    )
    def test_a_bad_figure_is_said_with_an_example(
        self, option: str, value: str, hint: str, run: Any, filled: fanwise.Cache
    ) -> None:
        code, out, err = run("prune", option, value)
        assert (code, out) == (2, "")
        assert f"{option} {value!r}" in err
        assert hint in err


class TestClear:
    def test_elsewhere_than_on_a_terminal_it_refuses_without_yes(self, run: Any, filled: fanwise.Cache) -> None:
        code, _, err = run("clear")
        assert code == 2
        assert "refusing to clear 3 entries without --yes" in err
        assert json.loads(run("info", "--json")[1])["entries"] == 3

    def test_with_yes_all_goes(self, run: Any, filled: fanwise.Cache) -> None:
        assert run("clear", "--yes") == (0, "removed 3 entries\n", "")
        assert json.loads(run("info", "--json")[1])["entries"] == 0

    def test_one_function_goes(self, run: Any, filled: fanwise.Cache) -> None:
        assert json.loads(run("clear", "--name", f"{__name__}:load", "--yes", "--json")[1]) == {"removed": 2}
        assert json.loads(run("info", "--json")[1])["entries"] == 1

    @pytest.mark.parametrize(("answer", "left"), [(True, 0), (False, 3)])
    def test_on_a_terminal_it_asks(
        self, *, answer: bool, left: int, run: Any, filled: fanwise.Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []

        def confirm(text: str, **_: Any) -> bool:
            asked.append(text)
            return answer

        monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
        monkeypatch.setattr(click, "confirm", confirm)
        run("clear")
        assert asked == ["Remove 3 entries?"]
        assert json.loads(run("info", "--json")[1])["entries"] == left


class TestDirectories:
    @pytest.mark.parametrize("command", ["info", "list", "verify", "prune", "clear"])
    def test_one_that_others_may_write_to_is_refused_with_the_remedy(
        self, command: str, run: Any, filled: fanwise.Cache, tmp_path: Path
    ) -> None:
        (tmp_path / ".fw").chmod(0o777)
        code, out, err = run(command)
        assert (code, out) == (2, "")
        assert "chmod 700" in err

    def test_the_environment_names_the_directory(
        self, run: Any, filled: fanwise.Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        monkeypatch.setenv("FANWISE_CACHE_DIR", str(tmp_path / ".fw"))
        assert main(["cache", "info"]) == 0
        assert capsys.readouterr().out.startswith(f"{tmp_path / '.fw'}  index")
