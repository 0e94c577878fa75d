package events

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/feed"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// Place is the registry that events come from.
type Place struct {
	Account string
	Region  string
	URL     string // by which clients reach it
}

// Event is what Amazon EventBridge would deliver (https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html). What ECR has no
// event for has the source "berth", and a detail-type that begins with Berth.
type Event struct {
	Version    string   `json:"version"`
	ID         string   `json:"id"`
	DetailType string   `json:"detail-type"`
	Source     string   `json:"source"`
	Account    string   `json:"account"`
	Time       string   `json:"time"`
	Region     string   `json:"region"`
	Resources  []string `json:"resources"`
	Detail     any      `json:"detail"`
}

// Sources of events.
const (
	fromECR   = "aws.ecr"
	fromBerth = "berth"
)

// imageAction is the detail of ECR Image Action and ECR Referrer Action. image-tags and image-remains are Berth's: several tags of one push, and
// that an image stays of which a tag was removed.
type imageAction struct {
	Result             string   `json:"result"`
	Repository         string   `json:"repository-name"`
	Digest             string   `json:"image-digest"`
	Action             string   `json:"action-type"`
	Tag                string   `json:"image-tag,omitempty"`
	Tags               []string `json:"image-tags,omitempty"`
	Remains            bool     `json:"image-remains,omitempty"`
	TargetStorageClass string   `json:"target-storage-class,omitempty"`
	ManifestMediaType  string   `json:"manifest-media-type,omitempty"`
	ArtifactMediaType  string   `json:"artifact-media-type,omitempty"`
	LastActivatedAt    string   `json:"last-activated-at,omitempty"`
}

type imageScan struct {
	Status     string         `json:"scan-status"`
	Repository string         `json:"repository-name"`
	Severities map[string]int `json:"finding-severity-counts"`
	Digest     string         `json:"image-digest"`
	Tags       []string       `json:"image-tags"`
}

type pullThrough struct {
	RuleVersion string `json:"rule-version"`
	Status      string `json:"sync-status"`
	Prefix      string `json:"ecr-repository-prefix"`
	Repository  string `json:"repository-name"`
	Upstream    string `json:"upstream-registry-url"`
	Tag         string `json:"image-tag,omitempty"`
	Digest      string `json:"image-digest,omitempty"`
	Code        string `json:"failure-code,omitempty"`
	Reason      string `json:"failure-reason,omitempty"`
}

// replication is the detail of ECR Replication Action. Amazon has the event at the destination; Berth where the image comes from, and says where
// it went besides.
type replication struct {
	Result             string `json:"result"`
	Repository         string `json:"repository-name"`
	Digest             string `json:"image-digest"`
	SourceAccount      string `json:"source-account"`
	Action             string `json:"action-type"`
	SourceRegion       string `json:"source-region"`
	Tag                string `json:"image-tag,omitempty"`
	DestinationAccount string `json:"destination-account"`
	DestinationRegion  string `json:"destination-region"`
	Code               string `json:"failure-code,omitempty"`
}

type pull struct {
	Action     string   `json:"action-type"`
	Repository string   `json:"repository-name"`
	Digest     string   `json:"image-digest"`
	Tag        string   `json:"image-tag,omitempty"`
	Tags       []string `json:"image-tags,omitempty"`
	Count      int64    `json:"pull-count"`
	Principal  string   `json:"principal-arn,omitempty"`
}

type findingsChange struct {
	Repository string    `json:"repository-name"`
	Digest     string    `json:"image-digest"`
	Tags       []string  `json:"image-tags"`
	New        []finding `json:"new-findings"`
	Fixed      []finding `json:"fixed-findings"`
	MoreNew    int       `json:"more-new-findings"`
	MoreFixed  int       `json:"more-fixed-findings"`
}

type finding struct {
	Vulnerability string `json:"vulnerability-id"`
	Package       string `json:"package-name"`
	Severity      string `json:"severity"`
}

type exceptionExpiry struct {
	Repository string `json:"repository-name,omitempty"`
	Digest     string `json:"image-digest,omitempty"`
	Reason     string `json:"reason"`
}

type repositoryAction struct {
	Action     string `json:"action-type"`
	Result     string `json:"result"`
	Repository string `json:"repository-name"`
}

type missed struct {
	Repository string `json:"repository-name,omitempty"`
	Through    int64  `json:"through-number"`
	Count      int64  `json:"event-count"`
}

const succeeded = "SUCCESS"

// eventBridge gives the event in Amazon's shape.
func (p Place) eventBridge(e feed.Entry) Event {
	b := Event{
		Version: "0", ID: p.id(e), Source: fromECR, Account: p.Account, Time: e.At.UTC().Format(time.RFC3339), Region: p.Region, Resources: []string{},
	}
	arn := []string{policy.RepositoryARN(p.Region, p.Account, e.Repository)}
	switch e.Kind {
	case event.ImagePushed:
		b.DetailType, b.Detail = imageAct(e, "PUSH")
	case event.ImageDeleted:
		b.DetailType, b.Detail = imageAct(e, "DELETE")
	case event.ImageUntagged:
		b.DetailType, b.Detail = imageAct(e, "DELETE")
	case event.ImageArchived, event.ImageRestored:
		b.DetailType, b.Detail = imageAct(e, "UPDATE_STORAGE_CLASS")
	case event.ImageScanned:
		b.DetailType, b.Resources = "ECR Image Scan", arn
		b.Detail = imageScan{Status: e.ScanStatus, Repository: e.Repository, Severities: counts(e.Severities), Digest: e.Digest.String(), Tags: some(e.Tags)}
	case event.UpstreamSynced:
		b.DetailType, b.Resources, b.Detail = "ECR Pull Through Cache Action", arn, synced(e)
	case event.ImageReplicated:
		b.DetailType, b.Detail = "ECR Replication Action", p.replicated(e)
		if e.Copy != nil {
			b.Resources = []string{policy.RepositoryARN(e.Copy.Region, e.Copy.Account, e.Repository)}
		}
	default:
		b.Source = fromBerth
		b.DetailType, b.Detail = own(e)
		if e.Repository != "" {
			b.Resources = arn
		}
	}
	return b
}

