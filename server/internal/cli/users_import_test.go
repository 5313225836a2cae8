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

// A quotation mark or a bracket that is not closed makes the rest of a file one record. The import gives up before that record
// takes the memory, after the records before it. What is not part of the accounts may be long.
func TestARecordWithoutAnEnd(t *testing.T) {
	t.Parallel()
	const damaged = "it has more than 16 MiB; a quotation mark or a bracket is probably not closed"
	long := func(text string) string { return strings.Repeat(text, 20<<20/len(text)) }
	for name, c := range map[string]struct{ text, want, wantErr string }{
		"quote.csv":    {"username,email\nann,\nbob,\"" + long("0123456789\n"), "ann", "line 2: the record after it cannot be read: " + damaged},
		"header.csv":   {"username,\"" + long("0123456789\n"), "", "line 1: the header cannot be read: " + damaged},
		"text.json":    {"{\"users\": [\n{\"username\": \"ann\"},\n{\"username\": \"" + long("0123456789"), "ann", damaged},
		"list.json":    {"[\n{\"username\": \"ann\"},\n[" + long("1,\n"), "ann", damaged},
		"name.json":    {"{\"" + long("0123456789") + "\": 1, \"users\": []}", "", damaged},
		"members.json": {"{\"groups\": [" + long("{\"a\": [1]},\n") + "{}], \"users\": [{\"username\": \"ann\"}]}", "ann", ""},
	} {
		in := &importFile{Reader: bufio.NewReaderSize(strings.NewReader(c.text), 1<<16), Closer: io.NopCloser(nil)}
		var names []string
		err := (&userImportCommand{File: name, Format: name[strings.LastIndexByte(name, '.')+1:]}).read(in, mappings["sesame"], func(r record) error {
			names = append(names, r.user.Username)
			return nil
		})
		if got := strings.Join(names, " "); got != c.want || (err == nil) != (c.wantErr == "") || err != nil && !strings.Contains(err.Error(), c.wantErr) {
			t.Errorf("%s: read %q, %v; want %q, %q", name, got, err, c.want, c.wantErr)
		}
	}
}

// The command that converts a file is there to be copied, whatever the name of the file contains.
func TestTheCommandThatConvertsAFileIsQuoted(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                 "iconv -f UTF-16 -t UTF-8",
		"a/users.csv":      "iconv -f UTF-16 -t UTF-8 a/users.csv >a/users.utf8.csv",
		"my users.csv":     "iconv -f UTF-16 -t UTF-8 'my users.csv' >'my users.utf8.csv'",
		"a;touch it's.csv": `iconv -f UTF-16 -t UTF-8 'a;touch it'\''s.csv' >'a;touch it'\''s.utf8.csv'`,
		"-x.csv":           "iconv -f UTF-16 -t UTF-8 ./-x.csv >./-x.utf8.csv",
	} {
		if got := converted(name, "UTF-16"); got != want {
			t.Errorf("%q: %s; want %s", name, got, want)
		}
	}
}
