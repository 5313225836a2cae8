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
func startProcess(dir string, cmd *exec.Cmd) (*process, error) {
	// A file and not a pipe: Wait would wait for every backend that holds the pipe's other end.
	log, err := os.Create(logFile(dir))
	if err != nil {
		return nil, fmt.Errorf("create the server's log: %w", err)
	}
	defer log.Close()
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

// makeDir makes a directory that the account owns and can reach. A TMPDIR inside a private home
// directory is one that it cannot reach, and a long one does not fit in a socket's address.
func makeDir(account account) (string, error) {
	parent := os.TempDir()
	if !account.reaches(parent) || len(parent) > 50 {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "sesame-postgres-")
	if err != nil {
		return "", fmt.Errorf("make a directory for PostgreSQL: %w", err)
	}
	return dir, account.own(dir)
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
