"""`picante heat`: what the gateway makes of what people say, and the training of what helps it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import msgspec

from heat.errors import ConfigError, DataError, PicanteError
from heat.language import Said, parse
from heat.lexicon import default_finder
from heat.scale import WordTable, default_words, parse_words
from picante.errors import exit_with_hint

LONGEST_LINE = 4_096
"""Characters of a line on standard input; no more of it is ever held."""


@click.group()
def heat() -> None:
    """What people say of heat, and what is made of it."""


@heat.command()
@click.argument("text", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--words", type=click.Path(path_type=Path), help="The brand's heat words (JSON); else those that ship.")
def say(text: tuple[str, ...], as_json: bool, words: Path | None) -> None:
    """Show what the gateway would make of TEXT, or of each line on standard input.

    \b
    Example:
      picante heat say "not too spicy please" --json
    """
    try:
        judge = _judge(_words(words))
    except PicanteError as error:
        exit_with_hint(error, 2)
    for line in [" ".join(text)] if text else _lines():
        click.echo(_json(judge(line)) if as_json else _plain(line, judge(line)))


@heat.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Directory to write heat_text.* into.")
@click.option("--sentences", type=click.Path(path_type=Path), help="CSV: text, about_heat, wish; else what ships.")
def train(out: Path, sentences: Path | None) -> None:
    """Train the classifier of what the lexicon has no word for; the same sentences give the same weights.

    \b
    Example:
      picante heat train --out models/data
    """
    try:
        click.echo(f"{_train(out, sentences)} sentences: the weights are in {out}", err=True)
    except PicanteError as error:
        exit_with_hint(error, 2)


def _train(out: Path, sentences: Path | None) -> int:
    if importlib.util.find_spec("onnx") is None:
        raise ConfigError("training needs onnx", hint="Install it with: pip install 'picante[train]'")
    from models import heat_text, train_heat_text

    examples = train_heat_text.read_sentences(sentences or heat_text.data() / "heat_sentences.csv")
    try:
        train_heat_text.save(out, train_heat_text.train(examples))
    except OSError as error:
        raise ConfigError(f"{out}: {error.strerror}", hint="Give a directory that can be written") from error
    return len(examples)


def _judge(words: WordTable) -> Callable[[str], Said]:
    from models.heat_text import classifier  # NumPy, which `picante --help` should not wait for

    finder, classify = default_finder(), classifier()
    return lambda line: parse(line, finder, words, classify)


def _words(path: Path | None) -> WordTable:
    if path is None:
        return default_words()
    try:
        return parse_words(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror}", hint="Give the path of the words") from error


def _lines() -> Iterator[str]:
    with click.open_file("-", encoding="utf-8", errors="replace") as stream:
        line = ""
        while piece := stream.readline(LONGEST_LINE):
            line = line or piece  # of a longer line the rest is passed by
            if piece.endswith("\n"):
                yield line.removesuffix("\n")
                line = ""
        if line:
            yield line


def _json(said: Said) -> str:
    heat = said.heat
    named = {
        "about_heat": said.about_heat,
        "wish": said.wish,
        "heat_shu": heat.shu if heat else None,
        "heat_milli_octaves": heat.milli_octaves if heat else None,
        "sd_milli_octaves": heat.sd_milli_octaves if heat else None,
        "table": heat.table if heat else None,
        "asked": said.asked,
    }
    return msgspec.json.encode(named).decode()


def _plain(line: str, said: Said) -> str:
    printable = "".join(char if char.isprintable() else " " for char in line)
    if not said.about_heat:
        return f"{printable}\n  not about heat"
    told = {"more": "hotter, please", "right": "just right", "less": "milder, please", "none": "no wish"}[said.wish]
    if said.heat is None:
        return f"{printable}\n  about heat; {told}"
    factor = 2 ** (said.heat.sd_milli_octaves / 1000)
    named = "wants" if said.asked else "speaks of"
    return f"{printable}\n  about heat; {told}; {named} {said.heat.shu:,} SHU, give or take a factor of {factor:.1f}"
