package lifecycle_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// TestCases reads testdata/cases: what a policy says about each of some images. An image is a line of its name, age (days,
// or days+duration), tags and what else there is; what is expected is a line of its name and verdict, where
// "stays" leaves the reason open, and after a bar the sentence, if the case is about that. The time is noon.
func TestCases(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/cases/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("found %d cases (%v)", len(files), err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			c := readCase(t, f)
			p, err := lifecycle.Parse(c.policy)
			if err != nil {
				t.Fatalf("the policy: %v", err)
			}
			for i, v := range lifecycle.Evaluate(c.images, p, noon) {
				name := string(c.images[i].Digest)
				line, ok := c.want[name]
				if !ok {
					t.Fatalf("%s: the case expects nothing of it", name)
				}
				want, sentence, told := strings.Cut(line, " | ")
				if got := v.Sentence(noon); told && got != sentence {
					t.Errorf("%s: %s\nwant %s", name, got, sentence)
				}
				if got := describe(v); got != want && (want != "stays" || v.Acts()) {
					t.Errorf("%s: %s, want %s", name, got, want)
				}
			}
		})
	}
}

func describe(v lifecycle.Verdict) string {
	done := string(v.Action.Type)
	switch {
	case v.Reason == lifecycle.Selected:
		return fmt.Sprintf("%s %d", done, v.Rule)
	case v.Reason == lifecycle.Shielded:
		return fmt.Sprintf("shielded %d", v.Rule)
	case v.Reason == lifecycle.Uncounted:
		return fmt.Sprintf("uncounted %d", v.Rule)
	case v.Reason == lifecycle.Pinned && v.Of != "":
		return fmt.Sprintf("pinned %s", v.Of)
	case v.Reason == lifecycle.Held:
		return fmt.Sprintf("held %s", v.Of)
	case v.Reason == lifecycle.Follows && v.Rule == 0:
		return fmt.Sprintf("follows %s", v.Of)
	case v.Reason == lifecycle.Follows && !v.Acts():
		return fmt.Sprintf("follows %s stays %d", v.Of, v.Rule)
	case v.Reason == lifecycle.Follows:
		return fmt.Sprintf("follows %s %s %d", v.Of, done, v.Rule)
	}
	return string(v.Reason)
}

type evaluation struct {
	policy string
	images []lifecycle.Image
	want   map[string]string
}

func readCase(t *testing.T, file string) evaluation {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := evaluation{want: map[string]string{}}
	section := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "-- "); ok {
			section = strings.TrimSuffix(name, " --")
			continue
		}
		switch {
		case section == "policy":
			c.policy += line + "\n"
		case section == "images":
			c.images = append(c.images, readImage(t, line))
		case section == "want":
			name, verdict, _ := strings.Cut(line, " ")
			c.want[name] = verdict
		case !strings.HasPrefix(line, "#"):
			t.Fatalf("%s: %q is in no section", file, line)
		}
	}
	if len(c.want) != len(c.images) || len(c.want) == 0 {
		t.Fatalf("%s: %d images and %d verdicts", file, len(c.images), len(c.want))
	}
	return c
}

func readImage(t *testing.T, line string) lifecycle.Image {
	t.Helper()
	fields := strings.Fields(line)
	if len(fields) < 3 {
		t.Fatalf("%q is no name, age and tags", line)
	}
	img := lifecycle.Image{ID: 1, Digest: oci.Digest(fields[0]), PushedAt: ago(t, fields[1])}
	if fields[2] != "-" {
		img.Tags = strings.Split(fields[2], ",")
	}
	for _, f := range fields[3:] {
		key, value, _ := strings.Cut(f, "=")
		switch key {
		case "pulled":
			img.PulledAt = ago(t, value)
		case "archived":
			img.ArchivedAt = ago(t, value)
		case "activated":
			img.ActivatedAt = ago(t, value)
		case "class":
			img.Class = lifecycle.StorageClass(value)
		case "kind":
			img.Kind = lifecycle.Kind(strings.ReplaceAll(value, "_", " "))
		case "pins":
			for p := range strings.SplitSeq(value, ",") {
				img.Pins = append(img.Pins, readPin(t, p))
			}
		case "subject":
			img.Subject = oci.Digest(value)
		case "children":
			for c := range strings.SplitSeq(value, ",") {
				img.Children = append(img.Children, oci.Digest(c))
			}
		default:
			t.Fatalf("%q: what is %s?", line, key)
		}
	}
	return img
}

