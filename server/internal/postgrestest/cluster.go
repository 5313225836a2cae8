package postgrestest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Cluster is three machines with etcd and Patroni, which runs PostgreSQL, and HAProxy before them. Each machine is an address
// of the loopback network, so its ports are those of the documentation.
type Cluster struct {
	*shell
	network string // begins the addresses of the machines, as 192.0.2. does in the documentation
	words   map[string]string
	folder  string
}

const machines = 3

// clusterScript starts and kills machines, by their numbers. A machine is killed as by a power cut: all its processes are
// stopped before the first of them dies, so none of them says goodbye.
const clusterScript = `
PATH=$BIN:$PATH:/usr/sbin
children() { grep -lsx "PPid:	$1" /proc/[0-9]*/status | cut -d/ -f3; }
processes() {
	for pid in $(cat "$DIR/$1/etcd.pid" "$DIR/$1/patroni.pid") $(head -qn1 "$DIR/$1/data/postmaster.pid"); do echo $pid; children $pid; done
} 2>/dev/null
start() {
	cd "$DIR/$1"
	env $(grep ^ETCD etcd.env) etcd >>etcd.log 2>&1 &
	echo $! >etcd.pid
	patroni patroni.yml >>patroni.log 2>&1 &
	echo $! >patroni.pid
}
kill_machine() {
	kill -STOP $(processes $1) 2>/dev/null
	kill -KILL $(processes $1) 2>/dev/null
	rm -f "$DIR/$1/etcd.pid" "$DIR/$1/patroni.pid"
}
end() {
	for n in 1 2 3; do
		kill -KILL $(cat "$DIR/$n/patroni.pid" "$DIR/$n/etcd.pid")
		pg_ctl -D "$DIR/$n/data" -m immediate stop
		kill -KILL $(children $(head -n1 "$DIR/$n/data/postmaster.pid"))
	done >/dev/null 2>&1
	kill -KILL $haproxy
	rm -rf "$DIR"
}
trap end EXIT
trap exit HUP INT TERM
haproxy -db -q -f "$DIR/haproxy.cfg" >"$DIR/haproxy.log" 2>&1 &
haproxy=$!
for n in 1 2 3; do start $n; done
echo ready
while read -r order n; do
	case $order in
	start) start $n ;;
	kill) kill_machine $n ;;
	freeze) kill -STOP $(processes $n) 2>/dev/null ;;
	thaw) kill -CONT $(processes $n) 2>/dev/null ;;
	switchover) timeout 60 patronictl -c "$DIR/1/patroni.yml" switchover --leader db$n --force sesame >&2 || { echo failed; continue; } ;;
	esac
	echo done
done
`

// StartCluster starts a cluster with patroni.yml, etcd.env and haproxy.cfg of a folder of the documentation. It ends with the test.
func StartCluster(t testing.TB, documentation string) *Cluster {
	t.Helper()
	bin, err := findClusterPrograms()
	if err != nil && (os.Getenv(EnvRequireAll) != "1" || os.Getenv(EnvEngine) == "sqlite") {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	random := []byte(rand.Text())
	c := &Cluster{network: fmt.Sprintf("127.%d.%d.", random[0], random[1])}
	c.makeFolder(t)
	c.words = map[string]string{
		"192.0.2.0/24": "127.0.0.0/8", "192.0.2.": c.network, "127.0.0.1:5000": c.network + "10:5000",
		"/usr/lib/postgresql/15/bin": bin, "mode: automatic": "mode: 'off'", // or the watchdog could restart this machine
	}
	for _, name := range []string{"PATRONI-PASSWORD", "POSTGRES-PASSWORD", "REPLICATION-PASSWORD"} {
		c.words[name] = rand.Text()
	}
	c.configure(t, documentation)
	c.shell = startShell(t, clusterScript, bin, "DIR="+c.folder)
	t.Cleanup(func() {
		if t.Failed() {
			c.logs(t)
		}
	})
	return c
}

// findClusterPrograms returns the directory of PostgreSQL's own programs, and an error if one of the others is missing.
func findClusterPrograms() (string, error) {
	if os.Getenv(EnvEngine) == "sqlite" {
		return "", errors.New(EnvEngine + " is sqlite")
	}
	for _, program := range []string{"etcd", "patroni", "patronictl", "haproxy"} {
		_, missing := exec.LookPath(program)
		if _, err := os.Stat("/usr/sbin/" + program); missing != nil && err != nil {
			return "", missing
		}
	}
	bin, err := findPrograms()
	if err != nil {
		return "", err
	}
	initdb, err := filepath.EvalSymlinks(filepath.Join(bin, "initdb")) // beside it are also the programs that Patroni needs
	return filepath.Dir(initdb), err
}

func (c *Cluster) makeFolder(t testing.TB) {
	t.Helper()
	var err error
	if c.folder, err = os.MkdirTemp("/tmp", "sesame-patroni-"); err != nil { //nolint:usetesting // another user enters it
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(c.folder) })
	for n := 1; n <= machines; n++ {
		if err = os.Mkdir(c.machine(n, ""), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *Cluster) machine(n int, name string) string {
	return filepath.Join(c.folder, strconv.Itoa(n), name)
}

// configure puts addresses, folders and passwords of the test into the files of the documentation.
func (c *Cluster) configure(t testing.TB, documentation string) {
	t.Helper()
	for _, name := range []string{"patroni.yml", "etcd.env", "haproxy.cfg"} {
		text, err := os.ReadFile(filepath.Join(documentation, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "haproxy.cfg" {
			c.write(t, filepath.Join(c.folder, name), c.replace(string(text)))
			continue
		}
		for n := 1; n <= machines; n++ {
			c.write(t, c.machine(n, name), c.ofMachine(n, string(text)))
		}
	}
	if os.Geteuid() != 0 {
		return
	}
	postgres, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(postgres.Uid)
	gid, _ := strconv.Atoi(postgres.Gid)
	if err = filepath.WalkDir(c.folder, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, gid)
	}); err != nil {
		t.Fatal(err)
	}
}

func (c *Cluster) write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ofMachine makes the file of a machine from that of the first, as the first lines of the file say.
func (c *Cluster) ofMachine(n int, text string) string {
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "  hosts:") && !strings.HasPrefix(line, "ETCD_INITIAL_CLUSTER=") {
			line = strings.ReplaceAll(line, "192.0.2.11", fmt.Sprint("192.0.2.1", n))
			line = strings.Replace(line, "name: db1", fmt.Sprint("name: db", n), 1)
			lines[i] = strings.Replace(line, "NAME=db1", fmt.Sprint("NAME=db", n), 1)
		}
	}
	return strings.NewReplacer(
		"/var/lib/postgresql/15/sesame", c.machine(n, "data"), "/var/lib/postgresql/patroni.pgpass", c.machine(n, "pgpass"),
		"/var/run/postgresql", c.machine(n, ""), "/var/lib/etcd/sesame", c.machine(n, "etcd"),
	).Replace(c.replace(strings.Join(lines, "")))
}

