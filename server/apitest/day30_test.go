package apitest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sesame/gen/api"
	"sesame/server/internal/store"
)

const day30 = "../../docs/guides/day-30.md"

// block is a block of a guide, with the heading of its section and the line above it.
type block struct{ section, above, language, text string }

var fence = regexp.MustCompile("(?ms)^([^\n]*)\n\n```(sh|sql)\n(.*?)^```$")

func readBlocks(t *testing.T, guide string) (blocks []block) {
	t.Helper()
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq(string(text), "\n## ") {
		section, _, _ := strings.Cut(part, "\n")
		for _, match := range fence.FindAllStringSubmatch(part, -1) {
			blocks = append(blocks, block{section, match[1], match[2], match[3]})
		}
	}
	return blocks
}

// reader is somebody who follows the guide at a shell of the machine. Variables that a block sets are there in the next ones.
type reader struct {
	s       *server
	folder  string
	env     []string
	address *strings.Replacer // of the guide by that of the server
}

func newReader(t *testing.T, s *server, settings ...string) *reader {
	t.Helper()
	folder := t.TempDir()
	program := "#!/bin/sh\nexec '" + os.Args[0] + "' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(folder, "sesame"), []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	own := []string{"PATH=" + folder + ":" + os.Getenv("PATH"), "SESAME_LISTEN=" + strings.TrimPrefix(s.url, "http://")}
	return &reader{
		s: s, folder: folder, env: slices.Concat(process(t, s.dbURL).Env, own, settings),
		address: strings.NewReplacer("http://127.0.0.1:8080", s.url, "http://127.0.0.1:9464", s.metricsURL(t)),
	}
}

// follow runs the block and returns what it prints.
func (r *reader) follow(t *testing.T, b block) string {
	t.Helper()
	t.Helper()
	_, onSQLite := store.SQLitePath(r.s.dbURL)
	if strings.Contains(b.above, "On SQLite, ") && !onSQLite || strings.Contains(b.above, "on PostgreSQL:") && onSQLite || b.above == "On SQLite:" && !onSQLite {
		return ""
	}
	if b.language == "sql" {
		if strings.HasPrefix(b.text, "SELECT") {
			return r.s.value(t, "SELECT 'rows: ' || count(*) FROM ("+strings.TrimRight(b.text, ";\n")+") AS t")
		}
		r.s.sql(t, b.text)
		return ""
	}
	script := "set -a\n[ ! -e state ] || . ./state\n" + r.address.Replace(b.text) + "\nexport -p >state\n"
	c := exec.Command("sh", "-euc", script)
	c.Dir, c.Env = r.folder, r.env
	output, err := c.CombinedOutput()
	if err != nil || strings.Contains(string(output), `"status":`) { // a problem over HTTP
		t.Fatalf("%s: %v\n%s\n%s", b.section, err, b.text, output)
	}
	return string(output)
}

// TestDay30 follows docs/guides/day-30.md from top to bottom, and checks after a section what the guide says about it.
func TestDay30(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil && os.Getenv("SESAME_TEST_REQUIRE_ALL") != "1" {
		t.Skip("the commands of the guide need curl")
	}
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			followDay30(t, spawn(t, databaseURL(t), metered))
		})
	}
}

func followDay30(t *testing.T, s *server) {
	target := emptySQLiteURL(t) // the move to another database works in either direction
	if url, ok := emptyEngines["postgres"]; ok && strings.HasPrefix(s.dbURL, "sqlite:") {
		target = url(t)
	}
	s.must(t, horse, "user", "create", "root", "--scope", "users:read", "--scope", "users:write", "--scope", "events:read")
	ann, bea := s.register(t, "ann"), s.newcomer(t, "bea")
	client := s.makeClient(t, "billing", "--scope", "users:read")
	s.do(t, passwordGrant("ann", "not a horse")).want(400)

	r, printed, sections := newReader(t, s, "PASSWORD="+horse, "NEW_DATABASE_URL="+target), "", ""
	blocks := readBlocks(t, day30)
	for i, b := range blocks {
		printed += r.follow(t, b)
		if i+1 == len(blocks) || blocks[i+1].section != b.section {
			check := day30Checks[b.section]
			if check == nil {
				t.Fatalf("no check for the section %q", b.section)
			}
			check(t, day30Run{s, printed, ann, bea, client, target})
			printed, sections = "", sections+b.section+"\n"
		}
	}
	for section := range day30Checks {
		if !strings.Contains(sections, section+"\n") {
			t.Errorf("the guide has no section %q with commands", section)
		}
	}
}

// day30Run is a server during the guide, and what the commands of a section printed.
type day30Run struct {
	*server
	printed string
	ann     api.User
	bea     api.Token
	client  serviceClient
	target  string
}

func (d day30Run) prints(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(d.printed, text) {
			t.Errorf("the commands print no %q, but:\n%s", text, d.printed)
		}
	}
}
