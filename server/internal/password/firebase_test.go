package password

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"sesame/server/internal/network"
)

func decode64(t *testing.T, text string) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The sample that github.com/firebase/scrypt publishes.
func TestFirebasePublishedVector(t *testing.T) {
	project := Firebase{
		SignerKey:     decode64(t, "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=="),
		SaltSeparator: decode64(t, "Bw=="), Rounds: 8, MemCost: 14,
	}
	const sum = "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
	h := hasher(t, Argon2id)
	for _, text := range []string{sum, strings.NewReplacer("+", "-", "/", "_").Replace(sum)} { // the API's alphabet too
		stored := project.Stored("42xEC+ixf3L2lw==", text)
		for typed, right := range map[string]bool{"user1password": true, "user2password": false, "": false} {
			if ok, outdated, err := h.Verify(t.Context(), network.Network{}, stored, typed); ok != right || outdated != right || err != nil {
				t.Errorf("%q: %t %t %v, want %t", typed, ok, outdated, err, right)
			}
		}
	}
	project.SaltSeparator = nil
	if err := CheckStored(project.Stored("42xEC+ixf3L2lw==", sum)); err != nil {
		t.Errorf("without a separator: %v", err)
	}
	// The sum is a ciphertext of the key: a shorter key must not make a shorter comparison.
	project.SignerKey = project.SignerKey[:16]
	if err := CheckStored(project.Stored("42xEC+ixf3L2lw==", sum)); err == nil {
		t.Error("a key shorter than the sum is accepted")
	}
}

