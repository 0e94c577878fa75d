package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// Itself logs what the registry does by itself: lifecycle policies, replication, signing, scans, the cache of other registries. No request
// tells of that. It is an event.Handler. An event that comes twice makes two records with one id.
type Itself struct {
	journal Journal
	encoder Encoder
	notify  func()
}

// NewItself makes one.
func NewItself(journal Journal, encoder Encoder, notify func()) *Itself {
	return &Itself{journal, encoder, notify}
}

// byItself is what the ARNs of the registry's own parts begin with.
const byItself = "berth:"

// Handle implements event.Handler.
func (i *Itself) Handle(_ context.Context, e event.Event) error {
	name := nameOf(e)
	if name == "" || !strings.HasPrefix(e.Actor, byItself) {
		return nil
	}
	if _, err := i.journal.Append(i.encoder.event(e, name)); err != nil {
		return err
	}
	i.notify()
	return nil
}

// nameOf is what CloudTrail calls it, where it does; other names are made in its manner. What is told elsewhere has none.
func nameOf(e event.Event) string {
	switch e.Kind {
	case event.ImagePushed:
		switch e.Source {
		case event.Replication:
			return "ReplicateImage"
		case event.PullThrough:
			return "BatchImportUpstreamImage"
		case event.Push, event.Signing, event.Scan, event.Restore:
		}
		return "PutImage"
	case event.ImageDeleted, event.ImageArchived:
		if e.Actor == "berth:lifecycle" {
			return "PolicyExecutionEvent"
		}
		if e.Kind == event.ImageDeleted {
			return "BatchDeleteImage"
		}
		return "UpdateImageStorageClass"
	case event.ImageUntagged:
		return "BatchDeleteImage"
	case event.ImageRestored:
		return "UpdateImageStorageClass"
	case event.ImageScanned:
		return "ImageScanEvent"
	case event.RepositoryCreated:
		return "CreateRepository"
	case event.RepositoryDeleted:
		return "DeleteRepository"
	case event.ExceptionExpired:
		return "ExceptionExpiredEvent"
	case event.FindingsChanged:
		return "FindingsChangedEvent"
	case event.ImagePulled, event.ImageReplicated, event.UpstreamSynced, event.EventsMissed, event.Served, event.Noticed:
	}
	return ""
}

// event writes the record of an event. Its id follows from the outbox's, so that it is the same each time.
func (c Encoder) event(e event.Event, name string) []byte {
	sum := sha256.Sum256([]byte("outbox " + c.Account + " " + strconv.FormatInt(e.ID, 10)))
	s := service{
		at: e.At, id: hex.EncodeToString(sum[:16]), operation: name, actor: e.Actor,
		details: func(b []byte) []byte { return appendEvent(b, e, name) },
	}
	if e.Repository != "" {
		s.resources = []string{policy.RepositoryARN(c.Region, c.Account, e.Repository)}
	}
	return c.appendService(nil, s)
}

func appendEvent(b []byte, e event.Event, name string) []byte {
	b = appendField(b, "repositoryName", clip(e.Repository, maxText))
	b = appendOptional(b, "imageDigest", string(e.Digest))
	if len(e.Tags) > 0 {
		b = appendKey(b, "imageTags")
		b = appendTexts(b, e.Tags)
	}
	b = appendOptional(b, "artifactMediaType", clip(e.ArtifactType, maxText))
	b = appendOptional(b, "subject", string(e.Subject))
	b = appendOptional(b, "scanStatus", e.ScanStatus)
	b = appendOptional(b, "reason", clip(e.Reason, maxText))
	if name != "PolicyExecutionEvent" {
		return b
	}
	// As Amazon ECR tells of it (ECR User Guide, "Logging ECR actions with CloudTrail").
	b = appendKey(b, "lifecycleEventImageActions")
	b = append(b, `[{"lifecycleEventImage":{"digest":`...)
	b = appendJSON(b, string(e.Digest))
	status := "Untagged"
	if len(e.Tags) > 0 {
		status = "Tagged"
	}
	b = appendField(b, "tagStatus", status)
	b = appendKey(b, "tagList")
	b = appendTexts(b, e.Tags)
	b = append(b, '}')
	action := "expire"
	if e.Kind == event.ImageArchived {
		action = "transition"
	}
	b = appendField(b, "action", action)
	return append(b, "}]"...)
}

func appendTexts(b []byte, texts []string) []byte {
	b = append(b, '[')
	for i, t := range texts[:min(len(texts), maxImages)] {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, clip(t, maxText))
	}
	return append(b, ']')
}
