package metadbtest

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// PostgresURL makes an empty, unmigrated database and returns its URL, or skips the test. The server is
// started by the first test of the process that asks, and ends soon after the process does.
func PostgresURL(tb testing.TB) string {
	tb.Helper()
	required := os.Getenv("BERTH_TEST_REQUIRE") == "all"
	if !required && os.Getenv("BERTH_TEST_POSTGRES") == "" {
		tb.Skip("PostgreSQL is tested when BERTH_TEST_POSTGRES=1 is set")
	}
	bin, ok := serverPrograms()
	switch {
	case !ok && required:
		tb.Fatal("BERTH_TEST_REQUIRE=all, and PostgreSQL's initdb and pg_ctl are neither in PATH nor in /usr/lib/postgresql/*/bin")
	case !ok:
		tb.Skip("PostgreSQL's initdb and pg_ctl are neither in PATH nor in /usr/lib/postgresql/*/bin")
	}
	c, err := sharedCluster(bin)
	if err != nil {
		tb.Fatalf("starting PostgreSQL: %v", err)
	}
	name := fmt.Sprintf("test%d", c.databases.Add(1))
	if err := c.admin(tb.Context(), "CREATE DATABASE "+name); err != nil {
		tb.Fatalf("CREATE DATABASE: %v", err)
	}
	tb.Cleanup(func() {
		if err := c.admin(background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			tb.Errorf("DROP DATABASE: %v", err)
		}
	})
	return c.url(name)
}

// serverPrograms finds the folder of PostgreSQL's programs, the newest where there are several.
func serverPrograms() (bin string, ok bool) {
	if p, err := exec.LookPath("pg_ctl"); err == nil {
		if _, err := exec.LookPath("initdb"); err == nil {
			return filepath.Dir(p), true
		}
	}
	newest := -1
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // fails for a bad pattern only
	for _, p := range found {
		dir := filepath.Dir(p)
		if version, err := strconv.Atoi(filepath.Base(filepath.Dir(dir))); err == nil && version > newest {
			newest, bin = version, dir
		}
	}
	return bin, newest >= 0
}

// cluster is a running PostgreSQL server.
type cluster struct {
	port      int
	databases atomic.Int64
	lifeline  *os.File // the server stops when this process no longer holds it
}

var (
	startOnce sync.Once //nolint:gochecknoglobals // one server for the process
	started   *cluster  //nolint:gochecknoglobals // as startOnce
	startErr  error     //nolint:gochecknoglobals // as startOnce
)

func sharedCluster(bin string) (*cluster, error) {
	startOnce.Do(func() {
		for range 3 { // another process may take the port in between
			if started, startErr = startCluster(bin); startErr == nil {
				return
			}
		}
	})
	return started, startErr
}

// serverScript makes and starts a cluster, says so, and waits for the end of its input: that comes when the
// test process ends, in whatever way. Text is ordered as people do by default (where there is ICU), so that
// tests notice a column that should be ordered by bytes and is not.
const serverScript = `
set -u
initdb() { "$BIN/initdb" -D "$DIR/data" -U berth -A trust -E UTF8 --no-sync "$@" >>"$DIR/log" 2>&1; }
initdb --locale-provider=icu --icu-locale=en-US --locale=C || { rm -rf "$DIR/data"; initdb --locale=C; }
if "$BIN/pg_ctl" -D "$DIR/data" -l "$DIR/log" -w -t 60 -s start </dev/null >>"$DIR/log" 2>&1 -o "-h 127.0.0.1 -p $PORT -k '' \
  -c fsync=off -c full_page_writes=off -c max_connections=400 -c shared_buffers=32MB -c deadlock_timeout=100ms"; then
  echo ready
  cat >/dev/null
  "$BIN/pg_ctl" -D "$DIR/data" -m immediate -s stop >>"$DIR/log" 2>&1
else
  tail -n 20 "$DIR/log"
fi
rm -rf "$DIR"
`

func startCluster(bin string) (*cluster, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "berth-postgres-")
	if err != nil {
		return nil, err
	}
	attr, err := unprivileged(dir)
	if err != nil {
		return nil, err
	}
	stdin, lifeline, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close() //nolint:errcheck // the server has its own
	cmd := exec.CommandContext(background(), "/bin/sh", "-c", serverScript)
	cmd.Dir, cmd.SysProcAttr, cmd.Stdin = dir, attr, stdin
	cmd.Env = []string{"BIN=" + bin, "DIR=" + dir, "PORT=" + strconv.Itoa(port), "PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var said strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if lines.Text() == "ready" {
			return &cluster{port: port, lifeline: lifeline}, nil
		}
		said.WriteString(lines.Text() + "\n")
	}
	_ = lifeline.Close()
	return nil, fmt.Errorf("server did not start (%w): %s", cmd.Wait(), said.String())
}

// unprivileged is how to start a program that refuses to run as root, and gives it the folder.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	// A group of its own, so that an interrupt from the terminal leaves it time to clean up.
	attr := &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() != 0 {
		return attr, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, fmt.Errorf("looking for a user other than root: %w", err)
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, os.Chown(dir, int(uid), int(gid))
}

func freePort() (int, error) {
	l, err := new(net.ListenConfig).Listen(background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()                          //nolint:errcheck // it never served
	return l.Addr().(*net.TCPAddr).Port, nil //nolint:forcetypeassert // it listens on TCP
}

func (c *cluster) url(database string) string {
	return fmt.Sprintf("postgres://berth@127.0.0.1:%d/%s?sslmode=disable", c.port, database)
}

func (c *cluster) admin(ctx context.Context, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	db, err := sql.Open("pgx", c.url("postgres"))
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // nothing depends on it
	_, err = db.ExecContext(ctx, statement)
	return err
}

// background is for what outlives the test that needs it first.
func background() context.Context { return context.Background() }
