"""Makes confusables.txt from the Unicode Consortium's file. README.md says how to run it."""

import collections
import pathlib
import re
import sys
import unicodedata

prototypes = {}  # of characters, as code points


def add(look_alike, prototype):
    # Without its marks, as names are compared: ł is l with a stroke.
    plain = "".join(c for c in unicodedata.normalize("NFD", prototype) if not unicodedata.category(c).startswith("M"))
    if not (plain.isascii() and plain.replace("!", "l").isalnum()):  # an exclamation mark is read as l or i
        return
    if look_alike.isascii() or unicodedata.category(look_alike).startswith("M"):
        return
    if unicodedata.normalize("NFKD", look_alike) == look_alike:  # else it is normalised before the table is looked at
        prototypes[ord(look_alike)] = plain


# Letters whose name says what they look like, and which the file leaves out: ᴀ, ɗ, ɛ. Where it has them, it knows better.
named = re.compile(r"LATIN (?:LETTER SMALL CAPITAL|SMALL LETTER(?: [A-Z]+)?) ([A-Z])(?: WITH .*)?")
add("ð", "d")
for code in range(0x80, sys.maxunicode):
    if match := named.fullmatch(unicodedata.name(chr(code), "")):
        add(chr(code), match[1].lower())

for line in pathlib.Path(sys.argv[1]).read_text("utf-8-sig").splitlines():
    fields = line.partition("#")[0].split(";")
    if len(fields) >= 3 and len(fields[0].split()) == 1:
        add(*("".join(chr(int(code, 16)) for code in field.split()) for field in fields[:2]))

lines = collections.defaultdict(str)
for code, prototype in sorted(prototypes.items()):
    lines[prototype] += f" {code:X}"
text = "".join(f"{prototype}{codes}\n" for prototype, codes in sorted(lines.items()))
pathlib.Path(__file__).with_name("confusables.txt").write_text(text)
