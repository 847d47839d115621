# SPDX-License-Identifier: BSL-1.0
"""Finds the mutants of a C++ file, and writes the file with all of them in it.

Each mutant is a place in the text and what stands there instead. All are compiled at once, and
HF_MUTANT(n) tells whether the n-th is the one that is tried: `a < b` becomes
`(HF_MUTANT(7) ? (a <= b) : (a < b))`.
"""
import re
import sys
from dataclasses import dataclass

sys.path.append("/usr/lib/python3/dist-packages")  # where Debian puts it, whichever python3 runs
from clang import cindex
from clang.cindex import CursorKind as K

cindex.Config.set_library_file("/usr/lib/llvm-19/lib/libclang.so")

RELATIONAL = {"<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"),
              "==": ("!=",), "!=": ("==",)}
ARITHMETIC = {"+": ("-",), "-": ("+",), "*": ("/",), "/": ("*",), "%": ("*",),
              "+=": ("-=",), "-=": ("+=",), "*=": ("/=",), "/=": ("*=",), "%=": ("*=",)}
LOGICAL = {"&&": ("||",), "||": ("&&",)}
BINARY = RELATIONAL | ARITHMETIC | LOGICAL
STEP = {"++": "--", "--": "++"}
NUMBER = re.compile(r"(0[xX][\da-fA-F']+|[\d']+)([uUlLzZ]*|h|min|s|ms|us|ns)")
ORDER = re.compile(r"(?:std::)?memory_order(?:_|::)(acquire|release|acq_rel|seq_cst)")
ATOMIC = {"load", "store", "exchange", "compare_exchange_weak", "compare_exchange_strong",
          "fetch_add", "fetch_sub", "fetch_or", "fetch_and", "fetch_xor", "test_and_set"}

FUNCTIONS = {K.FUNCTION_DECL, K.CXX_METHOD, K.CONSTRUCTOR, K.DESTRUCTOR, K.CONVERSION_FUNCTION,
             K.FUNCTION_TEMPLATE}
CLASSES = {K.CLASS_DECL, K.STRUCT_DECL, K.CLASS_TEMPLATE, K.CLASS_TEMPLATE_PARTIAL_SPECIALIZATION}
VARIABLES = {K.VAR_DECL, K.FIELD_DECL, K.PARM_DECL}
# What has to be known when the program is compiled.
SKIPPED = {K.STATIC_ASSERT, K.ENUM_DECL, K.TYPE_ALIAS_DECL, K.TYPEDEF_DECL, K.DECL_REF_EXPR,
           K.TEMPLATE_TYPE_PARAMETER, K.TEMPLATE_NON_TYPE_PARAMETER, K.CONCEPT_DECL}
# What has statements as its children.
BODIES = {K.COMPOUND_STMT, K.CASE_STMT, K.DEFAULT_STMT, K.IF_STMT, K.FOR_STMT, K.WHILE_STMT,
          K.CXX_FOR_RANGE_STMT, K.DO_STMT}

CHOICE = "(HF_MUTANT(%d) ? ({}) : (%s))"
REMOVED = "(HF_MUTANT(%d) ? void() : void(%s))"
NEGATED = "(HF_MUTANT(%d) != static_cast<bool>(%s))"


@dataclass
class Mutant:
    start: int
    end: int
    name: str    # the function, the text, what becomes of it
    order: bool  # a weakened memory order
    text: str    # with the number for "%d", and the original for "%s"
    number: int = 0
    path: str = ""


def short(text, most=80):
    text = " ".join(text.split())
    half = most // 2 - 1
    return text if len(text) <= most else f"{text[:half]}..{text[-half:]}"


def choice(changed):
    return CHOICE.format(changed.replace("%", "%%"))


