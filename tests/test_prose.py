# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The prose: docstrings, messages and pages, in plain words and short sentences.

A table of words can only find what is always wrong; whether a page reads well, people decide.

    python tests/test_prose.py                           # findings of all files
    python tests/test_prose.py --pending README.md docs  # of some, the pending ones as well
    python tests/test_prose.py --pending --count         # how many in each file
"""

import ast
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Files, or patterns of files, that were written before this test. A file that has been mended is
# taken off; nothing is added.
PENDING = []

LONGEST = 25  # words in a sentence

# What is looked for, and the better word; a match with something in the group "fine" passes.
WORDS = [
    (r"likeliest|likelier|commonest|commoner|oftenest", "most likely, more common"),
    (r"(?<!at )least(?!([ -]|ed )squares?\b|_| likely\b)", "minimum, smallest, lowest"),
    (r"(?P<fine>not\b[^.;:]*)?but for", "except for"),
    (r"at hand", "available"),
    (r"by (?:itself|themselves)", "automatically, alone"),
    (r"farther", "further"),
    (r"the rest|rest of", "the others, the remaining ..."),
    (r"be it|for want of|as it were|lean on|may have said", "plain words"),
    (r"(?:into|in|of) so many", "the number of"),
    (r", else", "; otherwise"),
    (r", for (?=(?:they|it|there|these|those|this)\b)", "because"),
    (r"(?<!there )(?:is|are|was|were|be) no(?! (?:longer|more|less)\b)", "is not a"),
    (r"None(?::| =)(?= )", "If None, ..."),
    (r"(?-i:Of)(?! course)", "repeat the noun"),
    (r"(?-i:Else)", "Otherwise"),
]
# Only people say, tell, know, see and look.
_PERSON = (
    r"(?:you|we|I|who|users?|readers?|authors?|persons?|people|microscopists?|one|"
    r"(?:some|any|no)body)"
)
SPEAKS = [
    r"(?:says|tells|knows|sees|looks)",
    r"(?:is|are|be|been|was|were|being) told",
    r"(?:does|do|did) not (?:say|tell|know|see)",
]
# A summary begins with a verb or a noun. These are neither.
NOT_A_BEGINNING = set(
    "what how which whether where who whom whose when why while if unless because although as than "
    "of by for with without from to into in on at under over above below between after before "
    "since until and or but not nor so yet it its they their them this that these those there here "
    "is are was were be has have had does did can may might must should would could will also only "
    "just very too then thus hence".split()
)
CLAUSE = r"(?:what|how|which|whether)"

_FLAGS = re.IGNORECASE


def _word(pattern):
    return re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])", _FLAGS)


_WORDS = [(_word(pattern), better) for pattern, better in WORDS]
_SPEAKS = re.compile(rf"(?<![\w-])(?:(?P<fine>{_PERSON}) )?(?:{'|'.join(SPEAKS)})(?![\w-])", _FLAGS)
_CLAUSE = _word(CLAUSE)


# Text without code -----------------------------------------------------------


def blank(text, pattern, flags=0):
    """`text` with what matches replaced by one word of the same length; line breaks are kept."""

    def word(match):
        return "x" + re.sub(r"[^\n]", " ", match[0][1:])

    return re.sub(pattern, word, text, flags=flags)


def without_code(text):
    """Text without inline code, roles, addresses, references and mathematics."""
    text = blank(text, r"``.+?``", re.DOTALL)
    text = blank(text, r"(?::[\w:+-]+:)`[^`]+`(?:__?)?")
    text = blank(text, r"`[^`]+`(?:__?)?")
    text = blank(text, r"https?://[^\s>)]+")
    text = blank(text, r"\|\w+\|_?")
    return re.sub(r"\*{1,2}(?=\S)|(?<=\S)\*{1,2}", "", text)


def rst_lines(lines):
    """Lines of reStructuredText; those of code, comments, directives and headings made empty."""
    kept, hidden, table = [], None, False
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        after = lines[number + 1] if number + 1 < len(lines) else ""
        border = bool(re.match(r"\s*=+( +=+)+\s*$", line))
        if border or table:
            table = bool(after.strip()) if border else True
            kept.append("")
            continue
        if hidden is not None and (not line.strip() or indent > hidden):
            kept.append("")
            continue
        hidden = None
        directive = re.match(r"\s*\.\. (?:\|[^|]+\| )?([\w:-]+)::", line)
        if directive:
            prose = directive[1] in ("note", "warning", "tip", "important", "admonition", "seealso")
            hidden = None if prose or directive[1] == "list-table" else indent
            kept.append("")
        elif re.match(r"\s*\.\.( |$)", line):  # a comment, a target
            hidden = indent
            kept.append("")
        elif re.match(r"\s*(>>>|\.\.\. )", line):
            hidden = indent - 1
            kept.append("")
        elif re.match(r"\s*([=\-~^\"#*+])\1{2,}$", line):  # under a heading
            kept.append("")
        elif re.match(r"([=\-~^\"#*+])\1{2,}$", after) and line.strip():
            kept.append("")
        elif re.match(r"\s*:[\w -]+:( |$)", line):  # an option of a directive
            kept.append("")
        else:
            if line.rstrip().endswith("::"):
                hidden = indent
                line = line.rstrip()[:-1]
            kept.append(line)
    return kept


def markdown_lines(lines):
    """Lines of Markdown; those of code, tables, headings and pictures made empty."""
    kept, fenced = [], False
    for line in lines:
        fence = line.lstrip().startswith("```")
        fenced ^= fence
        dropped = fence or fenced or re.match(r"\s*(#|\||!\[|<!--|---)", line)
        line = re.sub(r"\]\([^)]*\)", "]", re.sub(r"^\s*>", " ", line))
        kept.append("" if dropped else line)
    return kept


def paragraphs(lines):
    """Yield (number of the first line, text): blocks of one indentation, items of lists apart."""
    block, start, indent = [], 0, None

    def item(line):
        """Indentation of the text, and the line without the mark of a list."""
        mark = re.match(r"\s*(?:\* - |[*-] |\(?\d+[.)] |#\. )+", line)
        text = line[mark.end() :] if mark else line.lstrip()
        return len(line) - len(text), text, bool(mark)

    for number, line in enumerate([*lines, ""]):
        here, text, begins = item(line)
        if block and (not text.strip() or begins or here != indent):
            yield start, "\n".join(block)
            block = []
        if text.strip():
            if not block:
                start, indent = number, here
            block.append(text)


def sentences(text):
    """Yield (offset, sentence)."""
    shortened = r"\b(e\.g|i\.e|al|etc|Fig|Eq|cf|vs|approx|No|Dr)\."
    text = re.sub(shortened, lambda match: match[0].replace(".", " "), text)
    start = 0
    for end in re.finditer(r"[.!?][\"')]*(?=\s+[A-Z\"'(\[]|\s+x\b|\s*$)", text):
        yield start, text[start : end.end()]
        start = end.end()
    if text[start:].strip():
        yield start, text[start:]


# Findings --------------------------------------------------------------------


def worded(text):
    """Yield (offset, complaint) of words in prose without code."""
    text = text.replace("\n", " ")
    for pattern, better in _WORDS:
        for match in pattern.finditer(text):
            if not match.groupdict().get("fine"):
                yield match.start(), f"'{match[0].strip(' ,')}': {better}"
    for match in _SPEAKS.finditer(text):
        if not match["fine"]:
            yield match.start(), f"'{match[0]}': only people do"


def measured(text):
    """Yield (offset, complaint) of sentences that are too long or have two colons."""
    for offset, sentence in sentences(text):
        offset += len(sentence) - len(sentence.lstrip())
        n_words = len(re.findall(r"[^\s]*\w[^\s]*", sentence))
        if n_words > LONGEST:
            yield offset, f"a sentence of {n_words} words: {LONGEST} at most"
        if len(re.findall(r":(?=\s)", sentence)) > 1:
            yield offset, "a sentence with two colons"


def of_summary(text):
    """Yield (offset, complaint) of the first paragraph of a docstring."""
    first = re.match(r"[\W_]*([\w'-]*)", text)[1]
    if first.lower() in NOT_A_BEGINNING:
        yield 0, f"the summary begins with '{first}': a verb or a noun"
    for match in _CLAUSE.finditer(text.replace("\n", " ")):
        if match.start() > 0:
            yield match.start(), f"'{match[0]}' in a summary: a noun of the field"
    yield from measured(text)


def of_page(lines, first_line=1):
    """Yield (line, complaint) of lines of prose."""
    clean = without_code("\n".join(lines)).split("\n")
    for start, text in paragraphs(clean):
        for offset, complaint in [*worded(text), *measured(text)]:
            yield first_line + start + text.count("\n", 0, offset), complaint


def of_docstring(text, first_line):
    """Yield (line, complaint) of a docstring."""
    lines = without_code("\n".join(rst_lines(text.split("\n")))).split("\n")
    for number, (start, paragraph) in enumerate(paragraphs(lines)):
        found = [*worded(paragraph), *(of_summary(paragraph) if number == 0 else ())]
        for offset, complaint in found:
            yield first_line + start + paragraph.count("\n", 0, offset), complaint


def messages(tree):
    """Yield nodes of texts that are raised, logged, warned of, or shown as help."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield from node.exc.args
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if re.search(r"warnings\.warn$|logg(?:er|ing)\.\w+$", name):
                yield from node.args
            for keyword in node.keywords:
                if keyword.arg in ("help", "description", "epilog"):
                    yield keyword.value


