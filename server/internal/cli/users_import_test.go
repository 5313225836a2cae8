package cli

import (
	"bufio"
	"io"
	"strings"
	"testing"
)

// FuzzImportedFile: whatever a file contains, its lines are numbered in order, and no message repeats a hash.
func FuzzImportedFile(f *testing.F) {
	const hash = "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ0123"
	for _, seed := range []string{
		"", "username\nann\n", "username;password_hash\nann;" + hash + "\n", hash + ",x\n" + hash + ",y\n", "\"a\nb\",c\n\"" + hash + "\"x,y\n",
		`{"username":"ann","password_hash":"` + hash + `"}`, `{"` + hash + `":1}`, `{"username":{"` + hash + `":1}}`, `[{"username":"ann"},{"` + hash + `"`,
		`{"users":[{"email":"a@b.cd","passwordHash":"` + hash + `","salt":1}]}`, `[{"model":"auth.user","fields":{"password":"` + hash + `"}}]`,
		`{"users":[{"username":"ann","credentials":[{"type":"password","secretData":"` + hash + `"}]}]}`, "u\x00s\x00e\x00r\x00", "\ufeff[5,null,\"" + hash + "\"]",
	} {
		for app := range mappings {
			f.Add(app, "auto", seed)
		}
		f.Add("sesame", "csv", seed)
		f.Add("sesame", "json", seed)
	}
	f.Fuzz(func(t *testing.T, app, format, text string) {
		m, known := mappings[app]
		if !known {
			return
		}
		check := func(line int, message string) {
			if strings.Contains(message, hash[:20]) {
				t.Errorf("line %d: the message repeats a hash: %s", line, message)
			}
		}
		in := &importFile{Reader: bufio.NewReaderSize(strings.NewReader(text), 1<<16), Closer: io.NopCloser(nil)}
		last, end := 1, 1+strings.Count(text, "\n")
		err := (&userImportCommand{File: "-", Format: format}).read(in, m, func(r record) error {
			if r.line < last || r.line > end {
				t.Errorf("line %d follows line %d of %d", r.line, last, end)
			}
			last = r.line
			if r.refusal != nil {
				check(r.line, r.refusal.Error())
			} else if r.user.Username == "" && r.user.Login == "" {
				t.Errorf("line %d is an account without a name: %+v", r.line, r.user)
			}
			return nil
		})
		if err != nil {
			check(0, err.Error())
		}
	})
}

// The parameters of a Firebase project are read as its console shows them, and as JSON.
func TestReadHashConfig(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"hash_config {\n  algorithm: SCRYPT,\n  base64_signer_key: a2V5,\n  base64_salt_separator: Bw==,\n  rounds: 8,\n  mem_cost: 14,\n}\n",
		"{\n\"algorithm\": \"SCRYPT\",\n\"base64_signer_key\": \"a2V5\",\n\"base64_salt_separator\": \"Bw==\",\n\"rounds\": 8,\n\"mem_cost\": 14\n}",
	} {
		p, err := readHashConfig(text)
		if err != nil || string(p.SignerKey) != "key" || string(p.SaltSeparator) != "\a" || p.Rounds != 8 || p.MemCost != 14 {
			t.Errorf("%+v %v", p, err)
		}
	}
	_, err := readHashConfig("algorithm: SCRYPT\nrounds: 99\nbase64_signer_key: !secret!")
	for _, want := range []string{"base64_signer_key is missing", "rounds is missing or not", "mem_cost is missing"} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