class Finder:
    """Goes through the syntax tree of one file."""

    def __init__(self, path, arguments):
        self.source = open(path, "rb").read()
        options = cindex.TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD
        unit = cindex.Index.create().parse(path, ["-xc++", *arguments], options=options)
        errors = [str(d) for d in unit.diagnostics if d.severity >= cindex.Diagnostic.Error]
        if errors:
            raise ValueError("\n".join(errors))
        self.mutants = {}
        self.conditions = []
        top = [c for c in unit.cursor.get_children()
               if c.location.file and c.location.file.name == path]
        self.macros = [self.span(c) for c in top if c.kind == K.MACRO_INSTANTIATION]
        for c in top:
            self.visit(c, [], "")
        for c, where in self.conditions:
            self.negate(c, where)

    def span(self, c):
        return c.extent.start.offset, c.extent.end.offset

    def slice(self, start, end):
        return self.source[start:end].decode()

    def text(self, c):
        return self.slice(*self.span(c))

    def following(self, c):
        """The first character after it."""
        return self.source[self.span(c)[1]:].lstrip()[:1].decode()

    def visit(self, c, above, where):
        if c.kind in SKIPPED:
            return
        if c.kind in FUNCTIONS:
            owner = c.semantic_parent
            where = f"{owner.spelling}::{c.spelling}" if owner.kind in CLASSES else c.spelling
        elif c.kind in CLASSES:
            where = c.spelling
        self.mutate(c, above, where)
        for child in self.children(c):
            self.visit(child, above + [c], where)

    def children(self, c):
        """The children in which mutants may be."""
        children = list(c.get_children())
        if c.kind in FUNCTIONS:
            if "consteval" in self.slice(self.span(c)[0], c.location.offset):
                return []
            # No `noexcept(...)`; but what a constructor initialises its members with.
            return [d for d in children if c.kind == K.CONSTRUCTOR or
                    d.kind in (K.COMPOUND_STMT, K.PARM_DECL)]
        if c.kind in VARIABLES:
            start, name = self.span(c)[0], c.location.offset
            if "constexpr" in self.slice(start, name) or c.is_bitfield():
                return []
            # No array bounds, no arguments of templates.
            return [d for d in children if self.span(d)[0] > name and
                    not self.source[:self.span(d)[0]].rstrip().endswith(b"[")]
        if c.kind == K.CASE_STMT:
            return children[1:]
        if self.is_constexpr(c):
            return [d for d in children if self.following(d) != ")"]
        return children

    def is_constexpr(self, c):
        return c.kind == K.IF_STMT and self.text(c).startswith("if constexpr")

    def mutate(self, c, above, where):
        """Notes the mutants of this node itself."""
        children = list(c.get_children())
        text = self.text(c)
        if c.kind in (K.BINARY_OPERATOR, K.COMPOUND_ASSIGNMENT_OPERATOR):
            self.binary(c, children[0], children[-1], where)
        elif c.kind == K.CALL_EXPR and c.spelling.startswith("operator") and len(children) == 3:
            self.binary(c, children[0], children[2], where)
        elif c.kind == K.UNARY_OPERATOR:
            self.unary(c, text, where)
        elif c.kind in (K.INTEGER_LITERAL, K.CALL_EXPR) and NUMBER.fullmatch(text):
            around = next((a for a in reversed(above) if len(self.text(a)) > len(text) + 2), c)
            self.number(c, text, self.text(around), above, where)
        elif (c.kind == K.CALL_EXPR and c.spelling in ATOMIC and
              children[0].kind == K.MEMBER_REF_EXPR):
            self.atomic(c, text, where)
        elif c.kind == K.RETURN_STMT and children and self.in_void_function(above):
            self.add(children[0], where, text, "removed", REMOVED)
        elif c.kind == K.CONDITIONAL_OPERATOR:
            self.conditions.append((children[0], where))
        elif c.kind in (K.IF_STMT, K.WHILE_STMT, K.DO_STMT) and not self.is_constexpr(c):
            closed = [d for d in children if self.following(d) == ")"]
            self.conditions += [(d, where) for d in closed[:1]]
        if c.kind in BODIES:
            for d in children[-1:] if c.kind == K.FOR_STMT else children:
                self.statement(d, where)

    def add(self, c, where, what, change, text, order=False):
        start, end = self.span(c)
        if start < end and not any(a < end and start < b for a, b in self.macros):
            name = f"{where}: {short(what)}: {change}"
            self.mutants.setdefault((start, end, text), Mutant(start, end, name, order, text))

    def operator(self, left, right):
        between = self.slice(self.span(left)[1], self.span(right)[0])
        return re.sub(r"//[^\n]*|/\*.*?\*/|[\s()]", "", between, flags=re.S)

    def binary(self, c, left, right, where):
        (start, end), (_, before), (after, _) = self.span(c), self.span(left), self.span(right)
        operator = self.operator(left, right)
        for other in BINARY.get(operator, ()):
            between = self.slice(before, after).replace(operator, other, 1)
            changed = self.slice(start, before) + between + self.slice(after, end)
            self.add(c, where, self.text(c), f"{operator} becomes {other}", choice(changed))

    def unary(self, c, text, where):
        for operator, other in STEP.items():
            if text.startswith(operator):
                self.add(c, where, text, f"{operator} becomes {other}", choice(other + text[2:]))
            elif text.endswith(operator):
                self.add(c, where, text, f"{operator} becomes {other}", choice(text[:-2] + other))
        if re.match(r"!(?!=)", text):
            self.add(c, where, text, "negated", NEGATED)

    def number(self, c, text, around, above, where):
        digits, suffix = NUMBER.fullmatch(text).groups()
        value = int(digits.replace("'", ""), 16 if digits[:2] in ("0x", "0X") else 10)
        if value == 0 and any(a.kind == K.FIELD_DECL for a in above[-3:]):
            return  # what a member begins with for order's sake, before its constructor
        for other in [1] if value == 0 else [value - 1, value + 1]:
            changed = f"{other}{suffix}"
            self.add(c, where, around, f"{text} becomes {changed}", choice(changed))

    def atomic(self, c, text, where):
        arguments = list(c.get_arguments())
        for a in arguments:
            if order := ORDER.fullmatch(self.text(a)):
                self.add(a, where, text, f"{order[1]} becomes relaxed",
                         choice("std::memory_order_relaxed"), order=True)
        if "memory_order" not in text and text.endswith(")"):
            comma = "" if text.endswith("()") else ", "
            self.add(c, where, text, "seq_cst becomes relaxed",
                     choice(f"{text[:-1]}{comma}std::memory_order_relaxed)"), order=True)

    def in_void_function(self, above):
        function = next(a for a in reversed(above) if a.kind in FUNCTIONS | {K.LAMBDA_EXPR})
        return function.result_type.spelling == "void"

    def statement(self, c, where):
        """A call or an assignment that stands for itself is removed."""
        whole = c
        while c.kind == K.UNEXPOSED_EXPR and len(inner := list(c.get_children())) == 1:
            c = inner[0]
        children = list(c.get_children())
        assigns = c.kind == K.BINARY_OPERATOR and self.operator(children[0], children[1]) == "="
        if self.following(whole) == ";" and (
                assigns or c.kind in (K.CALL_EXPR, K.COMPOUND_ASSIGNMENT_OPERATOR)):
            self.add(whole, where, self.text(whole), "removed", REMOVED)

    def negate(self, c, where):
        """Negates a condition, unless another mutant does just that."""
        done = any(m.text == NEGATED or m.name.split()[-1] in RELATIONAL
                   for key, m in self.mutants.items() if key[:2] == self.span(c))
        if c.kind.is_expression() and not done:
            self.add(c, where, self.text(c), "negated", NEGATED)


