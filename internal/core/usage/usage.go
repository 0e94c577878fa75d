// Package usage counts what a registry is used for: pushes, pulls, bytes, calls; what it holds; and what clients put. It keeps the points
// of metrics in CloudWatch's words (adr/0018), rolls minutes up to hours and days, and forgets them after their time.
//
// It is fed by the outbox ([event.ImagePushed], [event.Served] …): an event counts once, however often it is handed on. Nothing on a
// push's or pull's way waits for it. See docs/design/usage.md.
package usage

import (
	"slices"
	"strings"
	"time"
)

// The namespaces that the registry itself writes. Nobody else can put points there.
const (
	NamespaceECR     = "AWS/ECR"     // as Amazon ECR has it
	NamespaceUsage   = "AWS/Usage"   // calls of the API
	NamespaceBilling = "AWS/Billing" // estimated charges
	NamespaceBerth   = "Berth"       // what ECR never had
)

// The names of the registry's own metrics.
const (
	RepositoryPullCount = "RepositoryPullCount" // AWS/ECR {RepositoryName}
	CallCount           = "CallCount"           // AWS/Usage {Class=None, Resource=<action>, Service=ECR, Type=API}
	EstimatedCharges    = "EstimatedCharges"    // AWS/Billing {Currency=USD} and {Currency=USD, ServiceName=AmazonECR}

	// Of the namespace Berth. Counters, by {RepositoryName}, and by {App, RepositoryName}, {ImageDigest, RepositoryName} and
	// {Principal, RepositoryName} as far as that makes sense of them.
	PullCount   = "PullCount"
	PushCount   = "PushCount"   // manifests that somebody pushed
	DeleteCount = "DeleteCount" // images that are gone, by somebody or by a lifecycle policy: the principal says which
	ScanCount   = "ScanCount"   // scans that have ended; by {RepositoryName, ScanStatus} too
	BytesIn     = "BytesIn"
	BytesOut    = "BytesOut"
	// Gauges, once an hour, by {RepositoryName}, and by {App, RepositoryName}.
	ImageCount   = "ImageCount"
	LogicalBytes = "LogicalBytes" // what the images weigh, each by itself
	UniqueBytes  = "UniqueBytes"  // what nothing outside uses: what would be free without it
	SharedBytes  = "SharedBytes"  // what is used outside too
	StoredBytes  = "StoredBytes"  // unique layers of the repository: what Amazon bills
	TrashBytes   = "TrashBytes"   // by {RepositoryName}: what only deleted images need, that can still be restored
	FindingCount = "FindingCount" // by {RepositoryName, Severity}
)

// The names of dimensions.
const (
	DimensionRepository = "RepositoryName"
	DimensionApp        = "App"
	DimensionImage      = "ImageDigest"
	DimensionPrincipal  = "Principal" // an ARN: a role stands for all of its sessions
	DimensionSeverity   = "Severity"
	DimensionScanStatus = "ScanStatus"
)

// Dimension is one of the names and values that tell metrics of one name apart.
type Dimension struct{ Name, Value string }

// Metric is what has points. Dimensions are sorted by name; none is there twice.
type Metric struct {
	Namespace, Name string
	Dimensions      []Dimension
	// Unit is part of a question: only points in that unit. Empty: in any. What a datum is in is its own Unit.
	Unit string
}

// NewMetric makes a metric of dimensions in any order.
func NewMetric(namespace, name string, dimensions ...Dimension) Metric {
	dimensions = slices.Clone(dimensions)
	slices.SortFunc(dimensions, func(a, b Dimension) int { return strings.Compare(a.Name, b.Name) })
	return Metric{Namespace: namespace, Name: name, Dimensions: dimensions}
}

// Point is what came within a period.
type Point struct {
	At    time.Time // the period's begin
	Count float64   // of the values: CloudWatch's SampleCount
	Sum   float64
	Min   float64
	Max   float64
}

// Add puts q's values to p's.
func (p *Point) Add(q Point) {
	switch {
	case q.Count == 0:
		return
	case p.Count == 0:
		p.Min, p.Max = q.Min, q.Max
	default:
		p.Min, p.Max = min(p.Min, q.Min), max(p.Max, q.Max)
	}
	p.Count += q.Count
	p.Sum += q.Sum
}

// Average is the mean of the values, 0 where there are none.
func (p Point) Average() float64 {
	if p.Count == 0 {
		return 0
	}
	return p.Sum / p.Count
}

// Datum is some values of a metric at a time.
type Datum struct {
	Metric Metric
	Unit   string // CloudWatch's: Count, Bytes, None …
	Point         // At is any time; it counts for its minute
}
