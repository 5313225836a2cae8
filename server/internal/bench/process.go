package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second
)

// program is a running server.
type program struct {
	address string // host and port
	cmd     *exec.Cmd
	logFile string
	exited  chan struct{} // closed when it has ended
}

// launch starts a program with this environment and no other, so that no SESAME_* or GOGC of the
// caller's changes what is measured. What it prints goes to a file, as in production.
func launch(cmd *exec.Cmd, logFile string, environment ...string) (*program, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open a log: %w", err)
	}
	defer log.Close()
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(logFile)}, environment...)
	cmd.Stderr = log
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	p := &program{cmd: cmd, logFile: logFile, exited: make(chan struct{})}
	go func() {
		cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// launchChild starts this very program as one of those to compare with.
func launchChild(dir string, args ...string) (*program, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer reader.Close()
	cmd := exec.Command(self, args...)
	cmd.Stdout = writer
	p, err := launch(cmd, filepath.Join(dir, args[0]+".log"))
	writer.Close()
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("%s did not say where it listens: %w", args[0], err)
	}
	p.address = strings.TrimSpace(line)
	return p, nil
}

// launchServer starts Sesame with everything that is on by default. It does not wait.
func (b *built) launchServer(name, databaseURL string, environment ...string) (*program, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := launch(exec.Command(b.binary, "serve"), filepath.Join(b.dir, name+".log"), append(environment,
		"SESAME_LISTEN="+address,
		"SESAME_DATABASE_URL="+databaseURL,
		"SESAME_MASTER_KEY="+b.masterKey,
		"SESAME_LOG_FORMAT=json",
		// The issuer, which has to stay the same when a server is started again on another port.
		"SESAME_PUBLIC_URL=http://127.0.0.1:8080")...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p.address = address
	return p, nil
}

// startServer starts Sesame and waits until it is ready.
func (b *built) startServer(ctx context.Context, name, databaseURL string, environment ...string) (*program, error) {
	p, err := b.launchServer(name, databaseURL, environment...)
	if err != nil {
		return nil, err
	}
	if err := p.waitFor(ctx, "/readyz", ""); err != nil {
		p.stop()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// waitFor repeats a GET until its answer is 200.
func (p *program) waitFor(ctx context.Context, path, token string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		_, err := expect(200, p.address, get(path, p.address, token))
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("it ended at start:\n%s", p.log())
		case <-ctx.Done():
			return fmt.Errorf("GET %s: %w (%w)\n%s", path, err, ctx.Err(), p.log())
		case <-time.After(200 * time.Microsecond):
		}
	}
}

// stop asks the program to end, and makes it.
func (p *program) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
		p.cmd.Process.Kill()
		<-p.exited
	}
}

// memory returns a figure of /proc/PID/status in bytes: VmRSS, what is resident now, or VmHWM, the
// most that ever was.
func (p *program) memory(field string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read a program's memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/PID/status has no %s", field)
}

// log returns the end of what the program printed, for an error message.
func (p *program) log() string {
	content, err := os.ReadFile(p.logFile)
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-2000):])
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