// own gives what ECR has no event for.
func own(e feed.Entry) (detailType string, detail any) {
	switch e.Kind {
	case event.ImagePulled:
		tag, tags := oneTag(e.Tags)
		return "Berth Image Pull Action", pull{
			Action: "PULL", Repository: e.Repository, Digest: e.Digest.String(), Tag: tag, Tags: tags, Count: max(e.Count, 1), Principal: e.Actor,
		}
	case event.FindingsChanged:
		f := cmp.Or(e.Findings, &event.Findings{})
		return "Berth Image Findings Change", findingsChange{
			Repository: e.Repository, Digest: e.Digest.String(), Tags: some(e.Tags), New: findings(f.New), Fixed: findings(f.Fixed),
			MoreNew: f.MoreNew, MoreFixed: f.MoreFixed,
		}
	case event.ExceptionExpired:
		return "Berth Exception Expiry", exceptionExpiry{Repository: e.Repository, Digest: e.Digest.String(), Reason: e.Reason}
	case event.RepositoryCreated:
		return "Berth Repository Action", repositoryAction{"CREATE", succeeded, e.Repository}
	case event.RepositoryDeleted:
		return "Berth Repository Action", repositoryAction{"DELETE", succeeded, e.Repository}
	case event.EventsMissed:
		return "Berth Events Missed", missed{e.Repository, e.Number, e.Count}
	default: // a kind that has come since: better without details than not at all
		return "Berth Event", map[string]string{"kind": string(e.Kind), "repository-name": e.Repository}
	}
}

// imageAct is about an image, or about what refers to one, which has a detail-type of its own.
func imageAct(e feed.Entry, action string) (string, imageAction) {
	tag, tags := oneTag(e.Tags)
	a := imageAction{Result: succeeded, Repository: e.Repository, Digest: e.Digest.String(), Action: action, Tag: tag, Tags: tags}
	referrer := e.Subject != ""
	if referrer || action == "UPDATE_STORAGE_CLASS" {
		a.ManifestMediaType, a.ArtifactMediaType = e.MediaType, e.ArtifactType
	}
	switch e.Kind { //nolint:exhaustive // the others have no more
	case event.ImageUntagged:
		a.Remains = true
	case event.ImageArchived:
		a.TargetStorageClass = "ARCHIVE"
	case event.ImageRestored:
		a.TargetStorageClass, a.LastActivatedAt = "STANDARD", e.At.UTC().Format(time.RFC3339Nano)
	}
	if referrer {
		return "ECR Referrer Action", a
	}
	return "ECR Image Action", a
}

func synced(e feed.Entry) pullThrough {
	u := cmp.Or(e.Upstream, &event.Upstream{})
	tag, _ := oneTag(e.Tags)
	d := pullThrough{RuleVersion: "1", Status: succeeded, Prefix: u.Prefix, Repository: e.Repository, Upstream: u.URL, Tag: tag, Digest: e.Digest.String()}
	if u.Failed {
		d.Status, d.Code, d.Reason = "FAILED", words(fault.Code(u.Code)), e.Reason
	}
	return d
}

func (p Place) replicated(e feed.Entry) replication {
	c := cmp.Or(e.Copy, &event.Copy{})
	tag, _ := oneTag(e.Tags)
	d := replication{
		Result: succeeded, Repository: e.Repository, Digest: e.Digest.String(), SourceAccount: p.Account, Action: "REPLICATE", SourceRegion: p.Region,
		Tag: tag, DestinationAccount: c.Account, DestinationRegion: c.Region,
	}
	if c.Failed {
		d.Result, d.Code = "FAILED", e.Reason
	}
	return d
}

// oneTag gives a tag, and all of them where there are several.
func oneTag(tags []string) (string, []string) {
	switch len(tags) {
	case 0:
		return "", nil
	case 1:
		return tags[0], nil
	default:
		return tags[0], tags
	}
}

// some is a list that is never null in JSON.
func some(tags []string) []string {
	if tags == nil {
		return []string{}
	}
	return tags
}

func counts(severities map[string]int) map[string]int {
	if severities == nil {
		return map[string]int{}
	}
	return severities
}

func findings(list []event.Finding) []finding {
	all := make([]finding, len(list))
	for i, f := range list {
		all[i] = finding(f)
	}
	return all
}

// id makes the same id for the same event each time, and another for any other: of other registries, and of a registry that began anew.
func (p Place) id(e feed.Entry) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %s %d %d %s %s", p.URL, p.Region, p.Account, e.Number, e.At.UnixMicro(), e.Kind, e.Repository))
	sum[6] = sum[6]&0x0f | 0x80 // UUID version 8 (RFC 9562)
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