def text_of(node):
    """The text of a literal, values in it as a word; None of what is not a text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "x" for part in node.values)
    return None


def of_module(source):
    """Yield (line, complaint) of docstrings and messages of a module."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, kinds) and ast.get_docstring(node):
            text = ast.get_docstring(node, clean=True)
            yield from of_docstring(text, node.body[0].lineno)
    for node in messages(tree):
        for complaint in {complaint for _, complaint in worded(without_code(text_of(node) or ""))}:
            yield node.lineno, complaint


def of_script(source):
    """Yield (line, complaint) of a script of the gallery: its docstring and its blocks of text."""
    lines, text = source.split("\n"), []
    inside = quoted = False
    for line in lines:
        if line.startswith('"""'):
            quoted = not quoted
            text.append("")
        elif quoted:
            text.append(line)
        else:
            inside = (inside or line.startswith("# %%")) and line.startswith("#")
            text.append(re.sub(r"^# ?(%%.*)?", "", line) if inside else "")
    yield from of_page(rst_lines(text))


def findings(path):
    """Sorted (line, complaint) of a file."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        script = "examples" in path.parts
        return sorted((of_script if script else of_module)(source))
    clean = markdown_lines if path.suffix == ".md" else rst_lines
    return sorted(of_page(clean(source.split("\n"))))


def files():
    """Paths of all files with prose."""
    generated = {"_build", "auto_examples", "generated"}
    found = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.rst"),
        *(ROOT / "docs" / "examples").glob("*.py"),
        *(ROOT / "hs_rvae").rglob("*.py"),
    ]
    return sorted(path for path in found if not generated & set(path.relative_to(ROOT).parts))


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def pending(path):
    return any(path.relative_to(ROOT).match(pattern) for pattern in PENDING)


# Tests -----------------------------------------------------------------------

in_a_checkout = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").exists(), reason="needs the source tree"
)


@in_a_checkout
def test_docstrings_messages_and_pages_are_in_plain_words():
    found = [
        f"{name_of(path)}:{line}: {complaint}"
        for path in files()
        if not pending(path)
        for line, complaint in findings(path)
    ]
    assert found == [], "\n".join(found)


@in_a_checkout
def test_what_is_mended_is_taken_off_the_list():
    mended = []
    for pattern in PENDING:
        meant = [path for path in files() if path.relative_to(ROOT).match(pattern)]
        if meant and not any(map(findings, meant)):
            mended.append(pattern)
    assert mended == []


def of_source(docstring="Fit it.", body="pass"):
    return [text for _, text in of_module(f'def f():\n    """{docstring}"""\n    {body}\n')]


@pytest.mark.parametrize(
    "docstring",
    [
        "How far angles follow directions.",
        "From an image to its columns.",
        "Columns of which some are faint.",
        "The likeliest angle.",
        "Fit it.\n\n    Exact but for the edge.",
        "Fit it.\n\n    The model knows the size.",
        "Fit it.\n\n    The rVAE is told the number of wells.",
        "Fit it.\n\n    Least height, in px.",
        "Fit it.\n\n    None: as in the image.",
        "Fit it.\n\n    Of the film.",
        "Fit it.\n\n    It is no window size.",
        "Fit " + 25 * "very " + "well.",
        "Fit it: once: twice.",
    ],
)
def test_a_docstring_that_is_not_plain_is_found(docstring):
    assert len(of_source(docstring)) == 1


@pytest.mark.parametrize(
    "docstring",
    [
        "Positions of the sites.",
        "Do the work.",
        "Fit it.\n\n    At least two, by least squares, as the user knows. Of course.",
        "Fit it.\n\n    There is no limit, and it is no longer slow.",
        "Fit it.\n\n    Not for A but for B.",
        "Fit it.\n\n    ``is no window`` and `likeliest`.\n\n    >>> farther\n    'but for'",
        "Fit it.\n\n    " + 40 * "very " + "well.",  # only summaries are measured
    ],
)
def test_a_plain_docstring_passes(docstring):
    assert of_source(docstring) == []


@pytest.mark.parametrize(
    "statement",
    [
        "raise ValueError(f'window={w} is no ' 'whole number')",
        "_logger.warning('farther than %s', 3)",
        "warnings.warn('the likeliest start', stacklevel=2)",
        "parser.add_argument('--n', help='the least number')",
    ],
)
def test_a_message_that_is_not_plain_is_found(statement):
    assert len(of_source(body=statement)) == 1
    assert of_source(body="x = 'is no message'") == []


def test_code_tables_and_headings_of_a_page_are_not_prose():
    page = """\