// replace puts the words of the test into a text, the longest first.
func (c *Cluster) replace(text string) string {
	words := slices.SortedFunc(maps.Keys(c.words), func(a, b string) int { return len(b) - len(a) })
	for _, word := range words {
		text = strings.ReplaceAll(text, word, c.words[word])
	}
	return text
}

// logs prints the ends of the logs.
func (c *Cluster) logs(t testing.TB) {
	files, _ := filepath.Glob(filepath.Join(c.folder, "*", "patroni.log"))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		t.Logf("%s:\n%s", file, text[max(0, len(text)-3000):])
	}
}

// CreateDatabase creates the role and the database sesame.
func (c *Cluster) CreateDatabase(ctx context.Context) error {
	c.words["PASSWORD"] = rand.Text()
	conn, err := pgx.Connect(ctx, c.URL("postgres://postgres:"+c.words["POSTGRES-PASSWORD"]+"@127.0.0.1:5000/postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, statement := range []string{"CREATE ROLE sesame LOGIN PASSWORD '" + c.words["PASSWORD"] + "'", "CREATE DATABASE sesame OWNER sesame"} {
		if _, err = conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// URL puts addresses and passwords of the test into a URL of the documentation.
func (c *Cluster) URL(documented string) string { return c.replace(documented) + "?sslmode=disable" }

// Kill kills a machine.
func (c *Cluster) Kill(machine int) { c.t.Helper(); c.order(fmt.Sprint("kill ", machine)) }

// Freeze stops all processes of a machine, which keeps its connections and answers nothing.
func (c *Cluster) Freeze(machine int) { c.t.Helper(); c.order(fmt.Sprint("freeze ", machine)) }

// Thaw continues the processes of a machine that Freeze has stopped.
func (c *Cluster) Thaw(machine int) { c.t.Helper(); c.order(fmt.Sprint("thaw ", machine)) }

// Start starts a machine that was killed.
func (c *Cluster) Start(machine int) { c.t.Helper(); c.order(fmt.Sprint("start ", machine)) }

// Switchover makes a standby the primary in place of a machine.
func (c *Cluster) Switchover(machine int) { c.t.Helper(); c.order(fmt.Sprint("switchover ", machine)) }

// Roles returns the role of each machine that runs, by its number, as Patroni sees it: leader, sync_standby or replica. It is empty
// while no Patroni answers.
func (c *Cluster) Roles(ctx context.Context) map[int]string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for n := 1; n <= machines; n++ {
		if roles := c.rolesOf(ctx, n); len(roles) > 0 {
			return roles
		}
	}
	return nil
}

func (c *Cluster) rolesOf(ctx context.Context, asked int) map[int]string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s1%d:8008/cluster", c.network, asked), nil)
	if err != nil {
		return nil
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	var cluster struct {
		Members []struct{ Name, Role, State string }
	}
	if json.NewDecoder(response.Body).Decode(&cluster) != nil {
		return nil
	}
	roles := map[int]string{}
	for _, member := range cluster.Members {
		n, err := strconv.Atoi(strings.TrimPrefix(member.Name, "db"))
		if err == nil && (member.State == "running" || member.State == "streaming") {
			roles[n] = member.Role
		}
	}
	return roles
}