def find(path, arguments):
    """The mutants of a file, each with a name that no other of the file has."""
    found = sorted(Finder(path, arguments).mutants.values(), key=lambda m: (m.start, -m.end))
    seen = {}
    for m in found:
        seen[m.name] = seen.get(m.name, 0) + 1
        if seen[m.name] > 1:
            m.name += f" #{seen[m.name]}"
    return found


def write(source, mutants):
    """The text with all these mutants, each between marks that tell where an error belongs."""
    def render(start, end, inside):
        text, at = "", start
        while inside:
            # The widest that begins first, and all that lie within it.
            a = inside[0].start
            b = max(m.end for m in inside if m.start == a)
            same = [m for m in inside if (m.start, m.end) == (a, b)]
            within = [m for m in inside if m.start < b and m not in same]
            inside = [m for m in inside if m.start >= b]
            inner = render(a, b, within)
            for m in sorted(same, key=lambda m: m.text == REMOVED):  # what has no value, outermost
                inner = f"/*{m.number}<*/{m.text % (m.number, inner)}/*>{m.number}*/"
            text += source[at:a].decode() + inner
            at = b
        return text + source[at:end].decode()
    return render(0, len(source), sorted(mutants, key=lambda m: (m.start, -m.end))).encode()


def at(text, line, column):
    """The number of the innermost mutant at a place of a text by `write`, or None."""
    lines = text.split(b"\n")
    offset = sum(len(l) + 1 for l in lines[:line - 1]) + column - 1
    open_marks = []
    for mark in re.finditer(rb"/\*(?:(\d+)<|>(\d+))\*/", text):
        if mark.start() > offset:
            break
        if mark[1]:
            open_marks.append(int(mark[1]))
        else:
            open_marks.pop()
    return open_marks[-1] if open_marks else None
