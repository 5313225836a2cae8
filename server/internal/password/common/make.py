"""Makes common.txt from Django's list. README.md says how to run it."""

import gzip
import pathlib
import unicodedata

import django.contrib.auth

MIN_LENGTH = 8  # the least that SESAME_PASSWORD_MIN_LENGTH may be

source = pathlib.Path(django.contrib.auth.__file__).with_name("common-passwords.txt.gz")
folded = {unicodedata.normalize("NFC", line.casefold()) for line in gzip.open(source, "rt").read().splitlines()}
kept = sorted((word for word in folded if len(word) >= MIN_LENGTH), key=str.encode)
pathlib.Path("common.txt").write_text("\n".join(kept) + "\n")
print(len(kept), "of", len(folded))
