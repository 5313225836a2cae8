package password

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"sesame/server/internal/network"
)

// vector is a hash that another library made; testdata/README.md says how.
type vector struct {
	Maker, Case, Password, Hash, Refused string
}

func vectors(t testing.TB) (all []vector) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err = json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// P8: hashes of passlib, Django, bcrypt, argon2-cffi, Werkzeug, @phc/pbkdf2, firebase-scrypt, and Node verify, and no near miss does.
func TestHashesOfOtherLibraries(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: hashes with the costs of other libraries")
	}
	h := hasher(t, Argon2id)
	verified := 0
	for _, v := range vectors(t) {
		if v.Refused != "" {
			continue
		}
		ours := !strings.Contains(v.Password, "\x00")                                // refused, whatever others take
		if strings.HasPrefix(v.Hash, "$2") || strings.HasPrefix(v.Hash, "bcrypt$") { // P4: those took any tail
			ours = ours && len(v.Password) <= bcryptBytes
		}
		ok, outdated, err := h.Verify(t.Context(), network.Network{}, v.Hash, v.Password)
		if ok != ours || outdated != ours || err != nil {
			t.Errorf("%s, %s: %t %t %v, want %t", v.Maker, v.Case, ok, outdated, err, ours)
		}
		verified++
		if v.Case != "ASCII" {
			continue
		}
		for _, wrong := range []string{"", v.Password + " ", v.Password + "\x00", strings.ToUpper(v.Password)} {
			if ok, _, err := h.Verify(t.Context(), network.Network{}, v.Hash, wrong); ok || err != nil {
				t.Errorf("%s, %s: %q verifies: %v", v.Maker, v.Case, wrong, err)
			}
		}
	}
	if verified < 200 {
		t.Errorf("only %d hashes were verified", verified)
	}
}

// P3: the spelling that the other library saw does not matter; NFC and NFD both log in.
func TestHashesOfEitherSpellingVerifyBoth(t *testing.T) {
	h := hasher(t, Argon2id)
	spellings := map[string]string{}
	for _, v := range vectors(t) {
		if strings.HasPrefix(v.Case, "Unicode in ") {
			spellings[v.Case] = v.Password
		}
	}
	if len(spellings) != 2 {
		t.Fatalf("the spellings are %q", spellings)
	}
	for _, v := range vectors(t) {
		if spellings[v.Case] == "" {
			continue
		}
		for spelling, typed := range spellings {
			if ok, outdated, err := h.Verify(t.Context(), network.Network{}, v.Hash, typed); !ok || !outdated || err != nil {
				t.Errorf("%s, made of %s, typed %s: %t %t %v", v.Maker, v.Case, spelling, ok, outdated, err)
			}
		}
	}
}

// FuzzParseHash holds what parse makes of any text against the ceilings, and verifies what is cheap.
func FuzzParseHash(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Hash)
	}
	for _, seed := range []string{
		"", "$", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$$", "argon2$argon2id$v=19$m=8,t=1,p=1$$", "$2a$31$" + strings.Repeat(".", 53),
		"$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=$$", "scrypt:2:1:1$$", "pbkdf2:sha256:1$$", "$pbkdf2-sha256$i=1,l=32$$",
		"$scrypt$ln=31,r=1,p=1$$", "scrypt$2$$1$1$", "$pbkdf2-sha256$4294967295$$", "pbkdf2_sha256$1$$", "bcrypt$$2b$", "bcrypt_sha256$$2b$",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, stored string) {
		cheap := false
		known, err := parse(stored)
		if err != nil {
			if reason := err.Error(); len(stored) > 20 && strings.Contains(reason, stored) {
				t.Errorf("the error repeats the hash: %s", reason)
			}
			return
		}
		switch h := known.(type) {
		case argon2Hash:
			if h.memory > maxMemory || uint64(h.memory)*uint64(h.time) > maxWork || h.time < 1 || h.time > maxPasses || h.threads < 1 || h.threads > maxThreads {
				t.Errorf("argon2 may ask for %+v", h.argon2Params)
			}
			cheap = uint64(h.memory)*uint64(h.time) <= 1<<12
		case scryptHash:
			if h.n < 2 || h.r < 1 || h.p < 1 || h.r > maxScryptBlock || h.p > maxScryptLanes || 128*h.n*h.r*h.p > maxScrypt {
				t.Errorf("scrypt may ask for N=%d, r=%d, p=%d", h.n, h.r, h.p)
			}
			cheap = 128*h.n*h.r*h.p <= 1<<20
		case firebaseHash:
			if len(h.signerKey) != len(h.sum) || 128*h.n*h.r*h.p > maxScrypt {
				t.Errorf("Firebase's scrypt may ask for N=%d, r=%d, p=%d with a key of %d bytes", h.n, h.r, h.p, len(h.signerKey))
			}
			cheap = 128*h.n*h.r*h.p <= 1<<20
		case pbkdf2Hash:
			if h.rounds < 1 || h.rounds > maxSHA256Rounds {
				t.Errorf("PBKDF2 may ask for %d rounds", h.rounds)
			}
			cheap = h.rounds <= 10_000
		case bcryptHash:
			cheap = strings.Contains(string(h), "$04$")
		case bcryptSHA256Hash:
			cheap = strings.Contains(string(h), "$04$")
		}
		if cheap && known.verify("no password of any seed") {
			t.Errorf("%q matches", stored)
		}
	})
}
