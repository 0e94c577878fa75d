package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// TestPin replaces names of images, and nothing else.
func TestPin(t *testing.T) {
	t.Parallel()
	bases := map[string]string{"from": "r/x@sha256:1", "repo:a-latest": "r/x@sha256:2", "tools": "r/x@sha256:3"}
	for name, test := range map[string]struct{ text, want, base string }{
		"plain":          {"FROM repo:a-latest\n", "FROM r/x@sha256:2\n", "r/x@sha256:2"},
		"no last line":   {"FROM repo:a-latest", "FROM r/x@sha256:2", "r/x@sha256:2"},
		"argument":       {"ARG TAG=latest\nFROM repo:a-$TAG AS b\n", "ARG TAG=latest\nFROM r/x@sha256:2 AS b\n", "r/x@sha256:2"},
		"given":          {"ARG BASE=busybox\nFROM ${BASE}\n", "ARG BASE=busybox\nFROM r/x@sha256:3\n", "r/x@sha256:3"},
		"platform":       {"FROM --platform=$BUILDPLATFORM tools AS tools\n", "FROM --platform=$BUILDPLATFORM r/x@sha256:3 AS tools\n", "r/x@sha256:3"},
		"like a word":    {"  from from as from\nFROM from\n", "  from r/x@sha256:1 as from\nFROM from\n", "r/x@sha256:1"},
		"over lines":     {"FROM \\\n  # tools\n  tools \\\n  AS x\n", "FROM \\\n  # tools\n  r/x@sha256:3 \\\n  AS x\n", "r/x@sha256:3"},
		"windows":        {"FROM tools\r\nRUN x\r\n", "FROM r/x@sha256:3\r\nRUN x\r\n", "r/x@sha256:3"},
		"backtick":       {"# escape=`\nFROM `\ntools\n", "# escape=`\nFROM `\nr/x@sha256:3\n", "r/x@sha256:3"},
		"a stage":        {"FROM scratch AS tools\nFROM tools\nCOPY --from=tools a b\n", "FROM scratch AS tools\nFROM tools\nCOPY --from=tools a b\n", ""},
		"copy":           {"FROM x\nCOPY --chown=1 --from=tools tools /tools\n", "FROM x\nCOPY --chown=1 --from=r/x@sha256:3 tools /tools\n", "x"},
		"copy a number":  {"FROM x\nFROM y\nCOPY --from=0 /a /\n", "FROM x\nFROM y\nCOPY --from=0 /a /\n", "y"},
		"mount":          {"FROM x\nRUN --mount=type=bind,from=tools,target=/t echo from=tools\n", "FROM x\nRUN --mount=type=bind,from=r/x@sha256:3,target=/t echo from=tools\n", "x"},
		"mount first":    {"FROM x\nRUN --mount=from=tools,target=/t tools\n", "FROM x\nRUN --mount=from=r/x@sha256:3,target=/t tools\n", "x"},
		"in a command":   {"FROM x\nRUN echo --from=tools tools\nENV tools=tools\nLABEL a=\"FROM tools\"\n", "FROM x\nRUN echo --from=tools tools\nENV tools=tools\nLABEL a=\"FROM tools\"\n", "x"},
		"in a heredoc":   {"FROM x\nRUN <<EOF\nFROM tools\nCOPY --from=tools a b\nEOF\n", "FROM x\nRUN <<EOF\nFROM tools\nCOPY --from=tools a b\nEOF\n", "x"},
		"longer name":    {"FROM tools:1\nFROM my/tools\nCOPY --from=tools2 a b\n", "FROM tools:1\nFROM my/tools\nCOPY --from=tools2 a b\n", "my/tools"},
		"over two":       {"FROM tools AS a\nFROM a AS b\nFROM b\n", "FROM r/x@sha256:3 AS a\nFROM a AS b\nFROM b\n", "r/x@sha256:3"},
		"twice":          {"FROM tools\nFROM tools\n", "FROM r/x@sha256:3\nFROM r/x@sha256:3\n", "r/x@sha256:3"},
		"env in a stage": {"FROM x\nENV T=tools\nCOPY --from=${T} a b\n", "FROM x\nENV T=tools\nCOPY --from=r/x@sha256:3 a b\n", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := plan.Pin([]byte(test.text), map[string]workspace.ArgValue{"BASE": "tools"}, "", bases)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got.Text)); diff != "" {
				t.Errorf("pinned (-want +got):\n%s", diff)
			}
			if got.Base != test.base {
				t.Errorf("the base is %q, want %q", got.Base, test.base)
			}
		})
	}
}

// TestPinSteps knows where each instruction is, up to the target.
func TestPinSteps(t *testing.T) {
	t.Parallel()
	got, err := plan.Pin([]byte("ARG A\nARG B\n\nFROM x AS one\nRUN a \\\n  b\nCOPY c d\nFROM y AS two\nARG SOURCE_DATE_EPOCH\nFROM z\n"), nil, "two", map[string]string{"w": "v"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]plan.Stage{{"one", "x", []plan.Step{{4, "FROM"}, {5, "RUN"}, {7, "COPY"}}}, {"two", "y", []plan.Step{{8, "FROM"}, {9, "ARG"}}}}, got.Stages); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if len(got.Globals) != 2 || got.Globals[1].Line != 2 || !got.Epoch || got.Base != "y" || !cmp.Equal(got.Unnamed, []string{"w"}) {
		t.Errorf("got %+v", got)
	}
}

// TestPinRefuses says so where it cannot replace.
func TestPinRefuses(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"FROM to\\\nols\n": `line 1: "tools" is not there in one piece`,
		"RUN x\n":          "no build stage",
		"FROM x\nNO\n":     "unknown instruction",
	} {
		if got, err := plan.Pin([]byte(text), nil, "", map[string]string{"tools": "x"}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %q, %v, want %q", text, got.Text, err, says)
		}
	}
	if _, err := plan.Pin([]byte("FROM x AS a\n"), nil, "b", nil); err == nil || !strings.Contains(err.Error(), `no stage "b"`) {
		t.Errorf("the error is %v", err)
	}
}
