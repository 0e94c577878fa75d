package advice_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/advice"
	"github.com/hoopstat-haus/berth/internal/pipeline/images"
)

const pinned = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestRead(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		dockerfile string
		want       []string // line level rule
	}{
		"nothing to say": {
			"FROM golang" + pinned + " AS build\nWORKDIR /src\nCOPY go.mod go.sum ./\nRUN go mod download\nCOPY . .\nRUN go build -o /app .\n" +
				"FROM scratch\nCOPY --from=build /app /app\nUSER 65532\nHEALTHCHECK CMD [\"/app\", \"healthy\"]\n", nil,
		},
		"all at once": {
			"FROM python:latest\nCOPY . /app\nRUN apt-get update\nRUN apt-get install -y gcc\nRUN pip install -r /app/requirements.txt\nENV API_TOKEN=hunter2\n",
			[]string{
				"0 note no-healthcheck", "1 warning base-unpinned", "1 warning root", "2 warning copy-before-install", "3 warning apt-update-alone",
				"4 warning apt-lists", "4 note apt-recommends", "4 warning compiler-stays", "5 warning pip-cache", "6 warning secret-env",
			},
		},
		"no tag, by an argument": {"ARG BASE=debian\nFROM ${BASE}\nUSER a\nHEALTHCHECK NONE\n", []string{"2 warning base-unpinned"}},
		"a tag":                  {"FROM registry:5000/debian:12\nUSER a\nHEALTHCHECK NONE\n", []string{"1 note base-no-digest"}},
		"a port is no tag":       {"FROM registry:5000/debian\nUSER a\nHEALTHCHECK NONE\n", []string{"1 warning base-unpinned"}},
		"an argument unknown":    {"ARG BASE\nFROM ${BASE:-debian}\nUSER a\nHEALTHCHECK NONE\n", []string{"2 warning base-unpinned"}},
		"a compiler stays":       {"FROM golang:1.26" + pinned + "\nUSER a\nHEALTHCHECK NONE\n", []string{"1 warning compiler-stays"}},
		"a jdk stays, behind a stage": {
			"FROM eclipse-temurin:21-jdk" + pinned + " AS base\nFROM base\nUSER a\nHEALTHCHECK NONE\n", []string{"1 warning compiler-stays"},
		},
		"a compiler removed again": {
			"FROM alpine" + pinned + "\nRUN apk add --no-cache gcc && make && apk del gcc\nUSER a\nHEALTHCHECK NONE\n", nil,
		},
		"what a stage leaves that the image has not": {
			"FROM debian" + pinned + " AS build\nRUN apt-get update && apt-get install gcc\nFROM scratch\nCOPY --from=build /app /app\nUSER a\nHEALTHCHECK NONE\n", nil,
		},
		"a stage that nothing needs": {"FROM debian AS unused\nFROM scratch\nUSER a\nHEALTHCHECK NONE\n", nil},
		"caches kept outside": {
			"FROM debian" + pinned + "\nRUN --mount=type=cache,target=/root/.cache/pip pip install flask\nENV PIP_NO_CACHE_DIR=1\nRUN pip install jinja2\n" +
				"RUN apt-get update && apt-get install --no-install-recommends -y curl && rm -rf /var/lib/apt/lists/*\nRUN apk add --no-cache curl\nRUN dnf install -y curl && dnf clean all\nUSER a\nHEALTHCHECK NONE\n", nil,
		},
		"caches": {
			"FROM debian" + pinned + "\nRUN apk add curl\nRUN dnf install -y curl\nUSER a\nHEALTHCHECK NONE\n", []string{"2 warning apk-cache", "3 warning dnf-cache"},
		},
		"here-documents": {
			"FROM debian" + pinned + "\nRUN <<EOF\napt-get update\napt-get install -y --no-install-recommends curl\nEOF\nUSER a\nHEALTHCHECK NONE\n", []string{"2 warning apt-lists"},
		},
		"root again":          {"FROM debian" + pinned + "\nUSER app\nUSER 0:0\nHEALTHCHECK NONE\n", []string{"3 warning root"}},
		"the base image's":    {"FROM gcr.io/distroless/static:nonroot" + pinned + "\nHEALTHCHECK NONE\n", nil},
		"a user from a stage": {"FROM debian" + pinned + " AS base\nUSER app\nFROM base\nHEALTHCHECK NONE\n", nil},
		"urls": {
			"FROM scratch\nADD https://example.com/a.tar.gz /\nADD --checksum=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 https://example.com/b /\nADD rootfs.tar /\nADD app /app\nUSER a\nHEALTHCHECK NONE\n",
			[]string{"2 warning add-url", "5 note add-local"},
		},
		"secrets": {
			"ARG NPM_TOKEN\nFROM scratch\nARG DB_PASSWORD=x\nENV DB_PASSWORD_FILE=/run/secrets/db TOKEN= KEY_ID=a\nENV AWS_SECRET_ACCESS_KEY=x\nCOPY .env id_rsa /\nUSER a\nHEALTHCHECK NONE\n",
			[]string{"1 warning secret-arg", "3 warning secret-arg", "5 warning secret-env", "6 warning secret-file", "6 warning secret-file"},
		},
		"dependencies first": {
			"FROM scratch\nCOPY package.json package-lock.json ./\nRUN npm ci\nCOPY . .\nRUN npm run build\nUSER a\nHEALTHCHECK NONE\n", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, err := advice.Read(advice.Input{Dockerfile: []byte(tt.dockerfile), Ignored: true})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range found {
				got = append(got, fmt.Sprintf("%d %s %s", f.Line, f.Level, f.Rule))
				if f.What == "" || f.Why == "" || f.Fix == "" || strings.Contains(f.What+f.Why+f.Fix, "hunter2") {
					t.Errorf("%s says %q, because %q, and to do %q", f.Rule, f.What, f.Why, f.Fix)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Read of\n%sfound (-want +got):\n%s", tt.dockerfile, diff)
			}
		})
	}
}

// TestReadWithImage: what the image says counts before what the text lets one guess.
func TestReadWithImage(t *testing.T) {
	t.Parallel()
	image := &images.Variant{
		Size: 1000, Config: &images.Config{User: "root", Healthcheck: []string{"CMD", "true"}},
		Layers: []images.Layer{{Size: 700, CreatedBy: "ADD rootfs.tar.gz / "}, {Size: 250, CreatedBy: "RUN make   install"}, {Size: 50, CreatedBy: "COPY a a"}},
	}
	text := "FROM base" + pinned + "\nCOPY a a\nRUN make \\\n  install\n"
	found, err := advice.Read(advice.Input{Dockerfile: []byte(text), Image: image})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, fmt.Sprintf("%d %s %s", f.Line, f.Rule, f.What))
	}
	want := []string{
		"0 no-dockerignore there is no .dockerignore",
		"0 large-layer 70% of the image's 1000 bytes are a layer of 700, made by: ADD rootfs.tar.gz / ",
		"1 root the app runs as root",
		"3 large-layer 25% of the image's 1000 bytes are a layer of 250, made by: RUN make   install",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "RUN make\n", "FROM a\nFLY b\n"} {
		if found, err := advice.Read(advice.Input{Dockerfile: []byte(text)}); err == nil {
			t.Errorf("Read of %q found %v", text, found)
		}
	}
}
