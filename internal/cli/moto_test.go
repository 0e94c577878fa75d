package cli_test

import (
	"bufio"
	"os"
	"os/exec"
	"regexp"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// moto runs moto's server until the script ends.
func moto(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: moto")
	}
	cmd := exec.Command("moto_server", "-H", "127.0.0.1", "-p", "0") //nolint:noctx // Defer ends it
	cmd.Env = append(os.Environ(), "MOTO_ACCOUNT_ID=123456789012", "MOTO_IAM_LOAD_MANAGED_POLICIES=true")
	out, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	found := make(chan string, 1)
	go func() {
		defer close(found)
		address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if url := address.FindString(lines.Text()); url != "" && len(found) == 0 {
				found <- url
			}
		}
	}()
	select {
	case url, ok := <-found:
		if !ok {
			ts.Fatalf("moto_server ended before it listened")
		}
		ts.Setenv("AWS_ENDPOINT_URL", url)
	case <-time.After(time.Minute):
		ts.Fatalf("moto_server does not listen after a minute")
	}
	ts.Setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
	ts.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	ts.Setenv("AWS_REGION", "us-east-1")
}
