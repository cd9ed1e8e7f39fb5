# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The small changes that can be made to a C file, one at a time. The source is read as tokens, not
parsed: what clang-format's layout says (a binary operator has a space on each side) decides the rest,
and what does not compile is dropped later."""
import bisect
import collections
import hashlib
import re

# edits: [(start, end, new text)] in the file's text; old, new: the lines around; what: for people.
Mutation = collections.namedtuple("Mutation", "file line function in_function what old new edits id")
Token = collections.namedtuple("Token", "kind text start end")

TOKEN = re.compile(r"""
    (?P<skip>\s+|//[^\n]*|/\*.*?\*/|(?m:^)[ ]*\#(?:\\\n|[^\n])*)
  | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
  | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<mark><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)
""", re.X | re.S)

BINARY = {
    "<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"), "==": ("!=",),
    "!=": ("==",), "&&": ("||",), "||": ("&&",), "+": ("-",), "-": ("+",), "*": ("/",), "/": ("*",),
    "%": ("/",), "&": ("|",), "|": ("&",), "^": ("|",), "<<": (">>",), ">>": ("<<",),
    "+=": ("-=", "="), "-=": ("+=",), "|=": ("&=", "="), "&=": ("|=", "="), "^=": ("|=",),
    "<<=": (">>=",), ">>=": ("<<=",), "*=": ("/=",), "/=": ("*=",), "%=": ("/=",),
}
ASSIGNMENTS = {"=", "+=", "-=", "|=", "&=", "^=", "<<=", ">>=", "*=", "/=", "%="}
STEPS = {"++": "--", "--": "++"}
TYPE_WORDS = {"struct", "union", "enum", "const", "static", "unsigned", "signed", "int", "char",
              "long", "short", "bool", "void", "volatile", "extern", "double", "float", "typedef",
              "_Thread_local", "_Atomic", "register", "inline"}
CONTROL = {"if", "while", "for", "switch", "return", "sizeof", "do", "else", "case", "default",
           "goto", "break", "continue", "_Static_assert", "static_assert", "_Alignof", "offsetof"}
# Where the first three ask only for equality, as nearly everywhere; the others multiply.
SYMMETRIC = {"strcmp", "strncmp", "memcmp", "calloc", "reallocarray"}
UNCHECKED = {"assert", "static_assert", "_Static_assert"}  # they check, and do nothing


def tokens_of(text):
    found = []
    for match in TOKEN.finditer(text):
        if match.lastgroup != "skip":
            found.append(Token(match.lastgroup, match.group(), match.start(), match.end()))
    return found


class Source:
    """A file as tokens, with the partner of each bracket and the function around each token."""

    def __init__(self, name, text):
        self.name, self.text = name, text
        self.tokens = tokens_of(text)
        self.lines = [0] + [m.end() for m in re.finditer("\n", text)]
        self.partner = {}
        self.around = [None] * len(self.tokens)  # the innermost open bracket
        stack = []
        for i, token in enumerate(self.tokens):
            if token.kind == "mark" and token.text in ")]}" and stack:
                self.partner[stack[-1]] = i
                self.partner[i] = stack.pop()
            self.around[i] = stack[-1] if stack else None
            if token.kind == "mark" and token.text in "([{":
                stack.append(i)
        self.blocks = list(self._blocks())

    def _blocks(self):
        """(first token, last token, name, is a function) of the bodies and initializers."""
        i, start = 0, 0
        while i < len(self.tokens):
            text = self.tokens[i].text
            if text == "{":
                end = self.partner.get(i, len(self.tokens) - 1)
                head = self.tokens[start:i]
                words = [t.text for t in head]
                if words and words[-1] == ")":
                    opening = self.partner[i - 1]
                    name = opening - 2 if self.tokens[opening - 1].text == ")" else opening - 1
                    yield i, end, self.tokens[name].text, True  # of (name)(...), too
                elif "=" in words:
                    names = [t.text for t in head[:words.index("=")] if t.kind == "word"]
                    yield i, end, names[-1] if names else "", False
                elif words[:1] == ["enum"]:
                    yield i, end, words[1] if len(words) > 1 else "enum", False
                start = end + 1
                i = end
            elif text == ";":
                start = i + 1
            i += 1

    def line_of(self, offset):
        return bisect.bisect_right(self.lines, offset)

    def is_spaced(self, i):
        token = self.tokens[i]
        return self.text[token.start - 1].isspace() and self.text[token.end].isspace()

    def follows_value(self, i):
        """Whether an operator at i is a binary one, as far as the token before it tells."""
        before = self.tokens[i - 1]
        return (before.kind in ("number", "string") or before.text in (")", "]") or
                before.kind == "word" and before.text not in ("return", "case"))

    def is_hint(self, i):
        """What is expected changes how fast the program is."""
        around = self.around[i]
        return (around is not None and self.partner.get(around) == i + 1 and
                self.tokens[around - 1].text == "__builtin_expect")

    def is_unchecked(self, i):
        if self.is_hint(i):
            return True
        while (i := self.around[i]) is not None:
            if self.tokens[i].text == "(" and self.tokens[i - 1].text in UNCHECKED:
                return True
        return False


def number_changes(text):
    match = re.fullmatch(r"(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)", text)
    if not match:
        return
    digits, suffix = match.groups()
    base = 16 if digits[:2].lower() == "0x" else 8 if digits[0] == "0" and len(digits) > 1 else 10
    try:
        value = int(digits, base)
    except ValueError:
        return
    for changed in (value + 1, value - 1):
        if changed >= 0:
            form = f"0x{changed:x}" if base == 16 else f"0{changed:o}" if base == 8 else str(changed)
            yield form + suffix


def is_no_descriptor(source, i):
    """The 1 of `fd = -1`, which says that there is none, as -2 would."""
    before = [token.text for token in source.tokens[max(0, i - 3):i]]
    return before[1:] == ["=", "-"] and re.search(r"(^|_)fd$", before[0]) is not None


def is_array_size(source, i):
    """The number of a declaration's `[number]`: another size shows nowhere but in memory."""
    opening = source.around[i]
    if opening is None or source.tokens[opening].text != "[" or source.partner[opening] != opening + 2:
        return False
    name, kind = source.tokens[opening - 1], source.tokens[opening - 2]
    if kind.text == ",":  # `char a[1], b[2];`, not `f(a, b[2])`
        start = opening
        while source.tokens[start - 1].text not in ("{", "}", ";", "("):
            start -= 1
        return source.tokens[start - 1].text != "(" and is_declaration(source, start)
    return name.kind == "word" and (kind.text == "*" and not source.is_spaced(opening - 2) or
                                    kind.kind == "word" and kind.text not in CONTROL)


