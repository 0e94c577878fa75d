package workspace_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

func TestHealthOf(t *testing.T) {
	t.Parallel()
	f, err := workspace.Parse("berth.yaml", []byte(whole+`  - {name: qa, health: {http: /ready}}
`))
	if err != nil {
		t.Fatal(err)
	}
	f.Projects["report"] = workspace.Project{Health: &workspace.Health{Command: workspace.Command{Shell: "true"}}}
	usual := workspace.Health{Successes: 2, Interval: workspace.Timeout(2 * time.Second), Timeout: workspace.Timeout(time.Minute)}
	ready := usual
	ready.HTTP = "/ready"
	slow := ready
	slow.Timeout = workspace.Timeout(5 * time.Minute)
	command := usual
	command.Command.Shell = "true"
	for name, want := range map[string]workspace.Health{
		"calculator production": usual, "calculator nowhere": usual, "calculator qa": ready, "web qa": slow, "report qa": command,
	} {
		app, environment, _ := strings.Cut(name, " ")
		if diff := cmp.Diff(want, f.HealthOf(app, environment)); diff != "" {
			t.Errorf("health of %s (-want +got):\n%s", name, diff)
		}
	}
	if got := f.HealthOf("calculator", "staging"); got.Status != 204 || got.Successes != 3 || got.Interval != workspace.Timeout(time.Second) {
		t.Errorf("health of calculator in staging: %+v", got)
	}
}

func TestHealthURL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		url, host string
		port      int
		want      string
	}{
		{"/healthz", "127.0.0.1", 8080, "http://127.0.0.1:8080/healthz"},
		{"/healthz?deep=1", "::1", 8080, "http://[::1]:8080/healthz?deep=1"},
		{"https://{host}/x", "web.example", 0, "https://web.example/x"},
		{"https://web.example/x", "", 0, "https://web.example/x"},
		{"/healthz", "", 8080, ""},
		{"/healthz", "127.0.0.1", 0, ""},
	} {
		got, err := workspace.HealthURL(tt.url).For(tt.host, tt.port)
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s for %s:%d is %q, %v, want %q", tt.url, tt.host, tt.port, got, err, tt.want)
		}
	}
}

