package apitest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const backupGuide = "../../docs/guides/backup.md"

// guideBlocks are the blocks of a guide's section.
func guideBlocks(t *testing.T, guide, section string, count int) (blocks []block) {
	t.Helper()
	for _, b := range readBlocks(t, guide) {
		if b.section == section {
			blocks = append(blocks, b)
		}
	}
	if len(blocks) != count {
		t.Fatalf("%s has %d blocks below %s, want %d", guide, len(blocks), section, count)
	}
	return blocks
}

// The commands of the guide, as they are written there: a backup while the server runs, the restore, and the drill.
func TestTheGuideToBackups(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	folder := t.TempDir()
	databaseURL, ownKey := "sqlite:"+filepath.Join(folder, "sesame.db"), "SESAME_MASTER_KEY="
	s := spawn(t, databaseURL, metered, ownKey)
	s.register(t, "ann")
	r := newReader(t, s, ownKey)
	r.folder = folder
	drill := t.TempDir()
	r.address = strings.NewReplacer("/var/backups/sesame", filepath.Join(folder, "copies"), "/tmp/drill", drill, "/safe/sesame.key", filepath.Join(folder, "sesame.db.key"),
		"SESAME_LISTEN=127.0.0.1:9999 sesame serve", "SESAME_LISTEN="+strings.TrimPrefix(s.url, "http://")+" exec sesame serve")
	if err := os.Mkdir(filepath.Join(folder, "copies"), 0o700); err != nil {
		t.Fatal(err)
	}
	blocks := guideBlocks(t, backupGuide, "SQLite", 3)
	r.follow(t, blocks[0])
	r.follow(t, blocks[1])
	if copies := files(t, filepath.Join(folder, "copies")); len(copies) != 1 {
		t.Errorf("the copies are %v", copies)
	}
	s.register(t, "late")
	s.stop()
	r.follow(t, blocks[2])
	s = spawn(t, databaseURL, ownKey)
	s.do(t, passwordGrant("ann", horse)).want(200)
	s.do(t, passwordGrant("late", horse)).want(400) // not in the backup
	s.stop()

	copyFile(t, filepath.Join(folder, "sesame-backup.db"), filepath.Join(drill, "sesame.db"))
	c := exec.Command("sh", "-euc", r.address.Replace(guideBlocks(t, backupGuide, "Test the backup", 1)[0].text))
	c.Dir, c.Env = folder, r.env
	output := newLines()
	c.Stdout = output
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	s.url = output.find(readyLine)
	if s.url == "" {
		t.Error("the server of the drill did not start")
	} else {
		s.do(t, passwordGrant("ann", horse)).want(200)
	}
	if err := errors.Join(c.Process.Signal(os.Interrupt), c.Wait()); err != nil {
		t.Error(err)
	}
	output.Close()
}

func TestTheGuideToBackupsOfPostgres(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	for _, tool := range []string{"pg_dump", "pg_restore"} {
		if _, err := exec.LookPath(tool); err != nil && os.Getenv("SESAME_TEST_REQUIRE_ALL") != "1" {
			t.Skip(err)
		}
	}
	const inGuide = "postgres://sesame@db.example:5432/sesame"
	s := spawn(t, postgresURL(t), metered)
	s.register(t, "ann")
	r, blocks, target := newReader(t, s), guideBlocks(t, backupGuide, "PostgreSQL", 2), emptyPostgresURL(t)
	r.address = strings.NewReplacer(inGuide, s.dbURL)
	r.follow(t, blocks[0])
	s.register(t, "late")
	s.stop()
	r.address = strings.NewReplacer(inGuide, target)
	r.follow(t, blocks[1])
	s = spawn(t, target)
	s.do(t, passwordGrant("ann", horse)).want(200)
	s.do(t, passwordGrant("late", horse)).want(400)
}
