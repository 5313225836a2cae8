package postgrestest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const stopTimeout = 15 * time.Second

// process is a running private server and the directory that everything of it is in.
type process struct {
	dir    string
	cmd    *exec.Cmd
	exited chan struct{} // closed when the postmaster has ended
	once   sync.Once
	err    error
}

// startProcess runs the server. Where the system can, the server ends when this program does,
// however that happens.
func startProcess(dir string, log *os.File, cmd *exec.Cmd) (*process, error) {
	// A file and not a pipe: Wait would wait for every backend that holds the pipe's other end.
	cmd.Stdout, cmd.Stderr = log, log
	p := &process{dir: dir, cmd: cmd, exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel sends the parent-death signal when the thread that forked ends, not the process.
		// Holding on to that thread until the server has ended makes the two the same.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
			close(p.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return p, nil
}

// stop ends the server without a last checkpoint, for nobody will read the data, and removes it.
func (p *process) stop() error {
	p.once.Do(func() {
		p.cmd.Process.Signal(syscall.SIGQUIT)
		select {
		case <-p.exited:
		case <-time.After(stopTimeout):
			p.cmd.Process.Kill()
			<-p.exited
		}
		if err := os.RemoveAll(p.dir); err != nil {
			p.err = fmt.Errorf("remove the test server's data: %w", err)
		}
	})
	return p.err
}

// log returns what the server has said, for an error message.
func (p *process) log() []byte {
	content, err := os.ReadFile(logFile(p.dir))
	if err != nil {
		return []byte(err.Error())
	}
	return content
}

func logFile(dir string) string { return filepath.Join(dir, "log") }

// findPrograms returns the directory of initdb and postgres: that of PATH, else the newest that
// Debian's packages have installed, which PATH does not name.
func findPrograms() (string, error) {
	candidates := []string{}
	if initdb, err := exec.LookPath("initdb"); err == nil {
		candidates = append(candidates, filepath.Dir(initdb))
	}
	const versions = "/usr/lib/postgresql"
	entries, _ := os.ReadDir(versions) // absent on most systems
	newest := 0
	for _, entry := range entries {
		if version, err := strconv.Atoi(entry.Name()); err == nil {
			newest = max(newest, version)
		}
	}
	candidates = append(candidates, filepath.Join(versions, strconv.Itoa(newest), "bin"))
	for _, dir := range candidates {
		if isFile(filepath.Join(dir, "initdb")) && isFile(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", ErrNotInstalled
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// makeDir makes a directory that the account owns and can reach, and the server's log in it. A TMPDIR
// inside a private home directory is one that it cannot reach, and a long one does not fit in a
// socket's address.
//
// The log is locked, and stays so until everybody who has it open has ended: this program and the
// server. A directory whose log is not locked was left by a test that was killed, and is removed.
func makeDir(account account) (dir string, log *os.File, err error) {
	parent := os.TempDir()
	if !account.reaches(parent) || len(parent) > 50 {
		parent = "/tmp"
	}
	removeAbandoned(parent)
	dir, err = os.MkdirTemp(parent, dirPrefix)
	if err != nil {
		return "", nil, fmt.Errorf("make a directory for PostgreSQL: %w", err)
	}
	if log, err = os.Create(logFile(dir)); err == nil {
		lock(log)
		err = account.own(dir)
	}
	if err != nil {
		os.RemoveAll(dir)
		return "", nil, fmt.Errorf("make a directory for PostgreSQL: %w", err)
	}
	return dir, log, nil
}

const dirPrefix = "sesame-postgres-"

// removeAbandoned is a courtesy to the disk; what it cannot remove, it leaves.
func removeAbandoned(parent string) {
	dirs, _ := filepath.Glob(filepath.Join(parent, dirPrefix+"*"))
	for _, dir := range dirs {
		log, err := os.Open(logFile(dir))
		if err != nil {
			continue // somebody else's, or not a directory of ours
		}
		// Younger than a minute, it may be just about to be locked.
		if info, err := log.Stat(); err == nil && time.Since(info.ModTime()) > time.Minute && lock(log) {
			os.RemoveAll(dir)
		}
		log.Close()
	}
}

// command builds a command that runs as the account, in dir, and knows nothing of our environment:
// PGDATA, PGPORT and their like would change what it does.
func (a account) command(ctx context.Context, dir, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = a.attributes()
	return cmd
}