// readPin reads a deployment of this noon, as in web@prod:1 or web@prod:record.
func readPin(t *testing.T, text string) registry.Pin {
	t.Helper()
	app, rest, _ := strings.Cut(text, "@")
	environment, what, _ := strings.Cut(rest, ":")
	p := registry.Pin{App: app, Environment: environment, Since: noon}
	switch what {
	case "record":
		p.Kind = registry.DeployedBy
	case "deploying":
		p.Kind = registry.Deploying
	default:
		p.Kind = registry.Deployed
		var err error
		if p.Place, err = strconv.Atoi(what); err != nil {
			t.Fatalf("pin %q: %v", text, err)
		}
	}
	return p
}

// ago reads an age: days, or days and a duration, as in 1+1s.
func ago(t *testing.T, age string) time.Time {
	t.Helper()
	days, more, _ := strings.Cut(age, "+")
	n, err := strconv.Atoi(days)
	if err != nil {
		t.Fatalf("age %q: %v", age, err)
	}
	at := noon.AddDate(0, 0, -n)
	if more != "" {
		d, err := time.ParseDuration(more)
		if err != nil {
			t.Fatalf("age %q: %v", age, err)
		}
		at = at.Add(-d)
	}
	return at
}

// TestEvaluateBearsTheLargestNumbers: a rule of two thousand million days acts on nothing.
func TestEvaluateBearsTheLargestNumbers(t *testing.T) {
	t.Parallel()
	p, err := lifecycle.Parse(document(rule(1, "any", `"countType":"sinceImagePushed","countUnit":"days","countNumber":2147483647`, expire)))
	if err != nil {
		t.Fatal(err)
	}
	v := lifecycle.Evaluate([]lifecycle.Image{{Digest: "a", PushedAt: time.Unix(0, 0)}}, p, noon)
	if v[0].Acts() || v[0].Reason != lifecycle.Shielded {
		t.Errorf("got %s", describe(v[0]))
	}
}

// cpuTime is what the process has computed so far, which other processes do not lengthen.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkEvaluate has 50 rules, with or without Berth's own members, look at images with two tags each.
func BenchmarkEvaluate(b *testing.B) {
	for _, many := range []int{100_000, 1_000_000} {
		images := make([]lifecycle.Image, many)
		for i := range images {
			images[i] = lifecycle.Image{
				ID: int64(i), Digest: oci.FromBytes([]byte(strconv.Itoa(i))), PushedAt: noon.Add(-time.Duration(i) * time.Minute),
				Tags: []string{fmt.Sprintf("app%d-%d", i%50, i), fmt.Sprintf("build-%d", i)},
			}
		}
		for _, extension := range []string{"", `{"countPer":{"tagsUpTo":"last","separator":"-"},"countImagesOnly":true}`} {
			rules := make([]string, 0, 50)
			for i := range 49 {
				r := rule(i+1, "tagged", fmt.Sprintf(`"tagPatternList":["app%d-*"],"countType":"imageCountMoreThan","countNumber":10`, i), expire)
				rules = append(rules, extended(r, extension))
			}
			p, err := lifecycle.Parse(document(append(rules, rule(50, "any", days1, expire))...))
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%d/extended=%t", many, extension != ""), func(b *testing.B) {
				b.ReportAllocs()
				used := cpuTime(b)
				for b.Loop() {
					lifecycle.Evaluate(images, p, noon)
				}
				b.ReportMetric(float64((cpuTime(b)-used).Milliseconds())/float64(b.N), "cpu-ms/op")
			})
		}
	}
}