// Each reason why a hash is refused says what it is, and the limits hold for every format.
func TestReasonsOfRefusedHashes(t *testing.T) {
	const salt, sum = "c2FsdHNhbHQ", "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE"
	hex := strings.Repeat("ab", 32)
	firebase := func(params, sum string) string {
		return "$fbscrypt$" + params + ",sk=" + sum + "=$" + salt + "=$" + sum + "="
	}
	for stored, want := range map[string]string{
		"$argon2d$v=19$m=65536,t=2,p=1$" + salt + "$" + sum:       "unknown_hash: argon2d",
		"argon2$argon2d$v=19$m=65536,t=2,p=1$" + salt + "$" + sum: "unknown_hash: argon2d",
		"$argon2id$m=65536,t=2,p=1$" + salt + "$" + sum:           "unknown_hash: version 16",
		"$argon2id$v=16$m=65536,t=2,p=1$" + salt + "$" + sum:      "unknown_hash: version 16",
		"$argon2id$v=19$p=1,m=65536,t=2$" + salt + "$" + sum:      "",
		"$argon2i$v=19$t=2,p=1,m=65536$" + salt + "$" + sum:       "",
		"$argon2id$v=19$m=65536,m=65536,p=1$" + salt + "$" + sum:  "damaged_hash",
		"$argon2id$v=19$p=1,m=1048576,t=2$" + salt + "$" + sum:    "expensive_hash",
		"$scrypt$p=1,r=8,ln=14$" + salt + "$" + sum:               "",
		"$scrypt$ln=40,r=8,p=1$" + salt + "$" + sum:               "expensive_hash",
		"$scrypt$ln=14,r=8$" + salt + "$" + sum:                   "damaged_hash",
		"$pbkdf2-sha256$i=600000,l=32$" + salt + "$" + sum:        "",
		"$pbkdf2-sha256$l=32,i=600000$" + salt + "$" + sum:        "",
		"$pbkdf2-sha512$i=210000$" + salt + "$" + sum:             "",
		"$pbkdf2-sha256$i=600000,l=33$" + salt + "$" + sum:        "damaged_hash",
		"$pbkdf2-sha256$i=600000,x=1,l=32$" + salt + "$" + sum:    "damaged_hash",
		"$pbkdf2-sha256$i=4000000000,l=32$" + salt + "$" + sum:    "expensive_hash",
		"$pbkdf2-sha512$i=500001$" + salt + "$" + sum:             "expensive_hash",
		"$pbkdf2$29000$" + salt + "$" + sum:                       "unknown_hash: SHA-1",
		"pbkdf2:sha256:1000000$salt$" + hex:                       "",
		"pbkdf2:sha512:210000$salt$" + hex:                        "",
		"pbkdf2:sha256:3000000$salt$" + hex:                       "expensive_hash",
		"pbkdf2:sha256:1000$salt$" + hex[:20]:                     "damaged_hash",
		"pbkdf2:sha256$salt$" + hex:                               "unknown_hash",
		"pbkdf2:sha1:1000$salt$" + hex:                            "unknown_hash: SHA-1",
		"scrypt:32768:8:1$salt$" + hex + hex:                      "",
		"scrypt:1048576:8:1$salt$" + hex:                          "expensive_hash",
		"scrypt:32768:8$salt$" + hex:                              "damaged_hash",
		"scrypt:32767:8:1$salt$" + hex:                            "damaged_hash",
		"scrypt:32768:8:1$" + strings.Repeat("s", 65) + "$" + hex: "damaged_hash",
		firebase("v=1,n=14,r=8,p=1,ss=Bw==", sum):                 "",
		firebase("v=1,n=14,r=8,p=1", sum):                         "",
		firebase("v=1,n=18,r=8,p=1,ss=Bw==", sum):                 "expensive_hash",
		firebase("v=1,n=99,r=8,p=1,ss=Bw==", sum):                 "expensive_hash",
		firebase("v=1,n=14,r=33,p=1,ss=Bw==", sum):                "expensive_hash",
		firebase("v=2,n=14,r=8,p=1,ss=Bw==", sum):                 "damaged_hash",
		firebase("v=1,n=14,r=8,p=1,x=1", sum):                     "damaged_hash",
		firebase("v=1,n=14,n=14,r=8,p=1", sum):                    "damaged_hash",
		"$6$salt$" + sum:                                          "unknown_hash: SHA-512 crypt",
		"md5$salt$0123456789abcdef":                               "unknown_hash: MD5",
		"0123456789abcdef0123456789abcdef":                        "unknown_hash: unknown scheme",
		"":                                                        "unknown_hash",
		strings.Repeat("x", 600):                                  "damaged_hash",
	} {
		err := CheckStored(stored)
		code, text, _ := strings.Cut(want, ": ")
		known, _ := errors.AsType[*HashError](err)
		switch {
		case want == "":
			if err != nil {
				t.Errorf("%s: %v", stored, err)
			}
		case known == nil || known.Code != code || !strings.Contains(known.Error(), text):
			t.Errorf("%s: %+v, want %s", stored, known, want)
		case len(stored) > 10 && strings.Contains(known.Error(), stored[len(stored)-10:]):
			t.Errorf("the reason repeats the hash: %s", known)
		}
	}
}

// Not every library keeps to the order of parameters: a hash verifies in each.
func TestParametersInAnyOrder(t *testing.T) {
	h := hasher(t, Argon2id)
	tried := 0
	for _, v := range vectors(t) {
		parts := strings.Split(v.Hash, "$")
		if v.Case != "ASCII" || len(parts) < 5 || strings.HasPrefix(v.Hash, "$fbscrypt$") {
			continue
		}
		at := len(parts) - 3
		params := strings.Split(parts[at], ",")
		if len(params) < 2 {
			continue
		}
		for range params {
			params = append(params[1:], params[0])
			parts[at] = strings.Join(params, ",")
			for typed, right := range map[string]bool{v.Password: true, v.Password + "x": false} {
				if ok, _, err := h.Verify(t.Context(), network.Network{}, strings.Join(parts, "$"), typed); ok != right || err != nil {
					t.Errorf("%s, %s: %t %v", v.Maker, parts[at], ok, err)
				}
			}
			tried++
		}
	}
	if tried < 15 {
		t.Errorf("only %d orders were tried", tried)
	}
}