// TestHealthRefused: what is wrong is said where it is.
func TestHealthRefused(t *testing.T) {
	t.Parallel()
	for health, want := range map[string]string{
		`{}`:                             "so there is nothing to look at",
		`{http: healthz}`:                "neither a path such as /healthz nor a URL",
		`{http: "ftp://{host}/"}`:        "neither a path such as /healthz nor a URL",
		`{http: "http://u:p@{host}/"}`:   "neither a path such as /healthz nor a URL",
		`{http: "http://{hots}/"}`:       "no placeholder of the name {hots}",
		`{http: /, status: 99}`:          "a number from 200 to 599, not 99",
		`{http: /, status: "200"}`:       "a number from 200 to 599",
		`{command: "true", status: 200}`: "is what http answers, which is not given",
		`{http: /, successes: 0}`:        "a number from 1 to 100, not 0",
		`{http: /, interval: 2}`:         "is a string, not a number",
		`{htpt: /}`:                      `did you mean "http"?`,
	} {
		_, err := workspace.Parse("berth.yaml", []byte("repository: prod\napps: [apps/*]\nenvironments:\n  - name: prod\n    health: "+health+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "berth.yaml:5:") {
			t.Errorf("health: %s is refused with %v, want %q", health, err, want)
		}
	}
}

// TestFreezeOn: by the calendar and the clocks of a zone, also on the days when they are changed, and at midnight.
func TestFreezeOn(t *testing.T) {
	t.Parallel()
	holidays := workspace.Freeze{From: "2026-12-20", Until: "2027-01-04"}
	berlin, newYork, apia := holidays, holidays, holidays
	berlin.Timezone, newYork.Timezone, apia.Timezone = "Europe/Berlin", "America/New_York", "Pacific/Apia"
	fridays := workspace.Freeze{Days: []workspace.Weekday{"fri"}, Hours: "15:00-24:00", Timezone: "Europe/Berlin"}
	nights := workspace.Freeze{Hours: "00:00-06:00", Timezone: "Europe/Berlin"}
	second := workspace.Freeze{Hours: "02:00-03:00", Timezone: "Europe/Berlin"}
	weekend := workspace.Freeze{Days: []workspace.Weekday{"sat", "sun"}}
	always := workspace.Freeze{Days: []workspace.Weekday{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}}
	for _, tt := range []struct {
		name   string
		freeze workspace.Freeze
		at     string
		on     bool
		ends   string
	}{
		{"before", holidays, "2026-12-19T23:59:59Z", false, ""},
		{"the first moment", holidays, "2026-12-20T00:00:00Z", true, "2027-01-05T00:00:00Z"},
		{"the last moment", holidays, "2027-01-04T23:59:59Z", true, "2027-01-05T00:00:00Z"},
		{"after", holidays, "2027-01-05T00:00:00Z", false, ""},
		{"earlier in Berlin", berlin, "2026-12-19T23:00:00Z", true, "2027-01-05T00:00:00+01:00"},
		{"over in Berlin", berlin, "2027-01-04T23:00:00Z", false, ""},
		{"later in New York", newYork, "2026-12-20T04:59:00Z", false, ""},
		{"still on in New York", newYork, "2027-01-05T04:59:00Z", true, "2027-01-05T00:00:00-05:00"},
		{"a day ahead", apia, "2026-12-19T11:00:00Z", true, "2027-01-05T00:00:00+13:00"},

		{"Friday, not yet", fridays, "2026-11-27T13:59:59Z", false, ""},
		{"Friday", fridays, "2026-11-27T14:00:00Z", true, "2026-11-28T00:00:00+01:00"},
		{"until midnight", fridays, "2026-11-27T22:59:59Z", true, "2026-11-28T00:00:00+01:00"},
		{"Saturday there, Friday here", fridays, "2026-11-27T23:00:00Z", false, ""},
		{"Friday in summer", fridays, "2026-07-03T13:00:00Z", true, "2026-07-04T00:00:00+02:00"},
		{"Thursday", fridays, "2026-11-26T15:00:00Z", false, ""},

		// Clocks go from 02:00 to 03:00 on 2026-03-29, and from 03:00 back to 02:00 on 2026-10-25.
		{"the night that is short", nights, "2026-03-29T00:30:00Z", true, "2026-03-29T06:00:00+02:00"},
		{"the hour that is not there", second, "2026-03-29T00:59:00Z", false, ""},
		{"and what comes after it", second, "2026-03-29T01:00:00Z", false, ""},
		{"the hour that is there twice", second, "2026-10-25T00:30:00Z", true, "2026-10-25T03:00:00+01:00"},
		{"for the second time", second, "2026-10-25T01:30:00Z", true, "2026-10-25T03:00:00+01:00"},
		{"and is over", second, "2026-10-25T02:00:00Z", false, ""},

		{"a weekend", weekend, "2026-11-28T00:00:00Z", true, "2026-11-30T00:00:00Z"},
		{"is over", weekend, "2026-11-30T00:00:00Z", false, ""},
		{"always", always, "2026-11-30T00:00:00Z", true, "0001-01-01T00:00:00Z"},
		{"a zone that nobody knows", workspace.Freeze{Days: weekend.Days, Timezone: "Mars/Olympus"}, "2026-11-30T00:00:00Z", true, "0001-01-01T00:00:00Z"},
	} {
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := tt.freeze.On(at); got != tt.on {
			t.Errorf("%s: on is %v", tt.name, got)
		}
		if !tt.on {
			continue
		}
		if got := tt.freeze.Ends(at).Format(time.RFC3339); got != tt.ends {
			t.Errorf("%s: ends at %s, want %s", tt.name, got, tt.ends)
		}
	}
}
