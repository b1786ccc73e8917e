"""Random regular expressions and lines that meet their difficult places."""

from __future__ import annotations

import re
import warnings

from hypothesis import strategies as st

WORDS = ("Kernel", "service", "Name: ", "::", "mask", "ski", "root", "###", "é", "Straße", "x", "12", "KIS", "_")
FOLDING = "\u0130\u0131\u017f\u212a"
ALPHABET = "aikISKs:é_ 1-#" + FOLDING + "µÅ\u212b"

literals = st.sampled_from([re.escape(word) for word in WORDS]) | st.text(ALPHABET, min_size=1, max_size=3).map(
    re.escape
)
atoms = st.one_of(
    literals,
    literals,
    st.sampled_from(
        [".", r"\w", r"\d", r"\s*", "[a-k]", "[^s]", "[Kk]", "^", "$", r"\b", "(?=s)", "(?!#)", "(?<=k)", r"\W?"]
    ),
)


def grouped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        several.map("".join),
        several.map(lambda parts: f"(?:{'|'.join(parts)})"),
        several.map(lambda parts: f"({'|'.join([*parts, ''])})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,2}", "+?", "*?", "?+", "++"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
        inner.map(lambda part: f"(?-i:{part})"),
        inner.map(lambda part: f"(?i:{part})"),
        inner.map(lambda part: f"(?>{part})"),
        inner.map(lambda part: f"(?={part})"),
        inner.map(lambda part: f"(?a:{part})"),
        inner.map(lambda part: f"(?P<g>{part})(?(g)a|b)" if "(?P<g>" not in part else part),
        inner.map(lambda part: f"({part})\\1" if "(" not in part else part),
    )


def is_pattern(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            re.compile(text, re.IGNORECASE)
        except re.error:
            return False
    return True


patterns = (
    st.recursive(atoms, grouped, max_leaves=8)
    .flatmap(lambda text: st.sampled_from([text, f"(?x){text}", f"(?s){text}"]))
    .filter(is_pattern)
)
lines = st.lists(st.sampled_from(WORDS) | st.text(ALPHABET, max_size=4), max_size=5).map("".join)
texts = st.tuples(st.lists(lines, max_size=12), st.sampled_from(["", "\n"])).map(
    lambda pair: "\n".join(pair[0]) + pair[1]
)
