"""HTML that is safe by construction: what is not already `Html` is escaped when it is put into an element.

element("td", "<b>", class_="n")   ->   <td class="n">&lt;b&gt;</td>
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Sequence
from importlib import resources

from gradus.look.text import clean


class Html(str):
    """A piece of finished HTML. Everything else that reaches `element` is text and gets escaped."""


POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # no script, no request
VOID = frozenset({"img", "meta", "br", "hr", "col"})


def to_html(value: object) -> Html:
    """`value` itself where it is finished HTML, else its text, escaped."""
    return value if isinstance(value, Html) else Html(html.escape(clean(value)))


def join(pieces: Iterable[object], between: str = "") -> Html:
    """The pieces one after the other, with the finished HTML `between` them; texts are escaped."""
    return Html(between.join(to_html(piece) for piece in pieces))


def element(tag: str, *children: object, **attributes: object) -> Html:
    """One element. `class_` gives `class`, `aria_label` gives `aria-label`; attributes that are None are left out."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{to_html(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Html(f"<{tag}{written}>") if tag in VOID else Html(f"<{tag}{written}>{join(children)}</{tag}>")


def name(text: object) -> Html:
    """A name from the user's data. Isolated: one written right to left does not turn its surroundings around."""
    return element("bdi", text)


def table(
    header: Sequence[object], rows: Iterable[Sequence[object]], numeric: Iterable[int] = (), **attributes
) -> Html:
    """A table that scrolls sideways on its own where the screen is too narrow.

    header: a cell a column; numeric: indices of the columns that are set flush right; first column: the row's header.
    """
    right = set(numeric)

    def cell(tag: str, index: int, value: object, **more: object) -> Html:
        return element(tag, value, class_="n" if index in right else None, **more)

    head = element("tr", *(cell("th", index, value, scope="col") for index, value in enumerate(header)))
    body = [
        element(
            "tr",
            *(
                cell("th", index, value, scope="row") if index == 0 else cell("td", index, value)
                for index, value in enumerate(row)
            ),
        )
        for row in rows
    ]
    inner = element("table", element("thead", head), element("tbody", *body), **attributes)
    return element("div", inner, class_="scroll", tabindex="0")


def pairs(items: Iterable[tuple[object, object]], **attributes: object) -> Html:
    """A list of terms and their values."""
    rows = [element("div", element("dt", term), element("dd", value)) for term, value in items]
    return element("dl", *rows, **({"class_": "pairs"} | attributes))


def details(summary: object, *body: object) -> Html:
    """What is long and seldom needed: folded away until asked for."""
    return element("details", element("summary", summary), *body)


def section(identity: str, title: str, *body: object) -> Html:
    """One part of the page, which the list of contents can point to."""
    return element("section", element("h2", title), *body, id=identity)


def paragraph(*sentences: object, **attributes: object) -> Html:
    """The sentences that are not empty, as one paragraph; nothing where all are."""
    said = [sentence for sentence in sentences if sentence]
    return element("p", join(said, " "), **attributes) if said else Html("")


def figure(picture: object, title: str, keys: Sequence[tuple[str, str]] = (), note: object = "") -> Html:
    """A picture below its title. keys: (colour role, meaning) pairs; the roles are those of report.css.

    The legend is HTML and stands outside the drawing, so it never covers data and wraps on a phone.
    """
    legend = element("span", *(element("span", word, class_=f"key {role}") for role, word in keys), class_="keys")
    caption = element("figcaption", element("strong", title), legend if keys else "")
    return element("figure", caption, picture, element("p", note, class_="note") if note else "")


def document(title: str, body: Html, script: str = "") -> str:
    """A whole HTML page that stands alone: the styles are inside, and its policy forbids every request and every script.

    script: of our own, which the policy allows by its SHA-256 and nothing beside it
    """
    style = resources.files("gradus.look").joinpath("report.css").read_text(encoding="utf-8")
    head = join(
        (
            element("meta", charset="utf-8"),
            element(
                "meta",
                http_equiv="Content-Security-Policy",
                content=POLICY + (f"; script-src {script_hash(script)}" if script else ""),
            ),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("title", title),
            element("style", Html(style)),
        )
    )
    whole = join((body, Html(f"<script>{script}</script>"))) if script else body
    return "<!DOCTYPE html>\n" + element("html", element("head", head), element("body", whole), lang="en") + "\n"


def script_hash(script: str) -> str:
    """The source expression of a content security policy that allows this very script. Raises `ValueError` where the text would
    end its element early."""
    if re.search(r"</script|<!--", script, re.IGNORECASE):
        raise ValueError("a script inside a page cannot hold '</script' or '<!--'")
    return Html(f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'")