def token_edits(source, i, in_function):
    """What can be put in place of one token."""
    token = source.tokens[i]
    if token.kind == "number" and not is_array_size(source, i):
        texts = list(number_changes(token.text))
        if source.tokens[i - 1].text == "-" and source.tokens[i - 2].text == "return":
            texts = texts[1:]  # -1 says only that it failed, as -2 would
        if source.tokens[i - 1].text == "(" and source.tokens[i - 2].text == "calloc":
            texts = texts[1:]  # more room than is used shows nowhere
        if is_no_descriptor(source, i):
            texts = texts[1:]
        for text in texts:
            yield "number", [(token.start, token.end, text)]
    elif token.text in ("true", "false"):
        text = "false" if token.text == "true" else "true"
        yield "truth value", [(token.start, token.end, text)]
    elif token.kind != "mark" or not in_function and token.text not in ("|", "<<", "+", "-"):
        return
    elif token.text in STEPS:
        yield "operator", [(token.start, token.end, STEPS[token.text])]
    elif token.text in BINARY and source.is_spaced(i) and source.follows_value(i):
        for text in BINARY[token.text]:
            yield "operator", [(token.start, token.end, text)]
    elif token.text in ("!", "~", "-") and not source.is_spaced(i):
        yield "operator dropped", [(token.start, token.end, "")]
    elif token.text == "?":
        yield from swapped_branches(source, i)


def end_of_branch(source, i, marks):
    """The token behind the expression from token i on, which is one of `marks` or closes a bracket."""
    nested = 0
    while True:
        text = source.tokens[i].text
        if source.tokens[i].kind == "mark":
            if text in "([{":
                i = source.partner[i]
            elif text == "?":
                nested += 1
            elif text == ":" and nested:
                nested -= 1
            elif text in marks or text in ")]}":
                return i
        i += 1


def swapped_branches(source, i):
    middle = end_of_branch(source, i + 1, ":")
    end = end_of_branch(source, middle + 1, ";,:")
    first = (source.tokens[i + 1].start, source.tokens[middle - 1].end)
    second = (source.tokens[middle + 1].start, source.tokens[end - 1].end)
    yield "branches swapped", swapped(source, first, second)


def swapped(source, first, second):
    return [(*first, source.text[slice(*second)]), (*second, source.text[slice(*first)])]


def call_edits(source, i):
    """Neighbouring arguments of the call whose bracket opens at token i, swapped."""
    before = source.tokens[i - 1]
    if before.kind != "word" or before.text in CONTROL | TYPE_WORDS | SYMMETRIC:
        return
    arguments, start, j = [], i + 1, i + 1
    while j <= source.partner[i]:
        text = source.tokens[j].text if source.tokens[j].kind == "mark" else ""
        if text and text in "([{":
            j = source.partner[j]
        elif text == "," or j == source.partner[i]:
            if j > start:
                arguments.append((source.tokens[start].start, source.tokens[j - 1].end))
            start = j + 1
        j += 1
    for first, second in zip(arguments, arguments[1:]):
        if source.text[slice(*first)] != source.text[slice(*second)]:
            yield "arguments swapped", swapped(source, first, second)


