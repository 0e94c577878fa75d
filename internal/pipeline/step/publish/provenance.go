package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/artifact"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
)

// What provenance is written as: a statement of in-toto (in-toto.io/Statement/v1) with SLSA's predicate (slsa.dev/provenance/v1).
const (
	InTotoType     = "application/vnd.in-toto+json"
	statementType  = "https://in-toto.io/Statement/v1"
	provenanceType = "https://slsa.dev/provenance/v1"
	// BuildType says what the parameters mean: docs/operate/tags-and-records.md does.
	BuildType = "https://github.com/hoopstat-haus/berth/ship/v1"
)

const (
	annotationPredicate = "in-toto.io/predicate-type" // as BuildKit writes it
	annotationSigned    = "vnd.berth.provenance.signed"
	annotationRun       = "vnd.berth.ship.run"
	annotationCommit    = "vnd.berth.ship.commit"
)

// Provenance is how an image came to be. What is empty is left out.
type Provenance struct {
	App        string
	Commit     string
	Branch     string
	Repository string // URL of the sources; a user and a password in it are taken out
	Run        string // URL or name of the run of the CI system
	Workflow   string
	Actor      string
	Builder    string // URI of what ran it all
	Version    string // of Berth
	Tool       string // that built, and its version, such as buildx 0.30.1
	Started    time.Time
	Finished   time.Time
}

// Attached is an artifact that is about an image.
type Attached struct {
	Digest oci.Digest
	Type   string // of the artifact
	There  bool   // it was there already
}

// AttachProvenance attaches provenance to an image. If one of the same run and commit is there, it stays the only one. It is not signed, and
// its annotations say so.
func (p *Publisher) AttachProvenance(ctx context.Context, image oci.Digest, of Provenance) (Attached, error) {
	of.Run, of.Repository = plainURL(of.Run), plainURL(of.Repository)
	there, err := p.known.Attached(ctx, image, InTotoType)
	if err != nil {
		return Attached{}, err //nolint:wrapcheck // explained
	}
	for _, a := range there {
		if a.Annotations[annotationPredicate] == provenanceType && a.Annotations[annotationRun] == of.Run && a.Annotations[annotationCommit] == of.Commit {
			return Attached{a.Digest, InTotoType, true}, nil
		}
	}
	subject, err := p.subject(ctx, image)
	if err != nil {
		return Attached{}, err
	}
	text, err := of.statement(p.Repository, image)
	if err != nil {
		return Attached{}, err
	}
	annotations := map[string]string{
		annotationPredicate: provenanceType, annotationSigned: "false", annotationCommit: of.Commit,
		shipped.AnnotationCreated: of.Finished.UTC().Format(time.RFC3339),
	}
	if of.Run != "" {
		annotations[annotationRun] = of.Run
	}
	d, err := p.pusher.Attach(ctx, artifact.Attachment{Type: InTotoType, Subject: subject, Annotations: annotations, Content: text, ContentType: InTotoType})
	return Attached{d, InTotoType, false}, err
}

// subject describes an image as what is attached to it does.
func (p *Publisher) subject(ctx context.Context, image oci.Digest) (oci.Descriptor, error) {
	m, there, err := p.known.ByDigest(ctx, image)
	if err != nil {
		return oci.Descriptor{}, err //nolint:wrapcheck // explained
	}
	if !there {
		return oci.Descriptor{}, fmt.Errorf("%s: %w", image, ErrNoImage)
	}
	return oci.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Raw))}, nil
}

// resource is SLSA's ResourceDescriptor.
type resource struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

type statement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     predicate  `json:"predicate"`
}

type predicate struct {
	Definition struct {
		BuildType    string            `json:"buildType"`
		External     map[string]string `json:"externalParameters"`
		Internal     map[string]string `json:"internalParameters,omitempty"`
		Dependencies []resource        `json:"resolvedDependencies,omitempty"`
	} `json:"buildDefinition"`
	Run struct {
		Builder struct {
			ID      string            `json:"id"`
			Version map[string]string `json:"version,omitempty"`
		} `json:"builder"`
		Metadata map[string]string `json:"metadata,omitempty"`
	} `json:"runDetails"`
}

func (of Provenance) statement(repository string, image oci.Digest) ([]byte, error) {
	s := statement{
		Type: statementType, PredicateType: provenanceType,
		Subject: []resource{{Name: repository, Digest: map[string]string{string(image.Algorithm()): image.Hex()}}},
	}
	d, r := &s.Predicate.Definition, &s.Predicate.Run
	d.BuildType = BuildType
	d.External = filled(map[string]string{"app": of.App, "repository": of.Repository, "branch": of.Branch, "workflow": of.Workflow})
	d.Internal = filled(map[string]string{"actor": of.Actor, "tool": of.Tool})
	source := resource{Digest: map[string]string{"gitCommit": of.Commit}}
	if of.Repository != "" {
		source.URI = "git+" + of.Repository
		if of.Branch != "" {
			source.URI += "@refs/heads/" + of.Branch
		}
	}
	d.Dependencies = []resource{source}
	r.Builder.ID, r.Builder.Version = of.Builder, filled(map[string]string{"berth": of.Version})
	if r.Builder.ID == "" {
		r.Builder.ID = BuildType + "#unknown"
	}
	r.Metadata = filled(map[string]string{"invocationId": of.Run, "startedOn": stamp(of.Started), "finishedOn": stamp(of.Finished)})
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("writing the provenance: %w", err)
	}
	return text, nil
}

func filled(all map[string]string) map[string]string {
	for name, text := range all {
		if text == "" {
			delete(all, name)
		}
	}
	return all
}

func stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// plainURL takes out of a URL what may be secret: a user and a password, and what is asked for. The form that git and ssh have, host:path, becomes
// one. What is no URL stays as it is, if it is a name; with an @ in it it is nothing.
func plainURL(text string) string {
	if !strings.Contains(text, "://") {
		login, rest, ok := strings.Cut(text, "@")
		host, path, isSSH := strings.Cut(rest, ":")
		switch {
		case !ok:
			return text
		case isSSH && !strings.ContainsAny(login, ":/"):
			return "ssh://" + host + "/" + strings.TrimPrefix(path, "/")
		default:
			return ""
		}
	}
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.Fragment, u.RawFragment, u.ForceQuery = nil, "", "", "", false
	return u.String()
}