Which is no heading
===================

Short. See :func:`farther` and ``but for``, e.g. there::

    the likeliest

.. code-block:: python

   farther = "at hand"

.. a comment, farther

=====  ==========
at     hand
=====  ==========
least  likeliest
=====  ==========

- An item of a list
- is not a sentence

The end is
farther."""
    found = list(of_page(rst_lines(page.split("\n"))))
    assert found == [(page.count("\n") + 1, "'farther': further")]


def test_sentences_of_a_page_are_counted_one_by_one():
    words = " ".join(["word"] * 24)
    assert list(of_page([f"A {words}. B {words}."])) == []
    assert len(list(of_page([f"A {words}. B {words} (in all, et al. 3)."]))) == 1
    assert (
        len(list(of_page(markdown_lines(["- A", f"- {words} x y", "", "```", words, "```"])))) == 1
    )


if __name__ == "__main__":
    chosen = [Path(argument).resolve() for argument in sys.argv[1:] if argument[:2] != "--"]
    found = [
        (name_of(path), line, complaint)
        for path in files()
        if not chosen or set(chosen) & {path, *path.parents}
        if "--pending" in sys.argv or not pending(path)
        for line, complaint in findings(path)
    ]
    if "--count" in sys.argv:
        for name, count in Counter(name for name, _, _ in found).most_common():
            print(f"{count:5d} {name}")
        print(f"{len(found):5d} in all")
    else:
        for name, line, complaint in found:
            print(f"{name}:{line}: {complaint}")
    sys.exit(bool(found))