def condition_edits(source, i):
    if source.tokens[i].text in ("if", "while") and source.tokens[i + 1].text == "(":
        start, end = source.tokens[i + 1].start, source.tokens[source.partner[i + 1]].end
        yield "condition negated", [(start, start, "(!"), (end, end, ")")]


def designated_edits(source, i):
    """`.name = value` in an initializer, without its value."""
    if source.tokens[i].text == "." and source.tokens[i - 1].text in ("{", ",") and \
            source.tokens[i + 2].text == "=" and source.tokens[i + 3].text != "{":
        end = end_of_branch(source, i + 3, ",")
        span = (source.tokens[i + 3].start, source.tokens[end - 1].end)
        if source.text[slice(*span)] not in ("0", "NULL", "false"):
            yield "initializer dropped", [(*span, "0")]


def statements(source, first, last):
    """(first token, its semicolon) of each simple statement of a function."""
    i = first + 1
    start = i
    while i < last:
        text = source.tokens[i].text if source.tokens[i].kind in ("mark", "word") else ""
        if text in ("{", "}", ";") or text == ":" and (
                i == start + 1 or source.tokens[start].text in ("case", "default")):
            if text == ";" and i > start:
                yield start, i
            start = i + 1
        elif text in ("if", "while", "for", "switch") and source.tokens[i + 1].text == "(":
            i = source.partner[i + 1]
            start = i + 1
        elif text in ("else", "do"):
            start = i + 1
        elif text in ("(", "["):
            i = source.partner[i]
        elif text == "=" and source.tokens[i + 1].text == "{":
            i = source.partner[i + 1]
        i += 1


def is_declaration(source, start):
    first, second, third = source.tokens[start:start + 3]
    return (first.text in TYPE_WORDS or first.kind == "word" and
            (second.kind == "word" or second.text == "*" and third.kind == "word" and
             not source.is_spaced(start + 1)))


def statement_edits(source, start, end, last):
    """A statement left out; a value replaced by 0 where something is returned."""
    first = source.tokens[start]
    whole = (first.start, source.tokens[end].start)
    at_end = end + 1 == last
    if first.text in ("break", "continue", "goto") or first.text == "return" and not at_end:
        yield f"{first.text} dropped", [(*whole, "")]
    if first.text == "return" and end > start + 1:
        value = (source.tokens[start + 1].start, source.tokens[end - 1].end)
        if source.tokens[start + 1].kind != "number" and source.text[slice(*value)] not in (
                "true", "false", "NULL"):
            yield "0 returned", [(*value, "0")]
    elif first.text not in CONTROL and not is_declaration(source, start):
        yield "statement dropped", [(*whole, "")]


def raw_edits(source):
    """(function, whether it is one, what, edits) in the order of the file."""
    for first, last, name, in_function in source.blocks:
        for i in range(first + 1, last):
            if not source.is_unchecked(i):
                for what, edits in edits_at(source, i, in_function):
                    yield name, in_function, what, edits
        for start, end in statements(source, first, last) if in_function else ():
            if source.tokens[start].text not in UNCHECKED:
                for what, edits in statement_edits(source, start, end, last):
                    yield name, in_function, what, edits


def edits_at(source, i, in_function):
    yield from token_edits(source, i, in_function)
    if in_function:
        yield from condition_edits(source, i)
        yield from designated_edits(source, i)
        if source.tokens[i].text == "(" and source.tokens[i - 1].text not in UNCHECKED:
            yield from call_edits(source, i)


def apply(text, edits):
    """The file with a change made. What a change takes away keeps its line breaks, so that the lines
    behind it stay where they are."""
    lost = 0
    for i, (start, end, new) in enumerate(sorted(edits, reverse=True)):
        lost += text.count("\n", start, end) - new.count("\n")
        text = text[:start] + new + text[end:]
        if i == 0:
            last = start + len(new) - len(text)  # from the end, where nothing changes any more
    return text[:last] + "\n" * lost + text[last:] if lost > 0 else text


def squeezed(text):
    return " ".join(text.split())


def shown(source, edits):
    """The lines that a change touches, before and after."""
    start, end = min(e[0] for e in edits), max(e[1] for e in edits)
    first = source.text.rfind("\n", 0, start) + 1
    last = source.text.find("\n", max(start, end - 1))
    mutated = apply(source.text, edits)
    return source.text[first:last], mutated[first:last + len(mutated) - len(source.text)].rstrip("\n")


def mutations(name, text):
    """All mutations of a file, each once. The id is made of the lines that are changed, the function,
    and how many equal ones stand before it there, so that it outlives moves of lines."""
    source = Source(name, text)
    seen = collections.Counter()
    for function, in_function, what, edits in raw_edits(source):
        old, new = shown(source, edits)
        key = (name, function, squeezed(old), squeezed(new))
        seen[key] += 1
        digest = hashlib.sha256("\0".join((*key, str(seen[key]))).encode()).hexdigest()
        yield Mutation(name, source.line_of(min(e[0] for e in edits)), function, in_function, what,
                       old, new, edits, digest[:8])
