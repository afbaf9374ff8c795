"""Controls whose choice stands in the page's address, so that a link shows the same again.

The address wins where it changed from outside (a link, the back button); else the control does.
Choices are also kept while the visitor is on another page. A default is not written.
"""

from collections.abc import Callable, Sequence
from typing import Literal
from urllib.parse import urlencode

import streamlit as st

from leaderboard.pages import visit

Values = tuple[str, ...]
NOTHING = ("",)  # in an address: nothing was chosen, where the default is something


def begin(page: str) -> None:
    """Notes which page runs now; changing the page empties the address."""
    if st.session_state.get("address: page") != page:
        st.session_state["address: page"] = page
        st.session_state["address: written"] = {}


def one_of(
    name: str,
    label: str,
    options: Sequence[str],
    *,
    default: str = "",
    show: Callable[[str], str] = str,
    buttons: bool = False,
    help: str | None = None,
    hide_label: bool = False,
) -> str:
    """The option chosen; a row of buttons or a list that can be searched."""
    default = default if default in options else options[0]
    _start(name, (default,), lambda values: len(values) == 1 and values[0] in options, single=True)
    visible: Literal["collapsed", "visible"] = "collapsed" if hide_label else "visible"
    if buttons:
        chosen = st.segmented_control(
            label,
            options,
            key=name,
            format_func=lambda option: visit.plain(show(option)),
            required=True,
            help=help,
            label_visibility=visible,
        )
    else:
        chosen = st.selectbox(
            label, options, key=name, format_func=show, help=help, label_visibility=visible
        )
    _write(name, (chosen or default,), (default,))
    return chosen or default


def some_of(
    name: str,
    label: str,
    options: Sequence[str],
    *,
    default: Sequence[str] = (),
    show: Callable[[str], str] = str,
    most: int | None = None,
    help: str | None = None,
    placeholder: str | None = None,
) -> list[str]:
    """The options chosen, in the order of choosing."""

    def fits(values: Values) -> bool:
        return set(values) <= set(options) and len(values) <= (most or len(options))

    _start(name, tuple(default), fits, keep=lambda value: value in options)
    chosen = st.multiselect(
        label,
        options,
        key=name,
        format_func=show,
        max_selections=most,
        help=help,
        placeholder=placeholder,
    )
    _write(name, tuple(chosen), tuple(default))
    return list(chosen)


def switch(name: str, label: str, *, default: bool, help: str | None = None) -> bool:
    """Whether the toggle is on."""
    words = {"1": True, "0": False}
    _start(
        name,
        ("1" if default else "0",),
        lambda values: len(values) == 1 and values[0] in words,
        read=lambda values: words[values[0]],
    )
    on = st.toggle(label, key=name, help=help)
    _write(name, ("1" if on else "0",), ("1" if default else "0",))
    return on


def text(name: str, label: str, *, placeholder: str = "") -> str:
    """What was typed."""
    _start(name, ("",), lambda values: len(values) == 1, single=True)
    typed = st.text_input(label, key=name, placeholder=placeholder, max_chars=200)
    _write(name, (typed,), ("",))
    return typed


def number(
    name: str, label: str, low: float, high: float, *, default: float, step: float, help: str
) -> float:
    """Where the slider stands."""

    def fits(values: Values) -> bool:
        try:
            return len(values) == 1 and low <= float(values[0]) <= high
        except ValueError:
            return False

    _start(name, (f"{default:g}",), fits, read=lambda values: float(values[0]))
    value = st.slider(label, low, high, step=step, format="%.1f", key=name, help=help)
    _write(name, (f"{value:g}",), (f"{default:g}",))
    return float(value)


def page_number(name: str, pages: int) -> int:
    """The page of a long list, from 1; no control where there is only one."""
    if pages < 2:
        _write(name, ("1",), ("1",))
        return 1

    def fits(values: Values) -> bool:
        return len(values) == 1 and values[0].isdecimal() and 1 <= int(values[0]) <= pages

    _start(name, ("1",), fits, read=lambda values: int(values[0]))
    if st.session_state.get(name) == 1:  # its own default, which is not to be set a second time
        del st.session_state[name]
    at = st.pagination(pages, key=name)
    _write(name, (str(at),), ("1",))
    return int(at)


def share() -> None:
    """Draws the link to what is shown, every choice named, so that new runs do not change it."""
    kept: dict[str, Values] = st.session_state.get("address: kept", {})
    here: dict[str, Values] = st.session_state.get("address: written", {})
    asked = {
        name: kept[name] or NOTHING
        for name, written in here.items()
        if any(kept.get(name, ())) or written == NOTHING
    }
    with st.popover("Link to this view", icon=":material/link:"):
        address = (st.context.url or "").partition("?")[0]
        st.code(f"{address}?{urlencode(asked, doseq=True)}", language=None, wrap_lines=True)


def set_value(name: str, value: str) -> None:
    """Chooses `value` for the control `name`, which has not run yet."""
    st.session_state[name] = value


def _start(
    name: str,
    default: Values,
    fits: Callable[[Values], bool],
    *,
    single: bool = False,
    read: Callable[[Values], object] | None = None,
    keep: Callable[[str], bool] | None = None,
) -> None:
    """Gives the control `name` its value before it runs, where it has none or the wrong one."""
    inside = read or (lambda values: values[0] if single else list(values))
    kept: dict[str, Values] = st.session_state.setdefault("address: kept", {})
    written: dict[str, Values] = st.session_state.setdefault("address: written", {})
    address = tuple(st.query_params.get_all(name))
    if address != written.get(name, ()):  # a link or the back button
        asked = () if address == NOTHING else address or default
        asked = asked if fits(asked) else default
    elif name not in st.session_state:
        asked = kept.get(name, default)
    else:
        asked = kept.get(name, default)
        current = st.session_state[name]
        if fits(_as_values(current)):
            return
    if not fits(asked):
        some = tuple(value for value in asked if keep is not None and keep(value))
        asked = some if some and fits(some) else default
    st.session_state[name] = inside(asked)


def _write(name: str, value: Values, default: Values) -> None:
    """Notes the control's value in the address and for other pages."""
    st.session_state.setdefault("address: kept", {})[name] = value
    written: dict[str, Values] = st.session_state.setdefault("address: written", {})
    target = () if value == default else value or NOTHING
    if tuple(st.query_params.get_all(name)) != target:
        if target:
            st.query_params[name] = list(target)
        else:
            st.query_params.pop(name, None)
    written[name] = target


def _as_values(current: object) -> Values:
    if isinstance(current, bool):
        return ("1" if current else "0",)
    if isinstance(current, list | tuple):
        return tuple(str(value) for value in current)
    if isinstance(current, float):
        return (f"{current:g}",)
    return () if current is None else (str(current),)
