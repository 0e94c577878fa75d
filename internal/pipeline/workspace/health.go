package workspace

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// Health is how it is found out that what was started is healthy: by a request, by a program, or by both.
type Health struct {
	HTTP      HealthURL `berth:"http" doc:"a path such as /healthz, or a URL in which {host} and {port} are what the target says, that answers a GET"`
	Status    Status    `berth:"status" doc:"the status that it answers, such as 204; any from 200 to 299 if not given"`
	Command   Command   `berth:"command" doc:"a program that ends with 0 if it is healthy: a line for sh, or a program with its arguments"`
	Successes Count     `berth:"successes" doc:"how often in a row it must be healthy; 2 if not given"`
	Interval  Timeout   `berth:"interval" doc:"how long after one look the next comes; 2s if not given"`
	Timeout   Timeout   `berth:"timeout" doc:"how long it may take in all; 60s if not given"`
}

// What holds where a Health does not say.
const (
	DefaultSuccesses = 2
	DefaultInterval  = Timeout(2 * time.Second)
	DefaultHealthy   = Timeout(time.Minute)
)

// IsZero tells whether nothing is looked at.
func (h Health) IsZero() bool { return h.HTTP == "" && h.Command.IsZero() }

// HealthOf gives how an app's health in an environment is found out: as the project says, and where that does not, as the
// environment. A project that says what is looked at says all of that.
func (f *File) HealthOf(app, environment string) Health {
	var h Health
	if i := slices.IndexFunc(f.Environments, func(e Environment) bool { return e.Name == environment }); i >= 0 && f.Environments[i].Health != nil {
		h = *f.Environments[i].Health
	}
	if own := f.Projects[app].Health; own != nil {
		if !own.IsZero() {
			h.HTTP, h.Status, h.Command = own.HTTP, own.Status, own.Command
		}
		h.Successes, h.Interval, h.Timeout = cmp.Or(own.Successes, h.Successes), cmp.Or(own.Interval, h.Interval), cmp.Or(own.Timeout, h.Timeout)
	}
	h.Successes, h.Interval, h.Timeout = cmp.Or(h.Successes, DefaultSuccesses), cmp.Or(h.Interval, DefaultInterval), cmp.Or(h.Timeout, DefaultHealthy)
	return h
}

// check notes what is wrong with it. Nothing to look at is for projects alone, which may have other times than the environment.
func (h *Health) check(s *source, path string, whole bool) {
	switch {
	case h == nil:
	case whole && h.IsZero():
		s.wrong(path, "%s says neither http nor command, so there is nothing to look at", path)
	case h.Status != 0 && h.HTTP == "":
		s.wrong(path+".status", "%s is what http answers, which is not given", path+".status")
	}
}

// HealthURL is a path, or a URL with the placeholders {host} and {port}.
type HealthURL string

// For puts in where the target answers.
func (v HealthURL) For(host string, port int) (string, error) {
	text := string(v)
	if strings.HasPrefix(text, "/") {
		text = "http://{host}:{port}" + text
	}
	switch {
	case strings.Contains(text, "{host}") && host == "":
		return "", fmt.Errorf("http: %s: the target does not say at which host it answers", v)
	case strings.Contains(text, "{port}") && port == 0:
		return "", fmt.Errorf("http: %s: the target does not say at which port it answers", v)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return strings.NewReplacer("{host}", host, "{port}", strconv.Itoa(port)).Replace(text), nil
}

func (v *HealthURL) read(s *source, path string, node ast.Node) {
	text, ok := s.text(path, node)
	if !ok {
		return
	}
	if err := HealthURL(text).check(); err != nil {
		s.problem(node.GetToken(), "%s: %q: %v", path, text, err)
		return
	}
	*v = HealthURL(text)
}

func (v HealthURL) check() error {
	for _, m := range placeholder.FindAllStringSubmatch(string(v), -1) {
		if m[1] != "host" && m[1] != "port" {
			return fmt.Errorf("no placeholder of the name {%s}; there are host, port", m[1])
		}
	}
	whole, err := v.For("host", 1)
	if err != nil {
		return err
	}
	u, err := url.Parse(whole)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsAny(whole, "{} \t\n") {
		return fmt.Errorf("neither a path such as /healthz nor a URL such as https://{host}:{port}/healthz")
	}
	return nil
}

func (HealthURL) schema() map[string]any {
	return pattern(`^(/[^{}\s]*|https?://([^{}\s]|\{host\}|\{port\})+)$`)
}

// Count is how often something is done, 1 to 100.
type Count int

func (v *Count) read(s *source, path string, node ast.Node) {
	readNumber(s, path, node, v, 1, 100)
}
func (Count) schema() map[string]any { return between(1, 100) }

// Status is one of HTTP's.
type Status int

func (v *Status) read(s *source, path string, node ast.Node) {
	readNumber(s, path, node, v, 200, 599)
}
func (Status) schema() map[string]any { return between(200, 599) }

func readNumber[T ~int](s *source, path string, node ast.Node, into *T, least, most int) {
	n, err := 0, error(nil)
	number, ok := node.(*ast.IntegerNode)
	if ok {
		n, err = strconv.Atoi(number.GetToken().Value)
	}
	if !ok || err != nil || n < least || n > most {
		s.problem(start(node), "%s is a number from %d to %d, not %s", path, least, most, start(node).Value)
		return
	}
	*into = T(n)
}

func between(least, most int) map[string]any {
	return map[string]any{"type": "integer", "minimum": least, "maximum": most}
}
