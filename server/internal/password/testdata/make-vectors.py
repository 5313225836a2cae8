"""Hashes known passwords with the libraries that other services hash with. README.md says how to run it."""

import base64
import hashlib
import json
import os
import unicodedata

import argon2
import bcrypt
import django
import django.conf
import passlib.hash as passlib
import werkzeug.security as werkzeug

django.conf.settings.configure()
django.setup()
from django.contrib.auth import hashers  # noqa: E402

passlib.argon2.set_backend("argon2_cffi")  # by itself it fails in a class that .using() has made

CAFE = "café au lait"
PASSWORDS = {
    "ASCII": "a wooden horse",
    "Unicode in NFC": unicodedata.normalize("NFC", CAFE),
    "Unicode in NFD": unicodedata.normalize("NFD", CAFE),
    "emoji": "👩‍🚀 and a horse",
    "one space": " ",
    "nothing": "",
    "72 bytes": "x" * 72,
    "73 bytes": "x" * 72 + "y",
    "72 bytes in UTF-8": "é" * 36,
    "NUL": "a\0b",
}


def django_hasher(name, **parameters):
    """Django's own hasher class, with parameters that keep the tests quick."""
    cls = type(name, (getattr(hashers, name),), parameters)
    return lambda password: cls().encode(password, "django0salt0of022chars")


def django_bcrypt(name):
    cls = getattr(hashers, name)
    return lambda password: cls().encode(password, bcrypt.gensalt(4))


def raw_bcrypt(prefix):
    return lambda password: bcrypt.hashpw(password.encode(), bcrypt.gensalt(4, prefix)).decode()


def phc(name, params, sum_of):
    """A hash of Python's own hashlib in the PHC string format."""
    def hash_with(password):
        salt = os.urandom(16)
        text = [base64.b64encode(b).decode().rstrip("=") for b in (salt, sum_of(password.encode(), salt))]
        return f"${name}${params}${text[0]}${text[1]}"
    return hash_with


# Cheap parameters for every password; the library's own defaults for one.
MAKERS = {
    "argon2-cffi argon2id": argon2.PasswordHasher(memory_cost=1024, time_cost=1, parallelism=2).hash,
    "argon2-cffi argon2i": argon2.PasswordHasher(memory_cost=1024, time_cost=3, type=argon2.Type.I).hash,
    "passlib argon2id": passlib.argon2.using(memory_cost=1024, time_cost=1, type="ID").hash,
    "passlib argon2i": passlib.argon2.using(memory_cost=1024, time_cost=3, type="I").hash,
    "bcrypt 2a": raw_bcrypt(b"2a"),
    "bcrypt 2b": raw_bcrypt(b"2b"),
    "passlib bcrypt 2a": passlib.bcrypt.using(rounds=4, ident="2a").hash,
    "passlib bcrypt 2b": passlib.bcrypt.using(rounds=4, ident="2b").hash,
    "passlib bcrypt 2y": passlib.bcrypt.using(rounds=4, ident="2y").hash,
    "passlib scrypt": passlib.scrypt.using(rounds=8, block_size=8, parallelism=2).hash,
    "passlib pbkdf2-sha256": passlib.pbkdf2_sha256.using(rounds=1000).hash,
    "passlib pbkdf2-sha512": passlib.pbkdf2_sha512.using(rounds=1000).hash,
    "Werkzeug pbkdf2:sha256": lambda password: werkzeug.generate_password_hash(password, "pbkdf2:sha256:1000"),
    "Werkzeug pbkdf2:sha512": lambda password: werkzeug.generate_password_hash(password, "pbkdf2:sha512:1000"),
    "Werkzeug scrypt": lambda password: werkzeug.generate_password_hash(password, "scrypt:256:8:2"),
    "hashlib PHC pbkdf2-sha256": phc("pbkdf2-sha256", "i=1000,l=32", lambda p, s: hashlib.pbkdf2_hmac("sha256", p, s, 1000, 32)),
    "hashlib PHC scrypt": phc("scrypt", "ln=8,r=8,p=2", lambda p, s: hashlib.scrypt(p, salt=s, n=256, r=8, p=2, dklen=32)),
    "Django pbkdf2_sha256": django_hasher("PBKDF2PasswordHasher", iterations=1000),
    "Django scrypt": django_hasher("ScryptPasswordHasher", work_factor=256, parallelism=2),
    "Django argon2": django_hasher("Argon2PasswordHasher", memory_cost=1024, time_cost=1, parallelism=2),
    "Django bcrypt": django_bcrypt("BCryptPasswordHasher"),
    "Django bcrypt_sha256": django_bcrypt("BCryptSHA256PasswordHasher"),
}
DEFAULTS = {
    "argon2-cffi argon2id": argon2.PasswordHasher().hash,
    "bcrypt 2b": lambda password: bcrypt.hashpw(password.encode(), bcrypt.gensalt()).decode(),
    "passlib argon2id": passlib.argon2.hash,
    "passlib bcrypt 2b": passlib.bcrypt.hash,
    "passlib scrypt": passlib.scrypt.hash,
    "passlib pbkdf2-sha256": passlib.pbkdf2_sha256.hash,
    "passlib pbkdf2-sha512": passlib.pbkdf2_sha512.hash,
    "Werkzeug pbkdf2:sha256": lambda password: werkzeug.generate_password_hash(password, "pbkdf2"),
    "Werkzeug scrypt": werkzeug.generate_password_hash,
    "Django pbkdf2_sha256": hashers.PBKDF2PasswordHasher().encode,
    "Django scrypt": hashers.ScryptPasswordHasher().encode,
    "Django argon2": hashers.Argon2PasswordHasher().encode,
    "Django bcrypt_sha256": hashers.BCryptSHA256PasswordHasher().encode,
}


def vectors():
    for maker, hash_with in MAKERS.items():
        for case, password in PASSWORDS.items():
            try:
                stored = hash_with(password)
            except Exception as refusal:  # bcrypt and NUL
                yield {"maker": maker, "case": case, "password": password, "refused": type(refusal).__name__}
                continue
            yield {"maker": maker, "case": case, "password": password, "hash": stored}
    for maker, hash_with in DEFAULTS.items():
        salt = ["django0salt0of022chars"] if maker.startswith("Django") else []
        if "bcrypt" in maker and salt:
            salt = [bcrypt.gensalt(12)]
        password = PASSWORDS["ASCII"]
        yield {"maker": maker, "case": "its defaults", "password": password, "hash": hash_with(password, *salt)}


print("[\n" + ",\n".join(json.dumps(v) for v in vectors()) + "\n]")
